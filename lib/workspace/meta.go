package workspace

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pipex/lib/step"
)

// Status is the state of a run.
type Status string

// A run is first prepared, then running, then success or failure. It can be executed
// again: then it is running again.
const (
	Prepared Status = "prepared"
	Running  Status = "running"
	Success  Status = "success"
	Failure  Status = "failure"
)

// Meta is the record of a run, stored as its meta.json: the decided step, the
// executions, and the result. A field that is in @livingdata/pipex 0.0.9 has the name
// and the meaning that it has there. An optional field that is not present has its zero
// value.
type Meta struct {
	// RunID is the run's id, which is also its directory's name.
	RunID string `json:"runId"`
	step.Pinned
	// Fingerprint is the decided step's fingerprint, in hexadecimal. A lookup finds the
	// run by it; see [step.Pinned.Fingerprint].
	Fingerprint string `json:"fingerprint"`
	// StartedAt is when the exec that decides the result began, the last one without a
	// command of its own, or its setup, if that ran just before. For a run without a
	// container it is PreparedAt. Not present before.
	StartedAt *Time `json:"startedAt,omitempty"`
	// FinishedAt is when that exec ended; for a run without a container, the time of
	// commit. Not present before.
	FinishedAt *Time `json:"finishedAt,omitempty"`
	// DurationMs is the time from StartedAt to FinishedAt in milliseconds; 0 before.
	DurationMs int64 `json:"durationMs"`
	// ExitCode is the status that pipex-exec returned for it: 124 after a timeout, 125
	// if pipex-exec itself failed. 0 is success. Not present before.
	ExitCode *int `json:"exitCode,omitempty"`
	// Status is prepared, running, success or failure. Commit needs success, unless
	// failures are allowed; lookups by fingerprint always do.
	Status Status `json:"status"`
	// Reason says why a run failed, if the exit code alone does not.
	Reason string `json:"reason,omitempty"`
	// PreparedAt is when prepare made the run.
	PreparedAt Time `json:"preparedAt"`
	// Container says what the run owns in containerd. Not present for a run that was
	// prepared without an image.
	Container *Container `json:"container,omitempty"`
	// Usage is the resource use of the exec that decides the result. Not present before
	// that exec has ended, or if it did not start.
	Usage *Usage `json:"usage,omitempty"`
	// ChangedInputs are files of mounts and sources that changed after prepare had seen
	// them, the first hundred; ChangedInputsMore counts the others. The step may have read
	// something else than the fingerprint says, so no lookup offers the run. Not present
	// if nothing has changed.
	ChangedInputs     []ChangedInput `json:"changedInputs,omitempty"`
	ChangedInputsMore int            `json:"changedInputsMore,omitempty"`
	// LookedAt is when mounts and sources were last compared with what prepare saw. Not
	// present before the first result.
	LookedAt *Time `json:"lookedAt,omitempty"`
	// Execs are all executions, in the order in which they began.
	Execs []Exec `json:"execs,omitempty"`
	// Artifacts is the summary of what commit published. Not present while the run is
	// open.
	Artifacts *Artifacts `json:"artifacts,omitempty"`
	// Version is the version of pipex that prepared the run.
	Version string `json:"pipexVersion"`
	// Host is the name of the machine that prepared the run.
	Host string `json:"host"`
}

// MayRun reports whether the run's container may still be running: the last exec has no status
// of its command. Its pipex-exec has died then, or does not know.
func (m *Meta) MayRun() bool {
	return len(m.Execs) > 0 && m.Execs[len(m.Execs)-1].ExitCode == nil
}

// Usage is what an exec has used, read from its control groups. A value that they do
// not provide is zero.
type Usage struct {
	// PeakMemoryBytes is the greatest memory use, in bytes. It includes the page cache
	// of the files that the command read and wrote.
	PeakMemoryBytes int64 `json:"peakMemoryBytes,omitempty"`
	// CPUMs is the CPU time, in milliseconds.
	CPUMs int64 `json:"cpuMs"`
	// OOMKilled says that the kernel killed one of the processes because memory ran out.
	OOMKilled bool `json:"oomKilled,omitempty"`
}

// Container says what a run owns in containerd, and what exec needs to know of the
// image. Discard and prune remove what it names.
type Container struct {
	// ID is the name of the run's lease, snapshot and container.
	ID string `json:"id"`
	// Namespace is the containerd namespace that they are in.
	Namespace string `json:"namespace"`
	// Snapshotter is the containerd snapshotter that the run uses.
	Snapshotter string `json:"snapshotter"`
	// ChainID is the name of the snapshot of the image's layers.
	ChainID string `json:"chainId"`
	// Architecture is the processor that the image is for, in Go's words.
	Architecture string `json:"architecture,omitempty"`
	// Entrypoint is the entrypoint; the container runs it followed by the command.
	Entrypoint []string `json:"entrypoint,omitempty"`
	// Env are the image's variables, as NAME=VALUE. The step's own override them.
	Env []string `json:"env,omitempty"`
}

// Exec is one execution of a run.
type Exec struct {
	// Cmd is the whole command, entrypoint included.
	Cmd []string `json:"cmd"`
	// Override says that the caller gave another command than the prepared one. Such an
	// exec does not decide the run's result.
	Override bool `json:"override,omitempty"`
	// Setup says that it was the run's setup. A setup that succeeds does not decide the
	// run's result; one that fails does.
	Setup bool `json:"setup,omitempty"`
	// Network is the network that the command had.
	Network step.Network `json:"network,omitempty"`
	// Terminal says that it had a terminal; then its stderr is in stdout.log, too.
	Terminal bool `json:"terminal,omitempty"`
	// BootID names the time since the start of the machine on which it ran, as Linux does. What
	// it wrote to the container's root may be lost after a restart.
	BootID string `json:"bootId,omitempty"`
	// Host is the name of that machine, and Address the socket of its containerd.
	Host    string `json:"host,omitempty"`
	Address string `json:"address,omitempty"`
	// Job is the job of a batch system in which it ran, such as "slurm:12".
	Job string `json:"job,omitempty"`
	// Cgroup is the container's control group, if it is not the default one.
	Cgroup string `json:"cgroup,omitempty"`
	// StartedAt is when exec began, before the container was created. The timeout counts
	// from then.
	StartedAt Time `json:"startedAt"`
	// FinishedAt is when the command ended. Not present while it runs.
	FinishedAt *Time `json:"finishedAt,omitempty"`
	// DurationMs is the time from StartedAt to FinishedAt, in milliseconds; 0 while it
	// runs.
	DurationMs int64 `json:"durationMs"`
	// ExitCode is the command's exit status, or 128+N if signal N ended it; 126 or 127 if
	// the command could not be run. Not present while it runs, or if there is no status
	// because pipex-exec failed or was killed together with the container.
	ExitCode *int `json:"exitCode,omitempty"`
	// Signal is the name of signal N, if ExitCode is 128+N. It cannot be told apart from a
	// command that returned that number.
	Signal string `json:"signal,omitempty"`
	// TimedOut says that the command was ended by its timeout.
	TimedOut bool `json:"timedOut,omitempty"`
	// Usage is what the exec has used. Not present while it runs, or if the command did
	// not start.
	Usage *Usage `json:"usage,omitempty"`
	// Error says why the command did not run or why its status is not known. Not present
	// if it ran.
	Error string `json:"error,omitempty"`
	// StdoutOffset and StderrOffset are the sizes of stdout.log and stderr.log, in bytes,
	// when the exec began: its part of the logs starts there.
	StdoutOffset int64 `json:"stdoutOffset"`
	StderrOffset int64 `json:"stderrOffset"`
	// LogMaxBytes is how many bytes of each log were to be kept; 0 for all.
	LogMaxBytes int64 `json:"logMaxBytes,omitempty"`
	// StdoutDropped and StderrDropped are how many bytes beyond LogMaxBytes the command
	// wrote, or after the disk was full. They are not in the logs.
	StdoutDropped int64 `json:"stdoutDropped,omitempty"`
	StderrDropped int64 `json:"stderrDropped,omitempty"`
}

// Artifacts is the summary of the artifacts of a committed run.
type Artifacts struct {
	// Digest covers names, content and modes; see [tree.Tree.Digest]. Steps that read
	// the artifacts have it in their fingerprints.
	Digest string `json:"digest"`
	// Files is the number of regular files.
	Files int `json:"files"`
	// Bytes is the sum of their sizes.
	Bytes int64 `json:"bytes"`
}

// Time is a time that JSON holds in the form of JavaScript's Date.toISOString: in UTC,
// to the millisecond.
type Time struct{ time.Time }

const timeForm = "2006-01-02T15:04:05.000Z"

// Now returns the current time, rounded down to what JSON can hold.
func Now() Time { return Time{time.Now().UTC().Truncate(time.Millisecond)} }

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.UTC().Format(timeForm)) }

// UnmarshalJSON implements [json.Unmarshaler]. It accepts any RFC 3339 time.
func (t *Time) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	parsed, err := time.Parse(time.RFC3339, s)
	*t = Time{parsed}
	return err
}

// maxMeta is how many bytes of a meta.json are read at most.
const maxMeta = 64 << 20

// Meta reads the run's record. It takes no lock: the record is replaced atomically. The
// error names the run and says how to remove it.
func (r Run) Meta() (*Meta, error) {
	m := new(Meta)
	data, err := readFile(filepath.Join(r.Dir, "meta.json"), maxMeta)
	if err == nil {
		err = decodeMeta(data, m)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read meta.json of run %q: %w; pipex-discard removes an open run, pipex-prune --older-than 0s a committed one", r.ID, err)
	}
	return m, nil
}

// DecodeMeta decodes a record that comes from elsewhere.
func DecodeMeta(data []byte) (*Meta, error) {
	m := new(Meta)
	return m, decodeMeta(data, m)
}

// WriteMeta replaces the record of an open run, atomically. The caller holds the run's
// lock. Until Commit, power loss may bring back the record from before.
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

// growth is by how many bytes a record may grow while a command runs.
const growth = 16 << 10

// Reserve takes the room on the disk for a record of r that is a little longer than m, and
// returns the path of the file that has it, for [Workspace.WriteReserved]. The caller holds
// the run's lock, and removes the file if it does not use it.
func (ws *Workspace) Reserve(r Run, m *Meta) (string, error) {
	data, err := encode(m)
	var spare string
	if err == nil {
		spare, err = ws.Scratch(r.ID)
	}
	if err == nil {
		// Written, not only allocated: not all file systems can do that.
		err = os.WriteFile(spare, make([]byte, len(data)+growth), 0o666)
	}
	if err != nil {
		os.Remove(spare)
		return "", fmt.Errorf("cannot reserve room for meta.json of run %q: %w", r.ID, err)
	}
	return spare, nil
}

// ReserveAgain is Reserve for a caller that goes on where a dead holder of the run's lock was.
// What that one has reserved is given back first.
func (ws *Workspace) ReserveAgain(r Run, m *Meta) (string, error) {
	left, _ := os.ReadDir(ws.path(private, "tmp"))
	for _, e := range left {
		if strings.HasPrefix(e.Name(), r.ID+".") {
			os.RemoveAll(ws.path(private, "tmp", e.Name()))
		}
	}
	return ws.Reserve(r, m)
}

// Sync writes the record of an open run to the disk, or to the server of its file system.
func (r Run) Sync() error {
	for _, path := range []string{filepath.Join(r.Dir, "meta.json"), r.Dir} {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// WriteReserved is [Workspace.WriteMeta] with a file that [Workspace.Reserve] returned. So
// it needs no more room on the disk, unless the record is longer than expected. Without a
// file it is WriteMeta.
func (ws *Workspace) WriteReserved(spare string, r Run, m *Meta) error {
	if spare == "" {
		return ws.WriteMeta(r, m)
	}
	data, err := encode(m)
	if err == nil {
		err = overwrite(spare, data)
	}
	if err == nil {
		err = os.Rename(spare, filepath.Join(r.Dir, "meta.json"))
	}
	if err != nil {
		os.Remove(spare)
		return fmt.Errorf("cannot write meta.json of run %q: %w", r.ID, err)
	}
	return nil
}
