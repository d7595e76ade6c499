package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"pipex/lib/name"
	"pipex/lib/workspace"
)

// step is one call of pipex-step.
type step struct {
	help            bool
	name            string
	prepare         []string // options of pipex-prepare, -- and the command
	retries         int
	infraRetries    int    // tries more if an exec elsewhere is lost
	exec            string // carries pipex-exec elsewhere
	misused         bool   // what carries it cannot be run
	cacheFrom       string // a registry
	delay           time.Duration
	allowFailure    bool
	stamp, tried    string
	address, spaces string // as options, for the hint after a failure
	held            *workspace.Lock
	ephemeral       bool
	stdin           bool // is the command's
	quiet, label    bool
	tally           string
	files           int64 // in the artifacts of the run that has ended
	over            bool  // the event that says what has become of the step is sent
}

// parse reads the arguments. Options for all verbs become environment variables, which
// the verbs read.
func parse(args []string) (s *step, err error) {
	s = &step{infraRetries: 2}
	for len(args) > 0 && args[0] != "--" {
		option, value, took := args[0], "", 2
		if name, v, ok := strings.Cut(option, "="); ok && strings.HasPrefix(option, "-") {
			option, value, took = name, v, 1
		} else if len(args) > 1 {
			value = args[1]
		}
		switch option {
		case "-h", "--help":
			s.help = true
			return s, nil
		case "--allow-failure":
			s.allowFailure = true
			args = args[1:]
			continue
		case "--ephemeral":
			s.ephemeral = true
			args = args[1:]
			continue
		case "-i":
			s.stdin = true
			args = args[1:]
			continue
		case "--label":
			s.label = true
			args = args[1:]
			continue
		case "-q", "--quiet":
			if s.name == "" { // else it is pipex-prepare's
				s.quiet = true
				args = args[1:]
				continue
			}
		}
		known, err := s.set(option, value)
		switch {
		case !known && s.name == "" && option == "": // most likely a script's variable is not set
			return s, errors.New("the name of the STEP is empty")
		case !known && s.name == "":
			s.name, took = args[0], 1
		case !known:
			s.prepare, took = append(s.prepare, args[0]), 1
		case value == "":
			return s, fmt.Errorf("%s takes a value", option)
		case err != nil:
			return s, err
		}
		args = args[took:]
	}
	s.prepare = append(s.prepare, args...)
	switch {
	case s.ephemeral && slices.Contains(s.prepare[:len(s.prepare)-len(args)], "--cached"):
		return s, errors.New("--ephemeral and --cached exclude each other")
	case s.name == "":
		return s, errors.New("the name of a STEP is wanted")
	case s.name[0] == '-':
		if near := misspelt(s.name); near != "" {
			return s, fmt.Errorf("unknown option %q; did you mean %s?", s.name, near)
		}
		return s, fmt.Errorf("%q stands before STEP; prepare's options come after it", s.name)
	}
	return s, nil
}

// own are the options that pipex-prepare does not have. It refuses a misspelt one that
// stands after STEP, and cannot say what it was meant to be.
var own = []string{"file", "ephemeral", "retries", "infra-retries", "exec", "cache-from", "retry-delay", "allow-failure", "stamp", "tried"}

// misspelt returns the option of ours that another one was meant to be, or "".
func misspelt(option string) string {
	option, _, _ = strings.Cut(option, "=")
	long, ok := strings.CutPrefix(option, "--")
	if near := name.Near(long, own); ok && near != "" {
		return "--" + near
	}
	return ""
}

// explainUsage says which of our options those that pipex-prepare refused were meant to be.
func (s *step) explainUsage() {
	for _, option := range s.prepare {
		if option == "--" {
			return
		}
		if near := misspelt(option); near != "" {
			say("%q: did you mean %s?", option, near)
		}
	}
}

// set sets an option that takes a value, and says whether there is such an option.
func (s *step) set(option, value string) (known bool, err error) {
	switch option {
	case "-w", "--workspace":
		os.Setenv("PIPEX_WORKSPACE", value)
	case "--workdir":
		os.Setenv("PIPEX_WORKDIR", value)
	case "--address":
		os.Setenv("CONTAINERD_ADDRESS", value)
		s.address = " --address " + quote(value)
	case "--namespace":
		os.Setenv("PIPEX_NAMESPACE", value)
		s.spaces = " --namespace " + value
	case "--retries":
		if s.retries, err = strconv.Atoi(value); err != nil || s.retries < 0 {
			return true, errors.New("--retries takes a number")
		}
	case "--infra-retries":
		if s.infraRetries, err = strconv.Atoi(value); err != nil || s.infraRetries < 0 {
			return true, errors.New("--infra-retries takes a number")
		}
	case "--exec":
		s.exec = value
	case "--cache-from":
		s.cacheFrom = value
	case "--retry-delay":
		seconds, err := strconv.ParseFloat(strings.TrimSuffix(value, "s"), 64)
		if err != nil || !(seconds >= 0 && seconds < 1e9) {
			return true, errors.New("--retry-delay takes seconds, such as 5 or 0.5s")
		}
		s.delay = time.Duration(seconds * float64(time.Second))
	case "--stamp":
		s.stamp = value
	case "--tried":
		s.tried = value
	case "--tally":
		s.tally = value
	default:
		return false, nil
	}
	return true, nil
}

// where are the options with which a person finds the run: none for the defaults.
func (s *step) where() string {
	text := ""
	if ws := os.Getenv("PIPEX_WORKSPACE"); ws != "" && ws != "default" {
		text += " -w " + ws
	}
	if dir := os.Getenv("PIPEX_WORKDIR"); dir != "" && dir != "workdir" && dir != "./workdir" {
		text += " --workdir " + quote(dir)
	}
	return text
}

// quote returns a word quoted for a shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
