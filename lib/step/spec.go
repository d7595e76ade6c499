// Package step says what a step is: its specification, from flags or JSON, the
// rules it must keep, and the fingerprint of everything that decides its
// output. It looks at nothing outside the specification but the files that the
// flags name.
package step

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"pipex/lib/name"
)

// Spec describes one step, as it is asked for. Its JSON form is what
// pipex-prepare --spec reads: unknown keys are errors. The zero Spec is a step
// without a container, whose output somebody else fills.
type Spec struct {
	// Step is the step's name, and Name what people call it.
	Step string `json:"step,omitempty"`
	Name string `json:"name,omitempty"`
	// Image is a reference, such as busybox; without one there is no container.
	Image string `json:"image,omitempty"`
	Pull  Pull   `json:"pull,omitempty"`
	Options
	// Setup is executed before the command; nil for none.
	Setup  *Setup  `json:"setup,omitempty"`
	Inputs []Input `json:"inputs,omitempty"`
	Mounts []Mount `json:"mounts,omitempty"`
	// Sources are host files and directories that the container gets a writable
	// copy of.
	Sources []Mount `json:"sources,omitempty"`
	Caches  []Cache `json:"caches,omitempty"`
	// Tmpfs are directories in memory.
	Tmpfs []Tmpfs `json:"tmpfs,omitempty"`
	// Timeout ends the command; zero for none.
	Timeout Duration `json:"timeout,omitempty"`
	// Userns maps root of the container to the caller.
	Userns bool `json:"userns,omitempty"`
	Limits
}

// Options are decided by being asked for: a [Spec] and the [Pinned] made of it
// have the same ones. A tag says what each means for the fingerprint; see
// [Pinned.Fingerprint]. Zero values are the defaults.
type Options struct {
	// Platform is OS/ARCH[/VARIANT], for an image that has several; empty for
	// this machine's.
	Platform string `json:"platform,omitempty" fingerprint:"-" why:"the image's digest tells platforms apart"`
	// Cmd is the command; the image's own if it is empty.
	Cmd []string `json:"cmd,omitzero" fingerprint:"cmd" label:"command"`
	// Entrypoint replaces the image's. Empty and not nil, it is none, and the
	// image's own command does not count either, as in docker.
	Entrypoint *[]string         `json:"entrypoint,omitempty" fingerprint:"entrypoint"`
	Env        map[string]string `json:"env,omitempty" fingerprint:"env"`
	// Cwd, User, Output and Hostname are the command's; the image's where it has
	// them, else /, root, /output and pipex.
	Cwd      string `json:"cwd,omitempty" fingerprint:"cwd" label:"working directory"`
	User     string `json:"user,omitempty" fingerprint:"user"`
	Output   string `json:"output,omitempty" fingerprint:"output"`
	Hostname string `json:"hostname,omitempty" fingerprint:"hostname" label:"host name"`
	// Network is what the command can reach; nothing if it is empty.
	Network Network `json:"network,omitempty" fingerprint:"network"`
	// ReadOnly makes the root file system read-only.
	ReadOnly bool `json:"readOnly,omitempty" fingerprint:"readOnly" label:"read-only"`
	// NoInit runs the command as process 1, without an init before it.
	NoInit  bool     `json:"noInit,omitempty" fingerprint:"-" why:"an init only forwards signals and reaps orphans"`
	Secrets []Secret `json:"secrets,omitempty" fingerprint:"secrets"`
	// Devices are names of the Container Device Interface, VENDOR/CLASS=NAME.
	Devices []string `json:"devices,omitempty" fingerprint:"devices,set"`
	// CapAdd and CapDrop are capabilities(7), such as NET_RAW, or ALL.
	CapAdd  []string `json:"capAdd,omitempty" fingerprint:"capAdd,set" label:"added capabilities"`
	CapDrop []string `json:"capDrop,omitempty" fingerprint:"capDrop,set" label:"dropped capabilities"`
}

// Setup is a command that a run's first exec runs before the prepared one, on the
// same writable layer, with a network and caches of its own.
type Setup struct {
	Cmd []string `json:"cmd"`
	// Network is what it can reach; the host's network if it is empty.
	Network Network `json:"network,omitempty"`
	// Caches come in addition to the step's. One with the name or the path of a
	// cache of the step replaces it.
	Caches []Cache `json:"caches,omitempty"`
}

// Networks are those that the setup and the command use.
func (s *Spec) Networks() []Network {
	if s.Setup == nil {
		return []Network{s.Network}
	}
	return []Network{s.Network, s.Setup.Network}
}

// Tmpfs is a directory in memory. Without a Size it may fill the memory.
type Tmpfs struct {
	Path string `json:"path"`
	Size Size   `json:"size,omitempty"`
}

// Secret is a value that exec reads and nothing records. The container sees it
// as the file /run/secrets/NAME.
type Secret struct {
	Name string `json:"name"`
	// File holds the value; if it is empty, the environment variable NAME does.
	File string `json:"file,omitempty"`
	// Env passes the value in the variable NAME as well.
	Env bool `json:"env,omitempty"`
}

// SecretsPath is where a container sees its secrets.
const SecretsPath = "/run/secrets"

// Limits bound what a step may use; zero is no limit.
type Limits struct {
	Memory  Size    `json:"memory,omitempty"`
	CPUs    float64 `json:"cpus,omitempty"`
	Pids    int64   `json:"pids,omitempty"`
	ShmSize Size    `json:"shmSize,omitempty"`
	// LogMax is how much of each log is kept.
	LogMax Size `json:"logMax,omitempty"`
	// Ulimits are NAME=SOFT[:HARD], as for setrlimit(2).
	Ulimits []string `json:"ulimits,omitempty"`
}

// Size is a number of bytes, written as docker does: "512m", "1.5g", "4096".
type Size int64

// MarshalJSON implements [json.Marshaler].
func (n Size) MarshalJSON() ([]byte, error) { return json.Marshal(strconv.FormatInt(int64(n), 10)) }

// UnmarshalJSON implements [json.Unmarshaler].
func (n *Size) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return errors.New(`a size is a string such as "512m"`)
	}
	v, err := ParseSize(s)
	*n = v
	return err
}

// Pull says when an image is fetched from its registry.
type Pull string

// The pull policies; missing is the default.
const (
	PullMissing Pull = "missing"
	PullAlways  Pull = "always"
	PullNever   Pull = "never"
)

// Network says what a step can reach; none, the default, is only itself.
type Network string

// The networks.
const (
	NetworkNone   Network = "none"
	NetworkHost   Network = "host"
	NetworkBridge Network = "bridge"
)

// networkCNI begins the name of a network that is described in CNI's directory.
const networkCNI = "cni:"

// Attached tells whether it is one that a container's own network namespace is
// attached to.
func (n Network) Attached() bool {
	return n == NetworkBridge || strings.HasPrefix(string(n), networkCNI)
}

// Input is the artifacts of another step's run, read-only at Path.
type Input struct {
	Step string `json:"step"`
	// Run is the run; the one that the step's link names when empty.
	Run string `json:"run,omitempty"`
	// Path is where the container sees them, /input/STEP when empty. A copied
	// input is seen only where a Path is given.
	Path string `json:"path,omitempty"`
	// Optional lets the step run without it when no run bears the name.
	Optional bool `json:"optional,omitempty"`
	// Copy copies the artifacts into the output first.
	Copy bool `json:"copy,omitempty"`
}

// Mount is a host file or directory, always read-only.
type Mount struct {
	Host string `json:"host"`
	Path string `json:"path"`
}

// Cache is a directory that outlives runs.
type Cache struct {
	Name      string `json:"name"`
	Path      string `json:"path"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	Exclusive bool   `json:"exclusive,omitempty"`
}

// DefaultOutput is where a step writes unless it says otherwise, and
// DefaultHostname what it calls itself: the same in every run, so that a name
// that gets into an artifact does not change it.
const (
	DefaultOutput   = "/output"
	DefaultHostname = "pipex"
)

// Duration is written as Go writes it, such as "90s" or "1h30m".
type Duration time.Duration

func (d Duration) milliseconds() int64 { return time.Duration(d).Milliseconds() }

// MarshalJSON implements [json.Marshaler].
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Duration) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return errors.New(`a duration is a string such as "90s"`)
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// maxSpec bounds a specification, in bytes.
const maxSpec = 16 << 20

// ReadSpec reads the JSON form of one Spec and nothing after it. The errors
// are [*name.UsageError]s; the result is not checked yet.
func ReadSpec(r io.Reader) (*Spec, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSpec))
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	s := new(Spec)
	if err := d.Decode(s); err != nil {
		return nil, name.Usage("invalid spec: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, name.Usage("invalid spec: more than one JSON object")
	}
	return s, nil
}
