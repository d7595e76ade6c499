package test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// limit is how long a test waits for something to become true, every pause anew.
const (
	limit = 30 * time.Second
	pause = 50 * time.Millisecond
)

// within tries a condition until it holds; it returns false if the time is over.
func within(limit time.Duration, holds func() bool) bool {
	for end := time.Now().Add(limit); !holds(); time.Sleep(pause) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// owned N: within 30 s so many ids own something in containerd on behalf of the
// script's workspaces.
func owned(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: owned N")
	}
	var ids []string
	if !within(limit, func() bool {
		var err error
		ids, err = held(ts.Getenv("CONTAINERD_ADDRESS"), ts.MkAbs("."))
		ts.Check(err)
		return strconv.Itoa(len(ids)) == args[0]
	}) {
		ts.Fatalf("containerd holds something for %d runs, want %s: %v", len(ids), args[0], ids)
	}
}

// ctr returns what ctr prints on stdout. On stderr that of containerd 2 warns of what is
// deprecated in the daemon.
func ctr(address string, args ...string) (string, error) {
	out, err := exec.Command("ctr", append([]string{"-a", address, "-n", "pipex"}, args...)...).Output()
	return string(out), err
}

// held lists the ids of leases, containers and snapshots that bear in a label the
// directory of a workspace below dir, which need not exist any more.
func held(address, dir string) (ids []string, err error) {
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	below := fmt.Sprintf("labels.%q~=%q", "pipex.workdir", "^"+regexp.QuoteMeta(dir)+"/")
	for _, kind := range []string{"leases", "containers"} {
		some, err := ctr(address, kind, "ls", "-q", below)
		if err != nil {
			return nil, err
		}
		ids = append(ids, strings.Fields(some)...)
	}
	// ctr filters no snapshots.
	list, err := ctr(address, "snapshots", "ls")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(list) {
		key, _, _ := strings.Cut(line, " ")
		if key == "KEY" || strings.HasPrefix(key, "sha256:") || slices.Contains(ids, key) {
			continue // the heading, an image's, known
		}
		info, err := ctr(address, "snapshots", "info", key)
		if err != nil {
			continue // gone by now
		}
		var snapshot struct{ Labels map[string]string }
		if err := json.Unmarshal([]byte(info), &snapshot); err != nil {
			return nil, err
		}
		if strings.HasPrefix(snapshot.Labels["pipex.workdir"], dir+"/") {
			ids = append(ids, strings.TrimSuffix(key, "-sources"))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// release drops whatever a script has left in containerd.
func release(address, dir string) {
	ids, _ := held(address, dir)
	for _, id := range ids {
		ctr(address, "tasks", "rm", "--force", id)
		ctr(address, "containers", "rm", id)
		ctr(address, "snapshots", "rm", id)
		ctr(address, "snapshots", "rm", id+"-sources")
		ctr(address, "leases", "rm", id)
	}
}
