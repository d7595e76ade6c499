package cli

// Optional is the value of an option that may stand without one: --where, --where=WHAT.
type Optional struct {
	// Bare is the value of the option without one.
	Bare string

	value string
}

func (o *Optional) String() string { return o.value }

// IsBoolFlag tells package flag that no value need follow.
func (o *Optional) IsBoolFlag() bool { return true }

// Set gets "true" from package flag if there is no value.
func (o *Optional) Set(value string) error {
	if o.value = value; value == "true" {
		o.value = o.Bare
	}
	return nil
}
