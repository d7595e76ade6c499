package workspace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// state is state.json: what @livingdata/pipex knows of the steps. The links in
// step-runs say the same; a state.json that is missing is made from them.
type state struct {
	steps map[string]stepState
	// rest holds the keys that are not ours, to be kept.
	rest map[string]json.RawMessage
}

type stepState struct {
	RunID       string `json:"runId"`
	Fingerprint string `json:"fingerprint"`
}

// maxState bounds what is read of state.json, in bytes.
const maxState = 256 << 20

// readState reads state.json. A damaged one is an error, never an empty state:
// prune would take every run for unreferenced.
func (ws *Workspace) readState() (*state, error) {
	s := &state{steps: map[string]stepState{}}
	err := readJSON(ws.path("state.json"), maxState, &s.rest)
	if errors.Is(err, fs.ErrNotExist) {
		ws.stateFromLinks(s)
		return s, nil
	}
	if err == nil && s.rest == nil {
		err = errors.New("not a JSON object")
	}
	if raw, ok := s.rest["steps"]; ok && err == nil {
		err = json.Unmarshal(raw, &s.steps)
	}
	if err != nil {
		return nil, fmt.Errorf("state.json of workspace %q is damaged: %w; move it away, the next pipex-link makes it anew from step-runs/", ws.ID, err)
	}
	if s.steps == nil {
		s.steps = map[string]stepState{}
	}
	return s, nil
}

func (ws *Workspace) stateFromLinks(s *state) {
	links, _ := ws.Links() // a link that is damaged has nothing to say
	for _, l := range links {
		entry := stepState{RunID: l.RunID}
		if m, err := ws.committed(l.RunID).Meta(); err == nil {
			entry.Fingerprint = m.Fingerprint
		}
		s.steps[l.Step] = entry
	}
}

func (ws *Workspace) writeState(s *state) error {
	steps, err := json.Marshal(s.steps)
	if err != nil {
		return err
	}
	if s.rest == nil {
		s.rest = map[string]json.RawMessage{}
	}
	s.rest["steps"] = steps
	data, err := encode(s.rest)
	if err != nil {
		return err
	}
	if err := ws.replaceFile(linking, ws.path("state.json"), data); err != nil {
		return err
	}
	return syncPath(ws.Root)
}
