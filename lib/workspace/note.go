package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pipex/lib/name"
)

// A Note says what a verb has left in containerd for somebody else to remove, so that its
// caller need not wait for that. A reaper in the background works the notes off, or
// the next prune. A note that is lost, by a power cut or because the disk is full, does no
// harm: prune finds the same by its labels.
type Note struct {
	// Run is the run that it belongs to.
	Run string `json:"-"`
	// Task says that only the container of an exec that has ended is to be removed, with its
	// task; the run stays open. Else all that the run owns is to be removed: the run is
	// committed, or gone.
	Task bool `json:"-"`
	// ID is the name of the run's objects. The others say where they are, and how long each
	// call may take. A note is for its machine alone: another one may have a containerd with the same
	// address.
	ID          string        `json:"id"`
	Host        string        `json:"host"`
	Address     string        `json:"address"`
	Namespace   string        `json:"namespace"`
	Snapshotter string        `json:"snapshotter"`
	Patience    time.Duration `json:"patience"`
}

// notesDir has a file for each note, named RUN.task or RUN.all.
const notesDir = private + "/reap"

// maxNote is how many bytes of a note are read at most.
const maxNote = 64 << 10

// Here reports whether a note is for this machine; one without a machine is.
func (n Note) Here() bool { return n.Host == "" || n.Host == thisHost() }

func thisHost() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "unknown"
	}
	return host
}

func (n Note) file() string {
	if n.Task {
		return n.Run + ".task"
	}
	return n.Run + ".all"
}

// LeaveNote writes a note, which appears complete or not at all. The caller holds the run's
// lock. It is not synced: after a power cut there is no task, and prune finds the rest.
func (ws *Workspace) LeaveNote(n Note) error {
	if err := ws.ensure(notesDir); err != nil {
		return err
	}
	n.Host = thisHost()
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	tmp, err := ws.Scratch(n.Run)
	if err != nil {
		return err
	}
	if err = os.WriteFile(tmp, data, 0o666); err == nil {
		err = os.Rename(tmp, ws.path(notesDir, n.file()))
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}

// Notes returns all notes, by Run and Task only; [Workspace.ReadNote] reads one.
func (ws *Workspace) Notes() ([]Note, error) {
	entries, err := os.ReadDir(ws.path(notesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var notes []Note
	for _, e := range entries {
		run, kind, _ := strings.Cut(e.Name(), ".")
		if name.Check("run", run) == nil && (kind == "task" || kind == "all") {
			notes = append(notes, Note{Run: run, Task: kind == "task"})
		}
	}
	return notes, nil
}

// HasNotes reports whether there is a note of a run.
func (ws *Workspace) HasNotes(run string) (bool, error) {
	for _, n := range []Note{{Run: run, Task: true}, {Run: run}} {
		if _, err := os.Lstat(ws.path(notesDir, n.file())); !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// ReadNote reads the note of n's Run and Task. The error wraps [fs.ErrNotExist] if there is none.
// An incomplete note is an error: a default could mean another containerd than its writer's.
func (ws *Workspace) ReadNote(n Note) (Note, error) {
	path := ws.path(notesDir, n.file())
	info, err := os.Lstat(path)
	if err != nil {
		return n, err
	}
	if !info.Mode().IsRegular() {
		return n, fmt.Errorf("%q is not a file", path)
	}
	data, err := readFile(path, maxNote)
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err == nil && (n.ID == "" || n.Address == "" || n.Namespace == "" || n.Snapshotter == "" || n.Patience <= 0) {
		err = errors.New("the note is incomplete")
	}
	return n, err
}

// DropNote removes the note of n's Run and Task, if there is one. The caller holds the lock of
// the run's container. A commit may leave another note of the run meanwhile.
func (ws *Workspace) DropNote(n Note) error {
	err := os.Remove(ws.path(notesDir, n.file()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// DropOld removes the note of n's Run and Task if it is older than age.
func (ws *Workspace) DropOld(n Note, age time.Duration) error {
	info, err := os.Lstat(ws.path(notesDir, n.file()))
	if err == nil && time.Since(info.ModTime()) < age || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return ws.DropNote(n)
}

// DropNotes removes all notes of a run. The caller holds the locks of the run and its container.
func (ws *Workspace) DropNotes(run string) error {
	return errors.Join(ws.DropNote(Note{Run: run, Task: true}), ws.DropNote(Note{Run: run}))
}

// HoldContainer takes the lock of a run's container, and waits for it until ctx ends. While it
// is held, nobody else removes what containerd holds for the run because of a note. Unlike the
// other locks it creates nothing: the workspace may have been removed since the note was left.
func (ws *Workspace) HoldContainer(ctx context.Context, run string) (*Lock, error) {
	open := func() (*os.File, error) { return os.OpenFile(filepath.Join(ws.Root, private, "lock"), os.O_RDWR, 0) }
	return ws.waitIn(ctx, open, unix.F_WRLCK, offset("container", run))
}
