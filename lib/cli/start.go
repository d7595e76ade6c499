package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"pipex/lib/internal/endpoint"
)

// starting is how long a private containerd may take to start.
const starting = time.Minute

// StartContainerd returns the private containerd in a directory, and starts it, with pipex-containerd, if nothing
// answers there.
func (c *Call) StartContainerd(to endpoint.Containerd, dir string) (endpoint.Containerd, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return to, err
	}
	// Where the path of the directory is long, the socket is elsewhere.
	find := func() {
		address, err := os.ReadFile(filepath.Join(dir, "address"))
		if to.Address = strings.TrimSpace(string(address)); err != nil || to.Address == "" {
			to.Address = filepath.Join(dir, "containerd.sock")
		}
	}
	find()
	ctx, cancel := context.WithTimeout(c.Context.Context, starting)
	defer cancel()
	if to.Reach(ctx) == nil {
		return to, nil
	}
	program, err := c.sibling("pipex-containerd")
	if err != nil {
		return to, fmt.Errorf("cannot start a containerd in %q: %w", dir, err)
	}
	cmd := exec.CommandContext(ctx, program, "start", dir)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return to, fmt.Errorf("containerd in %q has not started within %s", dir, starting)
	} else if err != nil {
		return to, fmt.Errorf("cannot start a containerd in %q: %w", dir, err)
	}
	find()
	return to, nil
}
