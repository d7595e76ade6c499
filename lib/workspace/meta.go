package workspace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"pipex/lib/step"
)

// Status is how far a run has come.
type Status string

// A run is prepared, then running, then a success or a failure; running and
// finished may alternate, since a run may be executed any number of times.
const (
	Prepared Status = "prepared"
	Running  Status = "running"
	Success  Status = "success"
	Failure  Status = "failure"
)

// Meta is the record of a run, its meta.json: the decided step, and what became of
// it. Fields of @livingdata/pipex 0.0.9 have its names; those that it does not know
// come with a later one of ours. A field that is left out has its zero value.
type Meta struct {
	RunID string `json:"runId"`
	step.Pinned
	// Fingerprint is that of the decided step, in hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// StartedAt, FinishedAt, DurationMs (milliseconds) and ExitCode are those of the
	// exec that decides the result; without one they are missing or zero. ExitCode
	// is 124 for a command that timed out.
	StartedAt  *Time  `json:"startedAt,omitempty"`
	FinishedAt *Time  `json:"finishedAt,omitempty"`
	DurationMs int64  `json:"durationMs"`
	ExitCode   *int   `json:"exitCode,omitempty"`
	Status     Status `json:"status"`
	// Reason says in words why a run failed where the exit code does not.
	Reason string `json:"reason,omitempty"`
	// PreparedAt is when prepare made the run.
	PreparedAt Time `json:"preparedAt"`
	// Container is missing for a run that was prepared without an image.
	Container *Container `json:"container,omitempty"`
	// Usage is that of the exec that decides the result.
	Usage *Usage `json:"usage,omitempty"`
	// Execs are all executions, in the order in which they began.
	Execs []Exec `json:"execs,omitempty"`
	// Artifacts sum up what commit published; missing while the run is open.
	Artifacts *Artifacts `json:"artifacts,omitempty"`
	// Version is the pipex that prepared the run, and Host the machine.
	Version string `json:"pipexVersion"`
	Host    string `json:"host"`
}

// Usage is what an exec has used, read from its control groups. What they do not
// tell is zero.
type Usage struct {
	// PeakMemoryBytes includes the page cache of the files that it read and wrote.
	PeakMemoryBytes int64 `json:"peakMemoryBytes,omitempty"`
	// CPUMs is the time on processors, in milliseconds.
	CPUMs int64 `json:"cpuMs"`
	// OOMKilled says that the kernel killed one of its processes because memory ran out.
	OOMKilled bool `json:"oomKilled,omitempty"`
}

// Container names what a run owns in containerd, a lease, a snapshot and a container,
// all called ID in Namespace; and what the image says of a process.
type Container struct {
	ID          string `json:"id"`
	Namespace   string `json:"namespace"`
	Snapshotter string `json:"snapshotter"`
	// ChainID is the snapshot of the image's layers.
	ChainID string `json:"chainId"`
	// Entrypoint and Env come before the step's own command and variables.
	Entrypoint []string `json:"entrypoint,omitempty"`
	Env        []string `json:"env,omitempty"`
}

// Exec is one execution of a run.
type Exec struct {
	// Cmd is the whole command, entrypoint included.
	Cmd []string `json:"cmd"`
	// Override says that the command was not the prepared one; such an exec
	// does not decide the run's result.
	Override bool `json:"override,omitempty"`
	// Setup says that it was the run's setup.
	Setup bool `json:"setup,omitempty"`
	// Network is what it could reach.
	Network step.Network `json:"network,omitempty"`
	// Terminal says that it had a terminal; its stderr is then in stdout.log.
	Terminal  bool `json:"terminal,omitempty"`
	StartedAt Time `json:"startedAt"`
	// FinishedAt is missing while it runs.
	FinishedAt *Time `json:"finishedAt,omitempty"`
	DurationMs int64 `json:"durationMs"`
	// ExitCode is the command's own status, or 128 and the number of the signal
	// that ended it; missing if there is none.
	ExitCode *int `json:"exitCode,omitempty"`
	// Signal is what 128 less than the exit code stands for: most likely it
	// ended the command, which may as well have returned that code.
	Signal string `json:"signal,omitempty"`
	// TimedOut says that the command was ended because its time was up.
	TimedOut bool   `json:"timedOut,omitempty"`
	Usage    *Usage `json:"usage,omitempty"`
	// Error says why there is no exit code of the command's own.
	Error string `json:"error,omitempty"`
	// StdoutOffset and StderrOffset are where this exec's part of the logs
	// begins, in bytes.
	StdoutOffset int64 `json:"stdoutOffset"`
	StderrOffset int64 `json:"stderrOffset"`
	// LogMaxBytes is how much of each log was to be kept, 0 for all of it.
	// StdoutDropped and StderrDropped are how many bytes more the command wrote.
	LogMaxBytes   int64 `json:"logMaxBytes,omitempty"`
	StdoutDropped int64 `json:"stdoutDropped,omitempty"`
	StderrDropped int64 `json:"stderrDropped,omitempty"`
}

// Artifacts sums up what a committed run holds.
type Artifacts struct {
	// Digest is over names, content and modes; see [tree.Tree.Digest].
	Digest string `json:"digest"`
	// Files counts regular files, and Bytes their sizes.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Time is written as JavaScript's Date.toISOString does: UTC, milliseconds.
type Time struct{ time.Time }

const timeForm = "2006-01-02T15:04:05.000Z"

// Now is the present, as it will be read back.
func Now() Time { return Time{time.Now().UTC().Truncate(time.Millisecond)} }

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.UTC().Format(timeForm)) }

// UnmarshalJSON implements [json.Unmarshaler]; any RFC 3339 time will do.
func (t *Time) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	parsed, err := time.Parse(time.RFC3339, s)
	*t = Time{parsed}
	return err
}

// maxMeta bounds what is read of a meta.json, in bytes.
const maxMeta = 64 << 20

// Meta reads the run's record. The error names the run and the way out.
func (r Run) Meta() (*Meta, error) {
	m := new(Meta)
	if err := readJSON(filepath.Join(r.Dir, "meta.json"), maxMeta, m); err != nil {
		return nil, fmt.Errorf("cannot read meta.json of run %q: %w; pipex-discard forgets an open run, pipex-prune a committed one", r.ID, err)
	}
	return m, nil
}

// WriteMeta replaces the record of an open run, atomically. Commit makes it
// durable.
func (ws *Workspace) WriteMeta(r Run, m *Meta) error {
	data, err := encode(m)
	if err == nil {
		err = ws.replaceFile(r.ID, filepath.Join(r.Dir, "meta.json"), data)
	}
	if err != nil {
		return fmt.Errorf("cannot write meta.json of run %q: %w", r.ID, err)
	}
	return nil
}

func readJSON(path string, limit int64, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return err
	}
	err = json.Unmarshal(data, v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && len(data) == 0 {
		return errors.New("the file is empty")
	}
	return err
}
