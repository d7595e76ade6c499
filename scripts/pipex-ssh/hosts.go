package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// valid is what the name of a host may be: with a user, and never an option of ssh.
var valid = regexp.MustCompile(`^[A-Za-z0-9_.@\[][A-Za-z0-9_.@\[\]-]*$`)

// named is a host as the caller names it; slots is 0 if as many as it has processors.
type named struct {
	name  string
	slots int
}

// names returns the hosts of $PIPEX_HOSTS, else of the Slurm allocation.
func names() ([]named, error) {
	text := os.Getenv("PIPEX_HOSTS")
	if strings.TrimSpace(text) == "" {
		var err error
		if text, err = allocated(); err != nil {
			return nil, err
		}
	}
	var all []named
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' }) {
		h := named{name: word}
		if i := strings.LastIndexByte(word, ':'); i >= 0 {
			n, err := strconv.Atoi(word[i+1:])
			if err != nil || n < 1 || n > maxSlots {
				return nil, fmt.Errorf("PIPEX_HOSTS: %q is not a number of slots from 1 to %d", word[i+1:], maxSlots)
			}
			h = named{word[:i], n}
		}
		if !valid.MatchString(h.name) {
			return nil, fmt.Errorf("PIPEX_HOSTS: %q is not the name of a host", h.name)
		}
		all = append(all, h)
	}
	return all, nil
}

// allocated returns the hosts of the Slurm allocation that this process is in. scontrol only expands the list: it does
// not ask the controller.
func allocated() (string, error) {
	list := os.Getenv("SLURM_JOB_NODELIST")
	if list == "" {
		return "", errors.New("no hosts: set PIPEX_HOSTS='node1 node2', or call it in a Slurm allocation")
	}
	out := []byte(list)
	if strings.ContainsRune(list, '[') {
		var err error
		if out, err = exec.Command("scontrol", "show", "hostnames", list).Output(); err != nil {
			return "", fmt.Errorf("cannot read SLURM_JOB_NODELIST %q: scontrol: %w", list, err)
		}
	}
	hosts, counts := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' || r == ',' }), cpus(os.Getenv("SLURM_JOB_CPUS_PER_NODE"))
	for i := range hosts {
		if i < len(counts) {
			hosts[i] += ":" + strconv.Itoa(min(counts[i], maxSlots))
		}
	}
	return strings.Join(hosts, " "), nil
}

// cpus reads SLURM_JOB_CPUS_PER_NODE (sbatch(1)): a list of COUNT or COUNT(xREPETITIONS).
func cpus(text string) (all []int) {
	for part := range strings.SplitSeq(text, ",") {
		count, times, _ := strings.Cut(strings.TrimSuffix(part, ")"), "(x")
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return nil
		}
		repeat := 1
		if times != "" {
			if repeat, err = strconv.Atoi(times); err != nil || repeat > 1<<16 {
				return nil
			}
		}
		for range repeat {
			all = append(all, n)
		}
	}
	return all
}
