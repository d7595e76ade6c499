package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/workspace"
)

// What a word names. The texts of --help have them as well, and others.
const (
	steps      = "STEP"
	runs       = "RUN"
	open       = "open RUN"
	committed  = "committed RUN"
	workspaces = "WORKSPACE"
	caches     = "CACHE"
	images     = "IMAGE"
)

// kinds are those of the values of options whose names in --help say less.
var kinds = map[string]string{
	"--workspace": workspaces, "--cache": caches, "--setup-cache": caches, "--image": images, "--keep": committed, "--end": open,
}

// files are the names of what the shell completes.
var files = []string{"FILE", "DIR", "DIRECTORY", "DEST", "SOCKET", "HOST"}

// kind says what an operand is.
func (l *line) kind(f form, operand string) string {
	if operand == "NAME" && l.program == "pipex-image" {
		return images
	}
	if operand == "NAME" && slices.Contains(f.options, "--cache") {
		return caches
	}
	if operand == runs {
		switch l.program {
		case "pipex-exec", "pipex-discard":
			return open
		case "pipex-commit":
			if _, verify := l.given["--verify"]; !verify {
				return open
			}
			return committed
		case "pipex-link":
			return committed
		}
	}
	return operand
}

// fits reports whether a word may be the operand.
func (l *line) fits(c *cli.Call, o operand, word string) bool {
	if slices.Equal(o.names, []string{workspaces}) && o.optional {
		return workspace.Exists(l.place(c), word)
	}
	return slices.ContainsFunc(o.names, func(n string) bool { return n == word || strings.ToUpper(n) == n })
}

// place returns the workdir that is meant, as the program would find it.
func (l *line) place(c *cli.Call) string {
	for option, variable := range map[string]string{"--workdir": "PIPEX_WORKDIR", "--workspace": "PIPEX_WORKSPACE", "--address": "CONTAINERD_ADDRESS", "--namespace": "PIPEX_NAMESPACE"} {
		if value := l.given[option]; value != "" {
			os.Setenv(variable, value)
		}
	}
	return c.Place().Workdir
}

// open returns the workspace that is meant: that of an operand, or of the options. It is nil if
// there is none.
func (l *line) open(c *cli.Call) *workspace.Workspace {
	workdir := l.place(c)
	id := c.Place().Workspace
	if len(l.operands) > 0 && slices.ContainsFunc(l.usage.forms, func(f form) bool {
		return len(f.operands) > 0 && f.operands[0].names[0] == workspaces
	}) && workspace.Exists(workdir, l.operands[0]) {
		id = l.operands[0]
	}
	ws, err := workspace.Open(workdir, id)
	if err != nil {
		return nil
	}
	return ws
}

var upper = regexp.MustCompile(`^[A-Z]+`)

// value returns what the value of the option may become.
func (l *line) value(c *cli.Call) []candidate {
	text, pattern, behind := strings.TrimPrefix(l.word, l.before), l.option.value, ""
	before := l.before
	pass := func(separator string) {
		if i := strings.LastIndex(text, separator) + 1; i > 0 {
			before, text = before+text[:i], text[i:]
		}
	}
	kind := kinds[l.option.long()]
	if kind == caches {
		behind = ":" // and its path
	}
	if kind == "" {
		if strings.HasSuffix(pattern, ",...") {
			pass(",")
		}
		if rest, is := strings.CutPrefix(pattern, "[ALIAS=]"); is {
			pattern = rest
			pass("=")
		}
		kind = upper.FindString(pattern)
		if strings.HasPrefix(pattern, "STEP[=RUN]") && strings.Contains(text, "=") {
			kind = committed
			pass("=")
		}
	}
	if choices := l.usage.choices(l.option); len(choices) > 0 {
		found := []candidate{}
		for _, v := range choices {
			found = append(found, candidate{before + v, ""})
		}
		return found
	}
	found := l.with(text).named(c, kind)
	for i := range found {
		found[i].word = before + found[i].word + behind
	}
	return found
}

// with returns the line with another word.
func (l *line) with(word string) *line {
	of := *l
	of.word = word
	return &of
}

// named returns what the word may become if it is of a kind; nil if the shell knows, nothing if
// nobody does.
func (l *line) named(c *cli.Call, kind string) []candidate {
	found := []candidate{}
	add := func(about string, words ...string) {
		for _, w := range words {
			found = append(found, candidate{w, about})
		}
	}
	switch {
	case slices.Contains(files, kind):
		return nil
	case kind == workspaces:
		all, _ := workspace.List(l.place(c))
		add("workspace", all...)
	case kind == images:
		add("image", imageNames(c, l)...)
	case kind == strings.ToLower(kind) && kind != "-": // a word that stands for itself
		add("", kind)
	default:
		ws := l.open(c)
		if ws == nil {
			break
		}
		switch kind {
		case steps:
			add("step", stepsOf(ws)...)
		case runs:
			found = l.runs(ws)
		case open:
			found = openRuns(ws)
		case committed:
			found = l.newest(ws.Runs)
		case caches:
			all, _ := ws.Caches()
			add("cache", all...)
		}
	}
	return found
}

// stepsOf returns the steps that are linked, and those of open runs.
func stepsOf(ws *workspace.Workspace) []string {
	all := ws.Steps()
	for _, r := range openRuns(ws) {
		if step, is := strings.CutSuffix(r.word, "@"+name.Open); is {
			all = append(all, step)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// runs returns the runs that the word may name for a program that only looks, which takes steps,
// too: their ids if that is what the word begins with, or if there are no steps.
func (l *line) runs(ws *workspace.Workspace) (found []candidate) {
	if step, _, at := strings.Cut(l.word, "@"); at {
		return []candidate{{step + "@" + name.Open, "the open run"}, {step + "@" + name.Linked, "the run that is linked"}}
	}
	if (l.word == "" || l.word[0] < '0' || l.word[0] > '9') && len(stepsOf(ws)) > 0 {
		return []candidate{}
	}
	return append(l.newest(ws.OpenRuns), l.newest(ws.Runs)...)
}

// mostRuns is how many runs are offered. A shell takes long to read more, and nobody reads them.
const mostRuns = 1000

// newest returns the newest runs of a list whose ids begin with the word.
func (l *line) newest(list func() ([]workspace.Run, error)) []candidate {
	all, _ := list()
	all = slices.DeleteFunc(all, func(r workspace.Run) bool { return !strings.HasPrefix(r.ID, l.word) })
	all = all[max(len(all)-mostRuns, 0):]
	found := make([]candidate, len(all))
	for i, r := range all {
		found[i] = candidate{r.ID, "run"}
	}
	return found
}

// most is how many open runs are asked for their steps.
const most = 100

// openRuns returns the open runs by their ids and, if it is the only one of its step, by that.
func openRuns(ws *workspace.Workspace) (found []candidate) {
	all, _ := ws.OpenRuns()
	of := map[string]int{}
	for _, r := range all {
		about := "open run"
		if m, err := r.Meta(); len(found) < most && err == nil && m.StepID != "" {
			about += " of step " + m.StepID
			of[m.StepID]++
		}
		found = append(found, candidate{r.ID, about})
	}
	for step, n := range of {
		if n == 1 {
			found = append(found, candidate{step + "@" + name.Open, "open run"})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	return append([]candidate{}, found...)
}

// imageNames asks pipex-image, since what talks to containerd takes long to start. The names
// are those that a step may use: without what the program adds itself.
func imageNames(c *cli.Call, l *line) (names []string) {
	l.place(c)
	path, err := find("pipex-image")
	if err != nil {
		return nil
	}
	listed, _ := output(path, "ls", "--digests")
	for full := range strings.Lines(string(listed)) {
		full, _, _ = strings.Cut(strings.TrimSpace(full), "@sha256:")
		names = append(names, full)
		short := strings.TrimSuffix(full, ":latest")
		for _, host := range []string{"docker.io/library/", "docker.io/", "localhost/"} {
			if rest, is := strings.CutPrefix(short, host); is {
				short = rest
				break
			}
		}
		if short != full {
			names = append(names, short)
		}
	}
	slices.Sort(names)
	return names
}

// verbs returns the programs that pipex calls, with what its --help says of them.
func verbs(u *usage) []candidate {
	found := map[string]string{"help": "prints the options of a verb", "list": ""}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), beside()...) {
		programs, _ := filepath.Glob(filepath.Join(dir, "pipex-*"))
		for _, p := range programs {
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				found[strings.TrimPrefix(filepath.Base(p), "pipex-")] = ""
			}
		}
	}
	for _, m := range described.FindAllStringSubmatch(u.text, -1) {
		if _, is := found[m[1]]; is {
			found[m[1]] = m[2]
		}
	}
	all := []candidate{}
	for verb, about := range found {
		all = append(all, candidate{verb, about})
	}
	slices.SortFunc(all, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	return all
}

var described = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*)  +(.*)$`)
