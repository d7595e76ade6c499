// Package endpoint says where containerd is and how to speak to it, for programs that
// may not link what speaks.
package endpoint

import "time"

// Containerd is one namespace of a containerd. Zero values are the defaults.
type Containerd struct {
	// Address is the path of its socket, with or without unix:// before it.
	Address string
	// Namespace holds the objects of runs, and nothing else.
	Namespace string
	// Snapshotter makes the containers' file systems.
	Snapshotter string
	// Patience bounds each call: without an answer for so long, it fails. Only
	// waiting for a task to end, writing content and unpacking a layer have no bound.
	Patience time.Duration
}

// The defaults. Patience allows for the removal of a snapshot with gigabytes of data
// that are not yet written to a slow disk.
const (
	Address     = "/run/containerd/containerd.sock"
	Namespace   = "pipex"
	Snapshotter = "overlayfs"
	Patience    = 2 * time.Minute
)

// WithDefaults is c with the defaults in place of zero values.
func (c Containerd) WithDefaults() Containerd {
	set(&c.Address, Address)
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

// CNI says where the plugins of the Container Network Interface are, and its networks
// are described. Zero values are the usual places.
type CNI struct {
	// Plugins are directories of plugins.
	Plugins []string
	// Networks is the directory of network configuration lists.
	Networks string
}
