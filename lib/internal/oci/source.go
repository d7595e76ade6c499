package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/leases"
	"github.com/containerd/containerd/snapshots"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"pipex/lib/internal/containerd"
	"pipex/lib/internal/secret"
	"pipex/lib/internal/trace"
	"pipex/lib/tree"
)

// sources creates the copies of the run's sources, unless an earlier exec has. A copy is an
// overlay over the host directory if root of the container is root on the host and the
// kernel supports that; else the files are copied. The copies are in a snapshot of their
// own, so that they are on containerd's disk and are removed with the run.
func sources(ctx context.Context, c *containerd.Client, cfg *Container, spec *specs.Spec) ([]Mount, error) {
	if len(cfg.Step.Sources)+len(cfg.Copied) == 0 {
		return nil, nil
	}
	ctx, part := trace.Start(ctx, "sources")
	defer part.End()
	service := c.SnapshotService(c.Snapshotter)
	key := cfg.ID + containerd.SourcesSuffix
	at, err := service.Prepare(leases.WithLease(ctx, cfg.ID), key, "", snapshots.WithLabels(cfg.Labels()))
	if errdefs.IsAlreadyExists(err) {
		at, err = service.Mounts(ctx, key)
	}
	if err == nil && (len(at) != 1 || at[0].Type != "bind") {
		err = fmt.Errorf("the snapshotter %q has no directory for them", c.Snapshotter)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot copy sources: %w", err)
	}
	owner := hostOwner(spec, spec.Process.User.UID, spec.Process.User.GID)
	var mounts []Mount
	for i, s := range cfg.sources() {
		m, err := s.mount(ctx, filepath.Join(at[0].Source, strconv.Itoa(i)), owner)
		if err != nil {
			return nil, fmt.Errorf("cannot copy source %q: %w", s.host, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// sources returns the sources, or the copies that the container below has made of them,
// and then the other directories that are copied.
func (c *Container) sources() (list []source) {
	for i, p := range c.Step.Sources {
		s := source{host: p.HostPath, destination: p.ContainerPath}
		if c.BelowSources != "" {
			dir := filepath.Join(c.BelowSources, strconv.Itoa(i))
			if _, err := os.Lstat(filepath.Join(dir, "copy")); err == nil {
				s.host, s.given = filepath.Join(dir, "copy"), c.Step.Userns == nil
			} else if _, err := os.Lstat(filepath.Join(dir, "upper")); err == nil {
				s.above = filepath.Join(dir, "upper")
			}
		}
		list = append(list, s)
	}
	for _, m := range c.Copied {
		list = append(list, source{host: m.Source, destination: m.Destination, given: c.Step.Userns == nil})
	}
	return list
}

// source is a host file or directory of which the container gets a copy at
// destination. The files in the directory above, if any, hide those of the host's. given
// says that the files belong to the command's user already.
type source struct {
	host, destination, above string
	given                    bool
}

// mount creates the copy in dir, unless it exists, and returns its mount.
func (s source) mount(ctx context.Context, dir string, owner secret.Owner) (Mount, error) {
	data := filepath.Join(dir, "copy")
	if _, err := os.Lstat(data); err == nil {
		return Mount{Source: data, Destination: s.destination, Trusted: true}, nil
	}
	host, err := os.Stat(s.host)
	if err != nil {
		return Mount{}, err
	}
	if host.IsDir() && (owner.UID == 0 || s.given) {
		if m, ok, err := s.overlay(dir); ok || err != nil {
			return m, err
		}
	}
	if err := s.copy(ctx, data, host, owner); err != nil {
		return Mount{}, err
	}
	return Mount{Source: data, Destination: s.destination, Trusted: true}, nil
}

// overlay returns the copy as an overlay mount (see the kernel's overlayfs documentation),
// and whether that is possible.
func (s source) overlay(dir string) (m Mount, ok bool, err error) {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	lower := s.host
	if s.above != "" {
		lower = s.above + ":" + lower
	}
	options := []string{"lowerdir=" + lower, "upperdir=" + upper, "workdir=" + work}
	if strings.ContainsAny(s.host+s.above+dir, `,:\`) {
		return m, false, nil // these characters need escapes, which differ between readers
	}
	for _, d := range []string{upper, work} {
		if os.MkdirAll(d, 0o755) != nil {
			return m, false, nil
		}
	}
	var stat unix.Stat_t
	if unix.Stat(s.host, &stat) != nil || os.Chown(upper, int(stat.Uid), int(stat.Gid)) != nil || unix.Chmod(upper, stat.Mode&0o7777) != nil {
		return m, false, nil
	}
	m = Mount{Type: "overlay", Source: "overlay", Destination: s.destination}
	m.Options, err = volatile(options)
	return m, err == nil && mounts(options), err
}

// mounts reports whether an overlay can be mounted. It tries without attaching the mount to
// a path (fsopen(2)); closing the descriptor undoes it.
func mounts(options []string) bool {
	fsfd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fsfd)
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		if unix.FsconfigSetString(fsfd, key, value) != nil {
			return false
		}
	}
	if unix.FsconfigCreate(fsfd) != nil {
		return false
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// copy copies the files to path, completely or not at all. The copy belongs to owner.
func (s source) copy(ctx context.Context, path string, host fs.FileInfo, owner secret.Owner) error {
	draft := path + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	var err error
	if host.IsDir() {
		if err = os.MkdirAll(draft, 0o755); err == nil {
			err = tree.Copy(ctx, draft, s.host)
		}
		if err == nil {
			err = os.Chmod(draft, host.Mode().Perm()|0o700)
		}
	} else {
		if err = os.MkdirAll(filepath.Dir(draft), 0o755); err == nil {
			err = copyFile(draft, s.host, host)
		}
	}
	if err == nil && owner.UID != 0 {
		err = filepath.WalkDir(draft, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, owner.UID, owner.GID))
		})
	}
	if err != nil {
		return err
	}
	return os.Rename(draft, path)
}

func copyFile(to, from string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is neither a file nor a directory")
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Chmod(info.Mode().Perm() | 0o600)
	}
	return errors.Join(err, dst.Close())
}
