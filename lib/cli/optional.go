package cli

// Optional is the value of an option that may stand without one: --where, --where=WHAT.
type Optional string

func (o *Optional) String() string { return string(*o) }

// IsBoolFlag tells package flag that no value need follow.
func (o *Optional) IsBoolFlag() bool { return true }

// Set gets "true" from package flag if there is no value.
func (o *Optional) Set(value string) error {
	if *o = Optional(value); value == "true" {
		*o = ""
	}
	return nil
}
