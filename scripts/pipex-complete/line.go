package main

import (
	"path/filepath"
	"slices"
	"strings"

	"pipex/lib/cli"
)

// line is a command line as far as it is typed.
type line struct {
	program string
	usage   *usage
	// more are the options that may stand behind an operand, too; nil if there are none.
	more *usage
	// given are the options, by their long names, with their last values.
	given    map[string]string
	operands []string
	// word is the last one, which is completed. If it is the value of an option or ends with one,
	// that is option, and before is what stands before the value.
	word, before string
	option       *option
	// command says that the word is part of a container's command.
	command bool
}

// candidate is what a word may become, and what that is.
type candidate struct{ word, about string }

// parse reads the words of a command line, of which the last one is completed.
func parse(words []string) (*line, error) {
	l := &line{given: map[string]string{}, word: words[len(words)-1]}
	if err := l.of(filepath.Base(words[0])); err != nil {
		return nil, err
	}
	for _, w := range words[1 : len(words)-1] {
		if err := l.add(w); err != nil {
			return nil, err
		}
	}
	if name, _, is := strings.Cut(l.word, "="); is && l.option == nil && !l.command && strings.HasPrefix(name, "--") {
		l.option, l.before = l.known(name), name+"="
	}
	return l, nil
}

// of makes program the one that is called.
func (l *line) of(program string) (err error) {
	l.program = program
	l.usage, err = readUsage(program)
	return err
}

// add reads a word that is complete.
func (l *line) add(w string) error {
	name, value, has := strings.Cut(w, "=")
	switch {
	case l.command:
	case l.option != nil:
		l.given[l.option.long()], l.option = w, nil
	case w == "--":
		l.command = true
	case strings.HasPrefix(w, "-") && w != "-":
		if !strings.HasPrefix(w, "--") && len(w) > 2 { // -wNAME
			name, value, has = w[:2], w[2:], true
		}
		o := l.known(name)
		if o != nil && o.value != "" && !o.optional && !has {
			l.option = o
		} else if o != nil {
			l.given[o.long()] = value
		}
	case l.program == "pipex" && len(l.operands) == 0 && w != "help":
		if w == "list" {
			w = "ls"
		}
		return l.of("pipex-" + w)
	default:
		l.operands = append(l.operands, w)
		if l.usage.more != "" && l.more == nil {
			var err error
			l.more, err = readUsage(l.usage.more)
			return err
		}
	}
	return nil
}

// known returns the option of a name that may stand here, nil if there is none.
func (l *line) known(name string) *option {
	if o := l.usage.option(name); o != nil || l.more == nil {
		return o
	}
	return l.more.option(name)
}

// complete returns what the word may become. It is nil if that is a file, or not known.
func (l *line) complete(c *cli.Call) []candidate {
	switch {
	case l.command:
		return nil
	case l.option != nil:
		return l.value(c)
	case strings.HasPrefix(l.word, "-"):
		return l.options()
	case l.program == "pipex":
		return verbs(l.usage)
	}
	return l.operand(c)
}

// options returns the options that may stand here; those of one letter only where nothing else is
// typed yet.
func (l *line) options() (found []candidate) {
	all := l.usage.options
	if l.more != nil {
		all = slices.Concat(all, l.more.options)
	}
	seen := map[string]bool{}
	for _, o := range all {
		for _, n := range o.names {
			if seen[n] || !strings.HasPrefix(n, "--") && l.word != "-" {
				continue
			}
			seen[n] = true
			found = append(found, candidate{n, o.about})
			if o.optional && strings.HasPrefix(n, "--") && o.value != "" {
				found = append(found, candidate{n + "=", o.about})
			}
		}
	}
	return found
}

// operand returns what may stand as the next operand: by each form of the synopsis that has
// most of the options that are given.
func (l *line) operand(c *cli.Call) (found []candidate) {
	forms, most := []form(nil), -1
	for _, f := range l.usage.forms {
		n := len(f.options)
		if slices.ContainsFunc(f.options, func(o string) bool { _, given := l.given[o]; return !given }) || n < most {
			continue
		}
		if n > most {
			forms, most = nil, n
		}
		forms = append(forms, f)
	}
	seen := map[string]bool{}
	for _, f := range forms {
		for _, next := range f.next(l.operands, func(o operand, word string) bool { return l.fits(c, o, word) }) {
			for _, n := range next.names {
				k := l.kind(f, n)
				if seen[k] {
					continue
				}
				seen[k] = true
				of := l.named(c, k)
				if of == nil {
					return nil
				}
				found = append(found, of...)
			}
		}
	}
	return append([]candidate{}, found...)
}

// next returns what may stand behind the words.
func (f form) next(words []string, fits func(operand, string) bool) (next []operand) {
	at := f.skip(map[int]bool{0: true})
	for _, w := range words {
		then := map[int]bool{}
		for i := range at {
			if i < len(f.operands) && fits(f.operands[i], w) {
				then[i+1] = true
				then[i] = then[i] || f.operands[i].repeated
			}
		}
		at = f.skip(then)
	}
	for i, o := range f.operands {
		if at[i] {
			next = append(next, o)
		}
	}
	return next
}

// skip adds the places behind operands that may be left out.
func (f form) skip(at map[int]bool) map[int]bool {
	for i, o := range f.operands {
		if at[i] && o.optional {
			at[i+1] = true
		}
	}
	return at
}
