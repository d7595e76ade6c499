package workspace

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"pipex/lib/name"
)

// carriedDir has a file for each step that another machine executes now, named after the step, with
// the run's id: whoever runs the step next, on whatever machine, finds the run there if the one who had it
// carried died meanwhile. Only the holder of the step's lock writes it.
const carriedDir = private + "/carried"

// Carry notes that the run of a step is going to be executed by another machine. The caller holds the step's lock.
func (ws *Workspace) Carry(step, run string) error {
	if err := ws.ensure(carriedDir); err != nil {
		return err
	}
	return ws.replaceFile(run, ws.path(carriedDir, step), []byte(run+"\n"))
}

// Carried returns the open run of a step that another machine executes, or has executed; ok is false if there is none. The
// caller holds the step's lock.
func (ws *Workspace) Carried(step string) (r Run, ok bool, err error) {
	data, err := readFile(ws.path(carriedDir, step), 256)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	id := strings.TrimSuffix(string(data), "\n")
	if name.Check("run", id) != nil {
		return r, false, nil
	}
	r, err = ws.OpenRun(id)
	if errors.Is(err, ErrNoRun) || errors.Is(err, ErrCommitted) {
		return r, false, nil
	}
	return r, err == nil, err
}

// Uncarry removes the note of a step. The caller holds the step's lock.
func (ws *Workspace) Uncarry(step string) { os.Remove(ws.path(carriedDir, step)) }
