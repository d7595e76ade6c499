// Package doctor checks whether steps can run on this machine and in this directory. It
// takes no lock of a workspace, and changes nothing but for files of its own that it removes.
package doctor

import (
	"context"
	"fmt"
	"os"
	"time"

	"pipex/lib/run"
)

// Status is the result of a check.
type Status string

const (
	OK      Status = "ok"      // it works
	Warning Status = "warning" // steps run; something that some of them need is missing
	Fails   Status = "fails"   // steps do not run before this is mended
)

// Finding is what a check has found.
type Finding struct {
	// Check names what was looked at, such as containerd or locks.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Found says what is there, or what is wrong.
	Found string `json:"found"`
	// Help is the one command, or else the one thing to do, that helps. Empty if all is well.
	Help string `json:"help,omitempty"`
}

func ok(format string, args ...any) Finding {
	return Finding{Status: OK, Found: fmt.Sprintf(format, args...)}
}

func warning(help, format string, args ...any) Finding {
	return Finding{Status: Warning, Found: fmt.Sprintf(format, args...), Help: help}
}

func fails(help, format string, args ...any) Finding {
	return Finding{Status: Fails, Found: fmt.Sprintf(format, args...), Help: help}
}

// patience is how long one check may take. A check of files takes milliseconds; what takes
// longer hangs, such as a file server that does not answer.
const patience = 5 * time.Second

// check is one check. Its function may hang: then it is left behind.
type check struct {
	name string
	do   func(context.Context) Finding
}

// Machine checks this machine: the kernel, containerd, what it needs, and the programs that
// the scripts use. Each check takes five seconds at most. The findings are in an order in
// which it makes sense to mend what is missing.
func Machine(ctx context.Context, p run.Place) []Finding {
	p = p.WithDefaults()
	daemon := new(daemon)
	return all(ctx, []check{
		{"kernel", kernel},
		{"seccomp", seccomp},
		{"cgroups", cgroups},
		{"overlay", overlay},
		{"programs", programs},
		{"runc", runc},
		{"containerd", func(ctx context.Context) Finding { return daemon.ask(ctx, p.Containerd) }},
		{"init", tini},
		{"networks", networks(p.CNI)},
		{"rootless", rootless},
		room("temporary files", os.TempDir()),
	}, daemon.checks)
}

// Filesystem checks the file system of a directory, in which a workspace is, or is to be: its
// clock, locks, renames and room. The directory, or the nearest one above it that is there,
// must be writable. Each check takes five seconds at most.
func Filesystem(ctx context.Context, dir string) []Finding {
	return all(ctx, files(dir), nil)
}

// all makes the checks beside each other, then those of after, which know what the others
// have found.
func all(ctx context.Context, checks []check, after func() []check) []Finding {
	findings := make([]Finding, len(checks))
	done := make([]chan Finding, len(checks))
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i, c := range checks {
		done[i] = make(chan Finding, 1)
		go func() { done[i] <- c.do(ctx) }()
	}
	late := time.After(patience + time.Second/2) // after those that heed ctx
	for i, c := range checks {
		select {
		case findings[i] = <-done[i]:
		case <-late:
			late = time.After(0)
			select {
			case findings[i] = <-done[i]:
			default:
				findings[i] = fails("look in dmesg for what hangs: a file server, a disk or a program", "no answer within %s", patience)
			}
		}
		findings[i].Check = c.name
	}
	if after != nil {
		findings = append(findings, all(ctx, after(), nil)...)
	}
	return findings
}
