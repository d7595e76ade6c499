// Package endpoint holds the settings for containerd and CNI. It is separate from their
// clients so that programs which pass the settings on need not link those.
package endpoint

import "time"

// Containerd is one namespace of a containerd. Zero values are the defaults.
type Containerd struct {
	// Address is the path of its socket, with or without the prefix unix://.
	Address string
	// Start is what a person can type to have a containerd if none answers at Address.
	Start string
	// Namespace is the containerd namespace of the objects of runs. It should hold nothing
	// else.
	Namespace string
	// Snapshotter is the snapshotter that creates the containers' file systems.
	Snapshotter string
	// Patience is how long each call waits for an answer before it fails. Waiting for a
	// task to end, writing content and unpacking a layer have no limit.
	Patience time.Duration
}

// The defaults. Removing a snapshot with gigabytes of unwritten data on a slow disk takes
// long; Patience allows for that.
const (
	Address     = "/run/containerd/containerd.sock"
	Start       = "pipex-containerd start"
	Namespace   = "pipex"
	Snapshotter = "overlayfs"
	Patience    = 2 * time.Minute
)

// WithDefaults returns c with defaults in place of zero values.
func (c Containerd) WithDefaults() Containerd {
	set(&c.Address, Address)
	set(&c.Start, Start)
	set(&c.Namespace, Namespace)
	set(&c.Snapshotter, Snapshotter)
	set(&c.Patience, Patience)
	return c
}

func set[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// CNI says where the plugins and the network configurations of the Container Network
// Interface are. Zero values are the usual directories.
type CNI struct {
	// Plugins are directories of plugins.
	Plugins []string
	// Networks is the directory of network configuration lists.
	Networks string
}
