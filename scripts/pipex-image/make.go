package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"pipex/lib/cli"
	"pipex/lib/name"
	"pipex/lib/progress"
	"pipex/lib/pull"
	"pipex/lib/run"
)

func busybox(c *cli.Call) (int, error) {
	if err := c.Operands(0, 1); err != nil {
		return 0, err
	}
	if c.Command != nil {
		return 0, name.Usage("busybox takes no command")
	}
	name := "busybox"
	if len(c.Args) > 0 {
		name = c.Args[0]
	}
	c.Command = []string{"sh"}
	return 0, make(c, name, func(root string) error { return script(c, nil, "pipex-rootfs", "--busybox", root) })
}

func packages(c *cli.Call) (int, error) {
	if err := c.Operands(2, -1); err != nil {
		return 0, err
	}
	return 0, make(c, c.Args[0], func(root string) error {
		return script(c, nil, "pipex-rootfs", append([]string{root}, c.Args[1:]...)...)
	})
}

func dir(c *cli.Call) (int, error) {
	if err := c.Operands(2, 2); err != nil {
		return 0, err
	}
	name, err := pull.CheckName(c.Args[1])
	if err == nil {
		err = connect(c)
	}
	if err != nil {
		return 0, err
	}
	return 0, archive(c, c.Args[0], name)
}

// make makes an image of a root file system that fill makes in a directory, which does not exist yet.
func make(c *cli.Call, ref string, fill func(root string) error) error {
	ref, err := pull.CheckName(ref)
	if err == nil {
		err = connect(c)
	}
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "pipex-image.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	root := filepath.Join(tmp, "root")
	work := progress.Begin("copying files", "")
	err = fill(root)
	work.End()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return archive(c, root, ref, "--owner-root") // the files have not the owners that they are to have
	}
	return archive(c, root, ref)
}

// archive imports what pipex-oci makes of a directory.
func archive(c *cli.Call, root, ref string, options ...string) error {
	args := append(options, root, ref)
	if c.Command != nil {
		args = append(append(args, "--"), c.Command...)
	}
	out, in := io.Pipe()
	failed := func(err error) error { return fmt.Errorf("cannot make image %q: %w", ref, err) }
	made := error(nil)
	go func() {
		made = script(c, in, "pipex-oci", args...)
		in.CloseWithError(made)
	}()
	_, err := pull.Import(c.Context.Context, c.Place().Containerd, out, ref)
	out.CloseWithError(errors.New("nobody reads it"))
	if said := new(run.SaidError); errors.As(err, &said) {
		return said
	}
	if err != nil {
		return failed(err)
	}
	return c.Print(nil, ref)
}

// script runs one of the scripts, which says itself what fails.
func script(c *cli.Call, out io.Writer, program string, args ...string) error {
	path, err := exec.LookPath(program)
	if self, found := os.Executable(); err != nil && found == nil { // in a clone
		path, err = exec.LookPath(filepath.Join(filepath.Dir(self), "../scripts", program))
	}
	if err != nil {
		return fmt.Errorf("cannot find %s on PATH; it is installed with pipex-image", program)
	}
	cmd := exec.CommandContext(c.Context.Context, path, args...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	err = cmd.Run()
	if ended := new(exec.ExitError); errors.As(err, &ended) && ended.Exited() {
		return &run.SaidError{Status: ended.ExitCode()}
	}
	return err
}
