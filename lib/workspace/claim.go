package workspace

import (
	"fmt"
	"os"
	"time"

	"pipex/lib/process"
)

// claimAge bounds a claim: who has done nothing with a run for an hour is not
// at work on it.
const claimAge = time.Hour

// Claim notes that the process by is at work on a run: that it is going to
// execute, commit or link it next. Between two verbs nothing else tells the run
// from one that nobody wants. A claim holds until the run has a name or is gone,
// by has ended, or an hour has passed. The zero ID claims nothing.
//
// The caller holds the run's lock.
func (ws *Workspace) Claim(id string, by process.ID) error {
	if by == (process.ID{}) {
		return nil
	}
	err := ws.ensure(private + "/claims")
	if err == nil {
		err = os.WriteFile(ws.claimPath(id), []byte(by.String()+"\n"), 0o666)
	}
	if err != nil {
		return fmt.Errorf("cannot claim run %q: %w", id, err)
	}
	return nil
}

// Claimed tells whether another process is at work on a run: another than the
// calling one and those that started it, who know what they do.
func (ws *Workspace) Claimed(id string) bool {
	info, err := os.Stat(ws.claimPath(id))
	if err != nil || time.Since(info.ModTime()) > claimAge {
		return false
	}
	text, err := os.ReadFile(ws.claimPath(id))
	if err != nil {
		return false
	}
	by := process.Parse(string(text))
	switch {
	case by == (process.ID{}):
		return false // whoever wrote it was killed meanwhile
	case by.Here():
		return by.Alive() && !by.Ancestor()
	}
	return true // nothing is known of other machines' processes
}

func (ws *Workspace) unclaim(id string) { os.Remove(ws.claimPath(id)) }

func (ws *Workspace) claimPath(id string) string { return ws.path(private, "claims", id) }
