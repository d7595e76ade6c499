package workspace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// state is the content of state.json, in which @livingdata/pipex keeps the run of each
// step. It says the same as the links in step-runs. If it is missing, it is rebuilt from
// them.
type state struct {
	steps map[string]stepState
	// rest holds all keys of the file, so that unknown ones are kept when it is written.
	rest map[string]json.RawMessage
}

type stepState struct {
	RunID       string `json:"runId"`
	Fingerprint string `json:"fingerprint"`
}

// maxState is how many bytes of state.json are read at most.
const maxState = 256 << 20

// readState reads state.json. A damaged file is an error and not an empty state: with
// an empty state, prune would remove runs that only the file names.
func (ws *Workspace) readState() (*state, error) {
	s := &state{steps: map[string]stepState{}}
	data, err := readFile(ws.path("state.json"), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		ws.stateFromLinks(s)
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.rest)
	}
	if err == nil && s.rest == nil {
		err = errors.New("not a JSON object")
	}
	if raw, ok := s.rest["steps"]; ok && err == nil {
		err = json.Unmarshal(raw, &s.steps)
	}
	if err != nil {
		return nil, fmt.Errorf("state.json of workspace %q is damaged: %w; move it away, and the next pipex-link rebuilds it from step-runs/", ws.ID, err)
	}
	if s.steps == nil {
		s.steps = map[string]stepState{}
	}
	return s, nil
}

func (ws *Workspace) stateFromLinks(s *state) {
	links, _ := ws.Links() // damaged links are left out
	for _, l := range links {
		entry := stepState{RunID: l.RunID}
		if m, err := ws.committed(l.RunID).Meta(); err == nil {
			entry.Fingerprint = m.Fingerprint
		}
		s.steps[l.Step] = entry
	}
}

// ordered returns the steps as JSON, in the order of their runs' ids, which is that of time:
// @livingdata/pipex shows them in the order of the file.
func (s *state) ordered() (json.RawMessage, error) {
	names := slices.SortedFunc(maps.Keys(s.steps), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.steps[a].RunID, s.steps[b].RunID), cmp.Compare(a, b))
	})
	b := bytes.NewBufferString("{")
	for i, name := range names {
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		entry, err := json.Marshal(s.steps[name])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "%s:%s", key, entry)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// writeState replaces state.json. It does not sync the directory: the links are what
// survives power loss.
func (ws *Workspace) writeState(s *state) error {
	data, err := s.encode()
	if err != nil {
		return err
	}
	return ws.replaceFile(linking, ws.path("state.json"), data)
}

func (s *state) encode() ([]byte, error) {
	steps, err := s.ordered()
	if err != nil {
		return nil, err
	}
	all := maps.Clone(s.rest)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	all["steps"] = steps
	return encode(all)
}

// draftState makes what state.json is to be with another entry of a step, or without one if
// entry is nil. If it says so already, the draft is empty. A damaged state.json is an error. The
// caller holds the state lock, and drops the draft also after an error.
func (ws *Workspace) draftState(step string, entry *stepState) (d draft, err error) {
	if d.tmp, err = ws.Scratch(linking); err != nil {
		return draft{}, err
	}
	d.path = ws.path("state.json")
	write := func(fill func(*os.File) error) error { return fillSynced(d.tmp, fill) }
	err = ws.patchState(step, entry, write)
	if errors.Is(err, errNotOurs) {
		err = ws.decodeState(step, entry, write)
	}
	if errors.Is(err, errSame) {
		return draft{}, nil
	}
	return d, err
}

// errSame says that state.json says so already.
var errSame = errors.New("the same")

// decodeState is the part of draftState for a file of any form.
func (ws *Workspace) decodeState(step string, entry *stepState, write func(func(*os.File) error) error) error {
	s, err := ws.readState()
	if err != nil {
		return err
	}
	was, had := s.steps[step]
	switch {
	case s.rest == nil: // there is no file yet
	case entry == nil && !had, entry != nil && had && *entry == was:
		return errSame
	}
	delete(s.steps, step)
	if entry != nil {
		s.steps[step] = *entry
	}
	data, err := s.encode()
	if err != nil {
		return err
	}
	return write(func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}
