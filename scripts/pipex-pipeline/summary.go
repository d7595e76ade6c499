package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// summary is a rule that has make say at its end what was run. make has no hook for that,
// so it is the recipe of a goal, and there is none if a step fails, or for a goal that
// has a recipe of its own. If no step that is needed has to be looked at, make starts no
// process. $(pipex.looked) are the steps whose recipes make has started.
//
// With goals on the command line, it is the last of them, if all are steps; it then needs
// the others. Otherwise another target takes the place of the default goal, and needs it.
// What that needs only make knows: the rule of each step that is a target of it notes the
// step in $(pipex.wanted).
func (m *makefile) summary(looked map[string]bool) string {
	if m.quiet || strings.ContainsAny(m.flags, "nqst") {
		return ""
	}
	needed := m.names
	if len(m.goals) > 0 {
		needed = m.closure(m.goals)
	}
	if !slices.ContainsFunc(needed, func(name string) bool { return looked[name] }) {
		return ""
	}
	var reads []string
	for _, name := range needed {
		reads = append(reads, name+":"+strings.Join(m.reads(name), "/"))
	}
	command := func(wanted string) string {
		return fmt.Sprintf("pipex-step --summary %d %s '%s' '%s' $(pipex.looked)", time.Now().UnixMilli(), m.stamps, strings.Join(reads, " "), wanted)
	}
	if n := len(m.goals); n > 0 {
		if len(m.among(m.goals)) < n {
			return ""
		}
		last := m.goals[n-1]
		others := slices.DeleteFunc(slices.Clone(m.goals), func(name string) bool { return name == last })
		return fmt.Sprintf("%s: %s ; @%s\n", last, strings.Join(others, " "), command(strings.Join(m.goals, " ")))
	}
	var b strings.Builder
	for _, name := range m.names {
		fmt.Fprintf(&b, "%s: ; $(eval pipex.wanted += %s)\n", name, name)
	}
	fmt.Fprintf(&b, ".PHONY: pipex.summary\npipex.summary: %s ; @$(if $(pipex.looked),%s,:)\n", m.defaultGoal, command("$(pipex.wanted)"))
	return b.String() + ".DEFAULT_GOAL := pipex.summary\n"
}

// reads returns the steps of the Makefile that a step reads, or would read if they were there.
func (m *makefile) reads(name string) []string {
	t := m.steps[name]
	return m.among(slices.Concat(t.inputs(false), t.inputs(true)))
}

// closure returns the steps among names and all that they read, sorted.
func (m *makefile) closure(names []string) []string {
	all := map[string]bool{}
	for names = m.among(names); len(names) > 0; names = names[1:] {
		if name := names[0]; !all[name] {
			all[name] = true
			names = append(names, m.reads(name)...)
		}
	}
	return slices.Sorted(maps.Keys(all))
}
