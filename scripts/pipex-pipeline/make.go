package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"pipex/lib/cli"
	"pipex/lib/cli/traced"
	"pipex/lib/name"
	"pipex/lib/step"
)

// makefile is a Makefile as pipex.mk describes it: its steps and make's options.
type makefile struct {
	text    []byte // what pipex.mk has written
	stamps  string // the directory of the stamps, as the Makefile calls it
	flags   string // make's options of one letter
	force   []string
	quiet   bool // PIPEX_QUIET is set
	envFile string
	steps   map[string]*target
	names   []string // of the steps, in order
}

// target is a step of a Makefile.
type target struct {
	name string
	line string
	// reads are the paths of the Makefile's reads.NAME.
	reads []string

	options *cli.Call
	spec    *step.Spec // with absolute paths; nil if the line is not understood
	// key stands for all that the line, its files and its variables say.
	key string
	// again says that the step is to be looked at, whatever make finds.
	again bool
	// touched is what is recorded if make is told to take it for up to date.
	touched string
	// older says that the output was there before the stamp, and is as good.
	older bool
}

// readMakefile reads what pipex.mk has written to a file, and removes that: a line for
// each fact, its kind first.
func readMakefile(path string) (*makefile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	os.Remove(path)
	m := &makefile{text: data, steps: map[string]*target{}}
	for _, line := range strings.Split(string(data), "\n") {
		kind, value, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		id, rest, _ := strings.Cut(value, " ")
		switch kind {
		case "stamps":
			m.stamps = value
		case "flags":
			m.flags = value
		case "force":
			m.force = strings.Fields(value)
		case "quiet":
			m.quiet = strings.TrimSpace(value) != ""
		case "env-file":
			m.envFile = strings.TrimSpace(value)
		case "env": // make has not put its own variables into our environment
			key, text, _ := strings.Cut(value, "=")
			os.Setenv(key, text)
		case "step":
			if err := name.Check("step", id); err != nil {
				return nil, err
			}
			m.names, m.steps[id] = append(m.names, id), &target{name: id, line: rest}
		case "reads":
			if t := m.steps[id]; t != nil {
				t.reads = strings.Fields(rest)
			}
		}
	}
	slices.Sort(m.names)
	return m, nil
}

// stepFlags are the options of pipex-step that are not those of pipex-prepare.
func stepFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "retries"}, &ucli.StringFlag{Name: "retry-delay"}, &ucli.StringFlag{Name: "stamp"}, &ucli.StringFlag{Name: "tried"},
		&ucli.BoolFlag{Name: "allow-failure"}, &ucli.BoolFlag{Name: "label"},
	}
}

// elsewhere are options by which a step leaves the Makefile's workspace.
var elsewhere = []string{"workdir", "workspace", "address", "namespace"}

// read understands the step's line. What is wrong with it is left to pipex-step, who
// looks at the step then.
func (t *target) read(envFile string, seen *sights) {
	words, static, matched := split(t.line)
	if matched {
		seen.giveUp()
	}
	if envFile != "" {
		words = append([]string{"--env-file", envFile}, words...)
	}
	t.again = !static
	var err error
	if t.options, err = cli.ParseStep(words, stepFlags()...); err != nil {
		t.again = true
		return
	}
	for _, path := range append(t.values("env-file"), t.options.String("spec")) {
		seen.behind(path)
	}
	if t.spec, err = t.options.Spec(); err != nil || slices.ContainsFunc(elsewhere, t.options.IsSet) {
		t.again = true
	}
}

// inputs are the steps whose artifacts the step reads, or would if there were any.
func (t *target) inputs(optional bool) (names []string) {
	for _, in := range t.allInputs() {
		if in.Optional == optional {
			names = append(names, in.Step)
		}
	}
	return names
}

func (t *target) allInputs() (inputs []step.Input) {
	if t.spec != nil {
		return t.spec.Inputs
	}
	for _, option := range []string{"input", "copy-input", "optional-input"} {
		for _, value := range t.values(option) {
			if in, err := step.ParseInput(value); err == nil {
				in.Optional = option == "optional-input"
				inputs = append(inputs, in)
			}
		}
	}
	return inputs
}

// values are those of an option; none if the line is not understood.
func (t *target) values(option string) []string {
	if t.options == nil || t.options.Context == nil {
		return nil
	}
	return t.options.StringSlice(option)
}

// plainPath is a path that make takes as it is.
var plainPath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\pL\pN/._+@-]+$`) })

// files are the paths that a rule of the Makefile's own may make, as the line has them.
// Those of reads.NAME need not exist yet. A path that make cannot name is left out.
func (t *target) files() []string {
	paths := t.values("env-file")
	for _, value := range slices.Concat(t.values("mount"), t.values("source")) {
		host, _, _ := strings.Cut(value, ":")
		paths = append(paths, host)
	}
	if t.options != nil && t.options.Context != nil {
		paths = append(paths, t.options.String("spec"))
	}
	paths = slices.DeleteFunc(paths, func(path string) bool {
		_, err := os.Stat(path)
		return err != nil
	})
	paths = append(paths, t.reads...)
	paths = slices.DeleteFunc(paths, func(path string) bool { return !plainPath().MatchString(path) })
	slices.Sort(paths)
	return slices.Compact(paths)
}

// plan reads all lines and looks at all steps, each on its own.
func (m *makefile) plan(l *looker) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, name := range m.names {
		t := m.steps[name]
		group.Go(func() error {
			t.read(m.envFile, l.sights)
			if t.spec != nil {
				t.again = !l.upToDate(t, m.stamp(name)) || t.again
			}
			l.sights.file(m.stamp(name) + ".output")
			output, stamp := modified(m.stamp(name)+".output"), modified(m.stamp(name))
			t.again = t.again || output.IsZero() // nobody knows what stood there
			t.older = output.Before(stamp)
			return nil
		})
	}
	group.Wait() // nothing fails
}

func modified(path string) time.Time {
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func (m *makefile) stamp(name string) string { return m.stamps + "/" + name }

// among are those of the names that are the Makefile's steps.
func (m *makefile) among(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return m.steps[name] == nil })
}

// tried are the steps that are somebody's optional input, and what these need: they
// may fail without keeping the others from running.
func (m *makefile) tried() map[string]bool {
	tried := map[string]bool{}
	var add func(names []string)
	add = func(names []string) {
		for _, name := range m.among(names) {
			if !tried[name] {
				tried[name] = true
				add(m.steps[name].inputs(false))
			}
		}
	}
	for _, name := range m.names {
		add(m.steps[name].inputs(true))
	}
	return tried
}

// looked are the steps that are looked at, or have an input that is.
func (m *makefile) looked() map[string]bool {
	looked, seen := map[string]bool{}, map[string]bool{}
	var visit func(name string) bool
	visit = func(name string) bool {
		if !seen[name] {
			seen[name] = true
			t := m.steps[name]
			looked[name] = t.again || m.forced(name)
			for _, in := range m.among(slices.Concat(t.inputs(false), t.inputs(true))) {
				looked[name] = visit(in) || looked[name]
			}
		}
		return looked[name]
	}
	for _, name := range m.names {
		visit(name)
	}
	return looked
}

func (m *makefile) forced(name string) bool {
	return slices.Contains(m.force, name) || slices.Contains(m.force, "all") || strings.Contains(m.flags, "B")
}

// always is the target that is never up to date.
const always = "pipex.always"

// rules are those of make for all steps. A step's targets are its stamp, which moves
// when the step has been looked at and is linked, and its output, which moves only
// when the artifacts have changed. Readers of the artifacts depend on the latter. A
// step that may fail is tried first, which cannot fail; its stamp says what came of it.
func (m *makefile) rules(looked map[string]bool, file string) string {
	var b strings.Builder
	tried, tally := m.tried(), m.tally(looked, file)
	fmt.Fprintf(&b, ".PHONY: %s %s\n", always, strings.Join(m.names, " "))
	for _, name := range m.names {
		t, stamp := m.steps[name], m.stamp(name)
		// With -n and -q make does not see that an output stays as it is.
		order := ""
		if strings.ContainsAny(m.flags, "nq") && t.older && !looked[name] {
			order = "| "
		}
		fmt.Fprintf(&b, "%s: %s.output\n", name, stamp)
		fmt.Fprintf(&b, "%s.output: %s%s ;\n", stamp, order, stamp)
		runs, option := stamp, ""
		if tried[name] {
			runs = stamp + ".tried"
			option = "--tried " + runs + " "
			fmt.Fprintf(&b, "%s: %s ; @test -e $@\n", stamp, runs)
		}
		recipe := fmt.Sprintf("@$(call pipex.run,%s,%s%s)", name, option, tally(name))
		if strings.Contains(m.flags, "t") && t.touched != "" {
			recipe = fmt.Sprintf("+@echo touched %s >>%s; touch $@", t.touched, stamp)
		}
		fmt.Fprintf(&b, "%s: export PIPEX_STAMP = %s\n", runs, t.key)
		fmt.Fprintf(&b, "%s: %s ; %s\n", runs, strings.Join(m.needs(t, tried[name]), " "), recipe)
	}
	return b.String()
}

// needs are what the target of a step depends on.
func (m *makefile) needs(t *target, tried bool) []string {
	var needs []string
	for _, in := range m.among(t.inputs(false)) {
		if tried {
			needs = append(needs, m.stamp(in)+".tried")
		} else {
			needs = append(needs, m.stamp(in)+".output")
		}
	}
	for _, in := range m.among(t.inputs(true)) {
		needs = append(needs, m.stamp(in)+".tried")
	}
	needs = append(needs, t.files()...)
	if t.again || m.forced(t.name) {
		needs = append(needs, always)
	}
	return needs
}

// lineEnd is what stands for a line's end in what make reads of a program.
const lineEnd = "␤"

// oneTrace has all steps of this make write their spans as one trace, with this process as
// the beginning, unless make is itself part of a trace.
func oneTrace() string {
	parent := traced.Parent()
	if parent == "" || traced.Inherited() {
		return ""
	}
	return "export TRACEPARENT := " + parent + "\nunexport TRACESTATE\n"
}

// rulesForMake prints the rules of the Makefile whose steps are in a file.
func rulesForMake(c *cli.Call, path string) error {
	debug.SetGCPercent(800) // make waits: a few hundred steps are read without one collection
	m, err := readMakefile(path)
	if err != nil {
		return fmt.Errorf("cannot read the Makefile's steps: %w", name.Reason(err))
	}
	traced.Begin(program()) // the Makefile may say so
	l, err := newLooker(c.Context.Context, c.Place())
	if err != nil {
		return err
	}
	tally := m.tallyFile()
	question, err := question(m, l)
	if err != nil {
		return err
	}
	rules, ok := l.answered(question, tally)
	if !ok {
		rules = m.look(c, l, question, tally)
	}
	_, err = os.Stdout.WriteString(strings.ReplaceAll(oneTrace()+rules, "\n", lineEnd))
	return err
}

// look returns the rules after a look at all steps, and keeps them if nothing is to be done.
func (m *makefile) look(c *cli.Call, l *looker, question, tally string) string {
	l.sights = newSights()
	m.plan(l)
	for _, name := range m.names {
		if why := broken(m.steps[name].line); why != "" { // the shell will not say which step's it is
			c.Warn(fmt.Errorf("step %q: a shell cannot read its line: %s; in a Makefile, \\# stands for # and $$ for $", name, why))
		}
	}
	looked := m.looked()
	rules := m.rules(looked, tally)
	if !slices.Contains(slices.Collect(maps.Values(looked)), true) {
		l.keep(question, tally, rules)
	}
	return rules
}
