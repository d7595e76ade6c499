package name

import "strings"

// Ref is what a user gives as RUN, parsed by [ParseRef]. Package workspace finds the
// run that it means.
type Ref struct {
	// Name is the id of a run or the beginning of one, or the name of a step.
	Name string
	// At is Open or Linked if that run of the step Name is meant, else empty.
	At string
	// Back is how many runs of the same step to go back from there.
	Back int
}

// What may follow a step's name and @.
const (
	Open   = "open"
	Linked = "linked"
)

// ParseRef reads RUN, the beginning of one, STEP, STEP@open or STEP@linked, each
// followed by any number of ^. It does not look at the disk. Anything else is an
// [*Error] or a [*UsageError].
func ParseRef(s string) (Ref, error) {
	base := strings.TrimRight(s, "^")
	r := Ref{Back: len(s) - len(base)}
	var hasAt bool
	r.Name, r.At, hasAt = strings.Cut(base, "@")
	if err := Check("run", r.Name); err != nil {
		return r, &Error{Kind: "run", Name: s}
	}
	if hasAt && r.At != Open && r.At != Linked {
		return r, Usage("%q names no run: after %s@ comes %s or %s", s, r.Name, Open, Linked)
	}
	return r, nil
}

// CheckRefs returns the error of [ParseRef] for the first of refs that has one.
func CheckRefs(refs []string) error {
	for _, s := range refs {
		if _, err := ParseRef(s); err != nil {
			return err
		}
	}
	return nil
}

// The form of the ids that NewID makes.
const (
	idDigits = 13
	idHex    = 8
)

// IsID reports whether s has the form of the ids that [NewID] makes. Such an id is
// given to one run only; other ids may be used again when their run is gone.
func IsID(s string) bool {
	if len(s) != idDigits+1+idHex || s[idDigits] != '-' {
		return false
	}
	digits, hex := s[:idDigits], s[idDigits+1:]
	return strings.Trim(digits, "0123456789") == "" && strings.Trim(hex, "0123456789abcdef") == ""
}
