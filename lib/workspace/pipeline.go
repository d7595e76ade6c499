package workspace

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"pipex/lib/name"
)

// pipelinesDir holds one directory for each pipeline that runs, or ran, in the background.
const pipelinesDir = private + "/pipelines"

// keptPipelines is how many of them are kept: they are small, and looked at soon or never.
const keptPipelines = 20

// Pipeline is a pipeline that runs in the background, or has.
type Pipeline struct {
	ID, Dir string
	ws      *Workspace
}

// Events is the path of the file with its events, a JSON object a line.
func (p Pipeline) Events() string { return filepath.Join(p.Dir, "events") }

// Errors is the path of the file with what its process writes to stderr.
func (p Pipeline) Errors() string { return filepath.Join(p.Dir, "errors") }

// NewPipeline makes the directory of a new pipeline and takes its lock, for the process
// that runs it. It removes the oldest of those that have ended, if there are many.
func (ws *Workspace) NewPipeline() (Pipeline, *Lock, error) {
	id := name.NewID()
	p := Pipeline{ID: id, Dir: ws.path(pipelinesDir, id), ws: ws}
	lock, err := ws.try(unix.F_WRLCK, offset("pipeline", id))
	if err != nil {
		return p, nil, err
	}
	if err := os.MkdirAll(p.Dir, 0o777); err != nil {
		lock.Release()
		return p, nil, fmt.Errorf("cannot make the directory of a pipeline: %w", err)
	}
	all, _ := ws.Pipelines()
	for _, old := range all[:max(0, len(all)-keptPipelines)] {
		if live, _, err := old.Live(); err == nil && !live {
			os.RemoveAll(old.Dir)
		}
	}
	return p, lock, nil
}

// Pipelines returns the pipelines in the background, sorted by id, which is by age.
func (ws *Workspace) Pipelines() ([]Pipeline, error) {
	names, err := subdirectories(ws.path(pipelinesDir), "pipeline")
	if err != nil {
		return nil, fmt.Errorf("cannot list pipelines of workspace %q: %w", ws.ID, err)
	}
	all := make([]Pipeline, len(names))
	for i, id := range names {
		all[i] = Pipeline{ID: id, Dir: ws.path(pipelinesDir, id), ws: ws}
	}
	return all, nil
}

// Live tells whether a process runs the pipeline: whether the lock is held. by is who it
// is, as far as is known.
func (p Pipeline) Live() (live bool, by *Holder, err error) {
	live, err = p.ws.look(offset("pipeline", p.ID))
	if live {
		by = p.ws.holder("pipeline", p.ID)
	}
	return live, by, err
}

// Adopt takes over the lock that NewPipeline took in another process, from its file.
func (p Pipeline) Adopt(file *os.File) *Lock {
	l := &Lock{file: file, at: offset("pipeline", p.ID)}
	p.ws.tellHolder(l, "pipeline", p.ID, "run")
	return l
}

// File is the lock's file: a process that inherits it holds the lock, too. Release by either
// releases it for both.
func (l *Lock) File() *os.File { return l.file }

// HandOver leaves the lock to the process that has inherited its file: it closes the file
// and does not unlock. Release does nothing afterwards.
func (l *Lock) HandOver() {
	l.file.Close()
	l.file = nil
}
