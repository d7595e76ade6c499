package workspace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"pipex/lib/idmap"
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

// Meta is the record of a run, its meta.json. The fields down to Status are
// those of @livingdata/pipex 0.0.9, under the same names; the others are ours.
type Meta struct {
	RunID        string            `json:"runId"`
	StepID       string            `json:"stepId,omitempty"`
	StepName     string            `json:"stepName,omitempty"`
	StartedAt    *Time             `json:"startedAt,omitempty"`
	FinishedAt   *Time             `json:"finishedAt,omitempty"`
	DurationMs   int64             `json:"durationMs"`
	ExitCode     *int              `json:"exitCode,omitempty"`
	Image        string            `json:"image"`
	Cmd          []string          `json:"cmd"`
	Env          map[string]string `json:"env,omitempty"`
	Inputs       []Input           `json:"inputs,omitempty"`
	Mounts       []Mount           `json:"mounts,omitempty"`
	Caches       []string          `json:"caches,omitempty"`
	AllowNetwork bool              `json:"allowNetwork"`
	Fingerprint  string            `json:"fingerprint"`
	Status       Status            `json:"status"`

	// Reason says in words why a run failed where the exit code does not.
	Reason      string       `json:"reason,omitempty"`
	PreparedAt  Time         `json:"preparedAt"`
	ImageDigest string       `json:"imageDigest,omitempty"`
	ImageID     string       `json:"imageId,omitempty"`
	Platform    string       `json:"platform,omitempty"`
	Cwd         string       `json:"cwd,omitempty"`
	User        string       `json:"user,omitempty"`
	Network     string       `json:"network,omitempty"`
	Output      string       `json:"output,omitempty"`
	TimeoutMs   int64        `json:"timeoutMs,omitempty"`
	ReadOnly    bool         `json:"readOnly,omitempty"`
	Hostname    string       `json:"hostname,omitempty"`
	NoInit      bool         `json:"noInit,omitempty"`
	Limits      *Limits      `json:"limits,omitempty"`
	CacheMounts []CacheMount `json:"cacheMounts,omitempty"`
	Sources     []Mount      `json:"sources,omitempty"`
	Tmpfs       []Tmpfs      `json:"tmpfs,omitempty"`
	Secrets     []Secret     `json:"secrets,omitempty"`
	Devices     []string     `json:"devices,omitempty"`
	CapAdd      []string     `json:"capAdd,omitempty"`
	CapDrop     []string     `json:"capDrop,omitempty"`
	Userns      *idmap.Map   `json:"userns,omitempty"`
	Setup       *Setup       `json:"setup,omitempty"`
	Entrypoint  *[]string    `json:"entrypoint,omitempty"`
	Container   *Container   `json:"container,omitempty"`
	Usage       *Usage       `json:"usage,omitempty"`
	Execs       []Exec       `json:"execs,omitempty"`
	Artifacts   *Artifacts   `json:"artifacts,omitempty"`
	Version     string       `json:"pipexVersion"`
	Host        string       `json:"host"`
}

// Input is a committed run whose artifacts a run reads.
type Input struct {
	Step      string `json:"step"`
	RunID     string `json:"runId"`
	MountedAs string `json:"mountedAs,omitempty"`
	// Digest is that of the input's artifacts.
	Digest string `json:"digest"`
	// Copied says that the artifacts were copied into the output instead.
	Copied bool `json:"copied,omitempty"`
}

// Mount is a host directory or file that a run reads.
type Mount struct {
	HostPath      string `json:"hostPath"`
	ContainerPath string `json:"containerPath"`
	// Digest is that of the content at the time of prepare.
	Digest string `json:"digest"`
}

// CacheMount is where a run sees a cache.
type CacheMount struct {
	Name      string `json:"name"`
	Path      string `json:"path"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	Exclusive bool   `json:"exclusive,omitempty"`
}

// Setup is what a run's first exec runs before the command.
type Setup struct {
	Cmd          []string     `json:"cmd"`
	AllowNetwork bool         `json:"allowNetwork"`
	Network      string       `json:"network"`
	Caches       []string     `json:"caches,omitempty"`
	CacheMounts  []CacheMount `json:"cacheMounts,omitempty"`
}

// Tmpfs is a directory in memory.
type Tmpfs struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes,omitempty"`
}

// Secret says where a secret comes from when the run is executed; its value is
// not recorded.
type Secret struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"`
	Env  bool   `json:"env,omitempty"`
}

// Limits bound what a run may use.
type Limits struct {
	MemoryBytes int64    `json:"memoryBytes,omitempty"`
	CPUs        float64  `json:"cpus,omitempty"`
	Pids        int64    `json:"pids,omitempty"`
	ShmBytes    int64    `json:"shmBytes,omitempty"`
	Ulimits     []string `json:"ulimits,omitempty"`
	// LogMaxBytes is how much of each log is kept.
	LogMaxBytes int64 `json:"logMaxBytes,omitempty"`
}

// Usage is what an exec has used, as far as the machine's control groups tell.
type Usage struct {
	// PeakMemoryBytes includes the page cache of what it read and wrote.
	PeakMemoryBytes int64 `json:"peakMemoryBytes,omitempty"`
	CPUMs           int64 `json:"cpuMs"`
	// OOMKilled says that a process of it was killed for want of memory.
	OOMKilled bool `json:"oomKilled,omitempty"`
}

// Container is what a run owns in containerd: a lease, a snapshot and a
// container, all called ID in Namespace; and what the image says of a process.
type Container struct {
	ID          string   `json:"id"`
	Namespace   string   `json:"namespace"`
	Snapshotter string   `json:"snapshotter"`
	ChainID     string   `json:"chainId"`
	Entrypoint  []string `json:"entrypoint,omitempty"`
	Env         []string `json:"env,omitempty"`
}

// Exec is one execution of a run, in the order in which they began.
type Exec struct {
	Cmd []string `json:"cmd"`
	// Override says that the command was not the prepared one; such an exec
	// does not decide the run's result.
	Override bool `json:"override,omitempty"`
	// Setup says that it was the run's setup.
	Setup      bool   `json:"setup,omitempty"`
	Network    string `json:"network,omitempty"`
	Terminal   bool   `json:"terminal,omitempty"`
	StartedAt  Time   `json:"startedAt"`
	FinishedAt *Time  `json:"finishedAt,omitempty"`
	DurationMs int64  `json:"durationMs"`
	ExitCode   *int   `json:"exitCode,omitempty"`
	// Signal is what 128 less than the exit code stands for: most likely it
	// ended the command, which may as well have returned that code.
	Signal   string `json:"signal,omitempty"`
	TimedOut bool   `json:"timedOut,omitempty"`
	Usage    *Usage `json:"usage,omitempty"`
	// Error says why there is no exit code of the command's own.
	Error string `json:"error,omitempty"`
	// StdoutOffset and StderrOffset are where this exec's part of the logs
	// begins, in bytes.
	StdoutOffset int64 `json:"stdoutOffset"`
	StderrOffset int64 `json:"stderrOffset"`
	// LogMaxBytes is how much of each was to be kept, if not all; StdoutDropped and
	// StderrDropped are how much more the command wrote.
	LogMaxBytes   int64 `json:"logMaxBytes,omitempty"`
	StdoutDropped int64 `json:"stdoutDropped,omitempty"`
	StderrDropped int64 `json:"stderrDropped,omitempty"`
}

// Artifacts sums up what a committed run holds.
type Artifacts struct {
	Digest string `json:"digest"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
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
