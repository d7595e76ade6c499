package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// How a file was written decides how it lies in the kernel's memory. A program that a linker has
// just written, or that was read from the disk while it ran, takes 1 to 1.5 ms more to start than
// one that was written at once. So what is compared is copied.

// alike copies the binaries in a directory into one of the same name in another, and returns it.
func alike(from, into string) (string, error) {
	files, err := os.ReadDir(from)
	to := filepath.Join(into, filepath.Base(from))
	if err == nil {
		err = os.MkdirAll(to, 0o777)
	}
	for _, f := range files {
		if err == nil && f.Type().IsRegular() {
			err = duplicate(filepath.Join(from, f.Name()), filepath.Join(to, f.Name()))
		}
	}
	return to, err
}

// copied are the programs that a container needs, of those that containerd's package has.
var copied = []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc"}

// alikePeers copies those of them that are installed into a directory.
func alikePeers(to string) error {
	err := os.Mkdir(to, 0o777)
	for _, program := range copied {
		from, missing := exec.LookPath(program)
		if missing == nil && err == nil {
			err = duplicate(from, filepath.Join(to, program))
		}
	}
	return err
}

// duplicate copies a program, piece by piece: what the bench has had in memory counts as memory
// of the commands that it starts.
func duplicate(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o777)
	if err != nil {
		return err
	}
	// Not by copy_file_range(2), which writes in small pieces.
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 1<<20))
	return errors.Join(err, out.Close())
}

// rewrite replaces a program by its copy.
func rewrite(program string) error {
	return errors.Join(duplicate(program, program+".copy"), os.Rename(program+".copy", program))
}
