package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// event is a line of $PIPEX_EVENTS, which pipex-run reads.
type event struct {
	Event        string   `json:"event"`
	Step         stepName `json:"step"`
	Reason       string   `json:"reason,omitempty"`
	RunID        string   `json:"runId,omitempty"`
	ExitCode     *int     `json:"exitCode,omitempty"`
	DurationMs   *int64   `json:"durationMs,omitempty"`
	ArtifactSize *int64   `json:"artifactSize,omitempty"`
	Attempt      int      `json:"attempt,omitempty"`
	MaxRetries   int      `json:"maxRetries,omitempty"`
}

type stepName struct {
	ID string `json:"id"`
}

// interrupted is the reason of a step that a signal has stopped.
const interrupted = "interrupted"

func failure(status int) event { return event{Event: "STEP_FAILED", ExitCode: &status} }

// event appends an event, in one write, so that those of several steps do not mix.
func (s *step) event(e event) {
	s.over = e.Event == "STEP_FINISHED" || e.Event == "STEP_FAILED" || e.Event == "STEP_SKIPPED"
	if s.over {
		s.ends(e)
	}
	path := os.Getenv("PIPEX_EVENTS")
	if path == "" {
		return
	}
	e.Step.ID = s.name
	line, err := json.Marshal(e)
	if err == nil {
		var f *os.File
		// Without O_NONBLOCK, opening a pipe waits for a reader, and pipex-run may be dead.
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o666); err == nil {
			defer f.Close()
			_, err = f.Write(append(line, '\n'))
		}
	}
	if err != nil {
		say("cannot write an event: %v", err)
	}
}

// failed reports a step without a result and returns the exit status. With --tried that
// is 0, and the step loses its link and its stamp.
func (s *step) failed(status int, e event) int {
	s.event(e)
	if s.tried == "" {
		return status
	}
	exec.Command("pipex-link", "--delete", s.name).Run() // it may have no link
	os.Remove(s.stamp)
	if err := touch(s.tried); err != nil {
		say("cannot touch %q: %v", s.tried, err)
		return statusCannot
	}
	return 0
}

// mark writes the stamp of a step that is linked, and before it, since we may be killed,
// the digest of the artifacts, if that has changed.
func (s *step) mark(run, digest string) error {
	if s.stamp == "" {
		return nil
	}
	if s.tried != "" {
		if err := touch(s.tried); err != nil {
			return err
		}
	}
	output := s.stamp + ".output"
	before, _ := os.ReadFile(output)
	if strings.TrimSuffix(string(before), "\n") != digest {
		if err := replace(output, digest); err != nil {
			return err
		}
	}
	return replace(s.stamp, run+" "+os.Getenv("PIPEX_STAMP"))
}

// replace puts a line into a file, whole or not at all, whoever else does the same.
func replace(path, line string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.WriteString(line + "\n")
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// touch gives a file the present as its time, and creates it, and its directory, if it
// does not exist.
func touch(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	f.Close()
	// The kernel's own present, as for a file that is written: its clock is coarser than
	// ours, and a stamp that is written next must not be older.
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, now, 0)
}
