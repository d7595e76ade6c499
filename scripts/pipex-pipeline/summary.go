package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// summary is a rule that has make say at its end what was run. make has no hook for that,
// so it is the recipe of a goal, and there is none if a step fails, or for a goal that
// has a recipe of its own. If nothing has to be looked at, make starts no process.
// $(pipex.looked) are the steps whose recipes make has started.
//
// Without a goal on the command line, another target takes the place of the default one,
// and needs it. Otherwise it is the last of the goals, if all of them are steps; it then
// needs the others.
func (m *makefile) summary(looked map[string]bool) string {
	var upToDate []string
	for _, name := range m.names {
		if !looked[name] {
			upToDate = append(upToDate, name)
		}
	}
	if len(upToDate) == len(m.names) || m.quiet || strings.ContainsAny(m.flags, "nqst") {
		return ""
	}
	recipe := fmt.Sprintf("@pipex-step --summary %d %s '%s' $(pipex.looked)", time.Now().UnixMilli(), m.stamps, strings.Join(upToDate, " "))
	if n := len(m.goals); n > 0 {
		if len(m.among(m.goals)) < n {
			return ""
		}
		last := m.goals[n-1]
		others := slices.DeleteFunc(slices.Clone(m.goals), func(name string) bool { return name == last })
		return fmt.Sprintf("%s: %s ; %s\n", last, strings.Join(others, " "), recipe)
	}
	return fmt.Sprintf(".PHONY: pipex.summary\npipex.summary: %s ; %s\n.DEFAULT_GOAL := pipex.summary\n", m.defaultGoal, recipe)
}
