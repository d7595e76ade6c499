package oci

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pipex/lib/name"
	"pipex/lib/step"

	"github.com/containerd/containerd/containers"
	"github.com/containerd/containerd/oci"
	capability "github.com/containerd/containerd/pkg/cap"
	"tags.cncf.io/container-device-interface/pkg/cdi"
)

// CheckDevices returns an error for a device that no specification file of the Container
// Device Interface (CDI) on this machine defines.
func CheckDevices(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return withDevices(names)(context.Background(), nil, nil, &oci.Spec{})
}

// withDevices adds what CDI specifies for the devices: nodes, mounts, variables, hooks.
func withDevices(names []string) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		cache, err := cdi.NewCache(cdi.WithAutoRefresh(false))
		if err != nil {
			return err
		}
		unknown, err := cache.InjectDevices(s, names...)
		if len(unknown) > 0 {
			return fmt.Errorf("no such device: %s; looked for in %s", strings.Join(unknown, ", "), strings.Join(cache.GetSpecDirectories(), ", "))
		}
		if err != nil {
			return fmt.Errorf("cannot use devices %s: %w", strings.Join(names, ", "), err)
		}
		return nil
	}
}

// CheckCapabilities returns a [*name.UsageError] for a name that is not a capability of
// capabilities(7).
func CheckCapabilities(names ...string) error {
	for _, c := range names {
		if c != step.CapAll && !slices.Contains(capability.Known(), c) {
			return name.Usage("unknown capability %q: such as NET_RAW, or ALL; see capabilities(7)", strings.TrimPrefix(c, "CAP_"))
		}
	}
	return nil
}
