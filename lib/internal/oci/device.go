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

// CheckDevices returns an error for a name that no specification of the Container
// Device Interface on this machine knows.
func CheckDevices(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return withDevices(names)(context.Background(), nil, nil, &oci.Spec{})
}

// withDevices adds what the Container Device Interface says that devices need:
// nodes, mounts, variables, hooks.
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

// CheckCapabilities returns a [*name.UsageError] for a capability that the kernel's
// headers do not know.
func CheckCapabilities(names ...string) error {
	for _, c := range names {
		if c != step.CapAll && !slices.Contains(capability.Known(), c) {
			return name.Usage("unknown capability %q: such as NET_RAW, or ALL; see capabilities(7)", strings.TrimPrefix(c, "CAP_"))
		}
	}
	return nil
}
