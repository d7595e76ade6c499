// Package step describes a step: its specification, read from flags or JSON; the
// rules for a valid one; the form that prepare decides on; and the fingerprint of
// everything that decides its output. It reads no files except the environment file
// that a flag names, and takes no locks.
package step

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"pipex/lib/name"
)

// Spec describes one step, as the caller asks for it. pipex-prepare --spec reads its
// JSON form, in which unknown keys are errors. The zero Spec is a step without a
// container: the caller writes its artifacts. Zero values are the defaults.
type Spec struct {
	// Step is the step's name: what pipex-link and inputs call it. Empty for a run
	// that belongs to no step.
	Step string `json:"step,omitempty"`
	// Name is a title for people; it decides nothing.
	Name string `json:"name,omitempty"`
	// Image is an image reference, such as busybox. Without it the run has no
	// container, and options that need one are errors.
	Image string `json:"image,omitempty"`
	// Pull says when to fetch the image; missing by default.
	Pull Pull `json:"pull,omitempty"`
	Options
	// Setup is a command that runs once, before the step's own; nil for none.
	Setup *Setup `json:"setup,omitempty"`
	// Inputs are the artifacts of other steps that this step reads.
	Inputs []Input `json:"inputs,omitempty"`
	// Mounts are host files and directories that the container sees read-only.
	Mounts []Mount `json:"mounts,omitempty"`
	// Sources are host files and directories of which the container gets a writable
	// copy.
	Sources []Mount `json:"sources,omitempty"`
	// Caches are directories of the workspace that outlive runs.
	Caches []Cache `json:"caches,omitempty"`
	// Tmpfs are directories in memory.
	Tmpfs []Tmpfs `json:"tmpfs,omitempty"`
	// Timeout is how long the command may run; zero for no limit.
	Timeout Duration `json:"timeout,omitempty"`
	// Userns gives the container a user namespace in which root is the caller.
	Userns bool `json:"userns,omitempty"`
	Limits
}

// Options are the part of a [Spec] that prepare records unchanged in [Pinned], and so
// in meta.json. A tag says what each field means for the fingerprint; see
// [Pinned.Fingerprint]. A field that is not present has its zero value, the default.
type Options struct {
	// Platform is OS/ARCH[/VARIANT], and chooses from an image for several platforms;
	// empty for this machine's platform.
	Platform string `json:"platform,omitempty" fingerprint:"-" why:"the image's digest tells platforms apart"`
	// Cmd is the command, without the entrypoint; if empty, the image's command.
	Cmd []string `json:"cmd,omitzero" fingerprint:"cmd" label:"command"`
	// Entrypoint replaces the image's entrypoint; nil keeps it. If not nil, the image's
	// own command is ignored too, as in docker. An empty list means no entrypoint.
	Entrypoint *[]string `json:"entrypoint,omitempty" fingerprint:"entrypoint"`
	// Env holds environment variables of the command, on top of the image's.
	Env map[string]string `json:"env,omitempty" fingerprint:"env"`
	// Cwd is the command's working directory; if empty, the image's, else /.
	Cwd string `json:"cwd,omitempty" fingerprint:"cwd" label:"working directory"`
	// User is UID, NAME, UID:GID or NAME:GROUP; if empty, the image's, else root.
	User string `json:"user,omitempty" fingerprint:"user"`
	// Output is where the container sees the artifacts directory; /output by default.
	Output string `json:"output,omitempty" fingerprint:"output"`
	// Hostname is the container's host name; pipex by default.
	Hostname string `json:"hostname,omitempty" fingerprint:"hostname" label:"host name"`
	// Network is the network of the command; none by default.
	Network Network `json:"network,omitempty" fingerprint:"network"`
	// ReadOnly makes the container's root file system read-only.
	ReadOnly bool `json:"readOnly,omitempty" fingerprint:"readOnly" label:"read-only"`
	// NoInit runs the command as process 1. Without it an init is process 1.
	NoInit bool `json:"noInit,omitempty" fingerprint:"-" why:"an init only forwards signals and reaps orphans"`
	// Bits32 also lets programs run that are built for the 32-bit variant of the machine's
	// processor. Those of an image for that variant always may.
	Bits32 bool `json:"32bit,omitempty" fingerprint:"32bit" label:"32-bit programs"`
	// Secrets are the names and sources of the step's secrets; their values are
	// recorded nowhere.
	Secrets []Secret `json:"secrets,omitempty" fingerprint:"secrets"`
	// Devices are names of the Container Device Interface (CDI), VENDOR/CLASS=NAME.
	Devices []string `json:"devices,omitempty" fingerprint:"devices,set"`
	// CapAdd lists the capabilities(7) added to the default set, such as NET_RAW, or ALL.
	CapAdd []string `json:"capAdd,omitempty" fingerprint:"capAdd,set" label:"added capabilities"`
	// CapDrop lists the capabilities(7) removed from the default set, or ALL.
	CapDrop []string `json:"capDrop,omitempty" fingerprint:"capDrop,set" label:"dropped capabilities"`
}

// Setup is a command that the first exec of a run runs before the prepared command, on
// the same writable layer, with its own network and caches.
type Setup struct {
	// Cmd is the command; it must not be empty.
	Cmd []string `json:"cmd"`
	// Network is the setup's network; host by default.
	Network Network `json:"network,omitempty"`
	// Caches are added to the step's. A cache that has the name or the path of one of
	// the step's replaces it during the setup.
	Caches []Cache `json:"caches,omitempty"`
}

// Networks returns the networks of the command and of the setup, if there is one.
func (s *Spec) Networks() []Network {
	if s.Setup == nil {
		return []Network{s.Network}
	}
	return []Network{s.Network, s.Setup.Network}
}

// Tmpfs is a directory in memory.
type Tmpfs struct {
	// Path is the directory in the container.
	Path string `json:"path"`
	// Size is the greatest size in bytes; 0 for no limit other than the memory.
	Size Size `json:"size,omitempty"`
}

// Secret is a value that exec reads and never records. The container sees it as the
// file /run/secrets/NAME.
type Secret struct {
	// Name is the secret's name: of the file, and of the variable.
	Name string `json:"name"`
	// File is the host file that holds the value; if empty, exec reads the value from
	// the environment variable Name.
	File string `json:"file,omitempty"`
	// Env passes the value to the command in the environment variable Name, too.
	Env bool `json:"env,omitempty"`
}

// SecretsPath is where a container sees its secrets.
const SecretsPath = "/run/secrets"

// Limits are the limits of what a step may use; zero is no limit.
type Limits struct {
	// Memory is the greatest memory use, in bytes.
	Memory Size `json:"memory,omitempty"`
	// CPUs is how many processors the step may use at once; fractions are allowed.
	CPUs float64 `json:"cpus,omitempty"`
	// Pids is the greatest number of processes and threads.
	Pids int64 `json:"pids,omitempty"`
	// ShmSize is the size of /dev/shm, in bytes; zero for the default.
	ShmSize Size `json:"shmSize,omitempty"`
	// LogMax is how many bytes of each log are kept.
	LogMax Size `json:"logMax,omitempty"`
	// Ulimits are NAME=SOFT[:HARD], as for setrlimit(2).
	Ulimits []string `json:"ulimits,omitempty"`
}

// Size is a number of bytes, written as in docker: "512m", "1.5g", "4096".
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

// Network is what a container's network is: none (loopback only), host, bridge, or
// cni:NAME.
type Network string

// The networks; none is the default.
const (
	NetworkNone   Network = "none"
	NetworkHost   Network = "host"
	NetworkBridge Network = "bridge"
)

// networkCNI is the prefix of a network that a file in CNI's configuration directory
// describes.
const networkCNI = "cni:"

// Attached reports whether the container has a network namespace of its own that CNI
// plugins connect to a network.
func (n Network) Attached() bool {
	return n == NetworkBridge || strings.HasPrefix(string(n), networkCNI)
}

// Input is the artifacts of a committed run of another step.
type Input struct {
	// Step is the other step's name.
	Step string `json:"step"`
	// Run is the run's id; if empty, the run that the step is linked to.
	Run string `json:"run,omitempty"`
	// Path is where the container sees the artifacts, read-only. If empty, it is
	// /input/STEP, or nowhere for a copied input.
	Path string `json:"path,omitempty"`
	// Optional leaves the input out if the step is not linked to a run.
	Optional bool `json:"optional,omitempty"`
	// Copy copies the artifacts into the output before the command runs.
	Copy bool `json:"copy,omitempty"`
}

// Mount is a host file or directory that the container sees.
type Mount struct {
	// Host is the path on the host.
	Host string `json:"host"`
	// Path is the path in the container.
	Path string `json:"path"`
}

// Cache is a directory of the workspace that outlives runs; the container may write to it.
type Cache struct {
	// Name is the cache's name in the workspace.
	Name string `json:"name"`
	// Path is where the container sees it.
	Path string `json:"path"`
	// ReadOnly mounts it read-only.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Exclusive lets one exec at a time use it; others wait.
	Exclusive bool `json:"exclusive,omitempty"`
}

// DefaultOutput is where the container sees the artifacts directory by default.
// DefaultHostname is its default host name. It is the same in every run, so that an
// artifact that contains the host name does not differ from run to run.
const (
	DefaultOutput   = "/output"
	DefaultHostname = "pipex"
)

// Duration is written as in Go, such as "90s" or "1h30m".
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
	if err != nil {
		return fmt.Errorf("duration %q: %s", s, WrongDuration(s))
	}
	*d = Duration(v)
	return nil
}

// maxSpec is the greatest size of a specification that is read, in bytes.
const maxSpec = 16 << 20

// ReadSpec reads the JSON form of one Spec; anything after it is an error. Invalid
// JSON is a [*name.UsageError]. The result is not checked yet; see [Spec.Check].
func ReadSpec(r io.Reader) (*Spec, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSpec))
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	s := new(Spec)
	if err := d.Decode(s); err != nil {
		if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			word, _ := strconv.Unquote(key)
			return nil, name.Usage("invalid spec: unknown key %q%s", word, name.DidYouMean(word, keys(reflect.TypeFor[Spec]())))
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty, where a JSON object is wanted")
		}
		return nil, name.Usage("invalid spec: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, name.Usage("invalid spec: more than one JSON object")
	}
	return s, nil
}

// keys are those of the JSON objects that a type has.
func keys(t reflect.Type) (all []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keys(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); key != "" && key != "-" {
				all = append(all, key)
			}
			all = append(all, keys(t.Field(i).Type)...)
		}
	}
	return all
}
