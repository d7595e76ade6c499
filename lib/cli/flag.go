package cli

import "github.com/urfave/cli/v2"

// named is a flag that knows its names. urfave's computes them with a regular expression each time
// that it is asked, which is for each flag as often as there are flags: half of all that
// pipex-prepare did before its own work.
type named struct {
	cli.Flag
	names []string
}

func (f *named) Names() []string { return f.names }

// namedList is the same for an option that may be given many times: urfave has a method of its own
// for those, by which it learns that a comma separates nothing.
type namedList struct {
	*cli.StringSliceFlag
	names []string
}

func (f *namedList) Names() []string { return f.names }

func withNames(flags []cli.Flag) []cli.Flag {
	list := make([]cli.Flag, len(flags))
	for i, f := range flags {
		if many, ok := f.(*cli.StringSliceFlag); ok {
			list[i] = &namedList{many, f.Names()}
		} else {
			list[i] = &named{f, f.Names()}
		}
	}
	return list
}

// isString tells whether one of those flags takes any text, once.
func isString(f cli.Flag) bool {
	n, ok := f.(*named)
	if ok {
		_, ok = n.Flag.(*cli.StringFlag)
	}
	return ok
}
