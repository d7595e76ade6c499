package workspace

import (
	"context"
	"fmt"
)

// Lookup returns the id of the latest committed, successful run with a fingerprint,
// whether a step is linked to it or not. It returns "" and no error if there is none. It
// passes over runs that are not intact, and calls warn with the reason. The caller holds
// the workspace lock, shared, for as long as it needs the run.
func (ws *Workspace) Lookup(ctx context.Context, fingerprint string, warn func(error)) (string, error) {
	if !isFingerprint(fingerprint) {
		return "", nil
	}
	for id, err := range ws.committedWith(fingerprintsFrom(fingerprint)) {
		if err != nil {
			return "", err
		}
		r := ws.committed(id)
		m, err := r.Meta()
		if err != nil || m.offered() != fingerprint {
			continue
		}
		if err := ws.Intact(ctx, r, m); err == nil {
			return r.ID, nil
		} else if ctx.Err() != nil {
			return "", err
		} else {
			warn(fmt.Errorf("%w; it is not reused", err))
		}
	}
	return "", nil
}

// offered returns the fingerprint under which a lookup may return the run: none if the
// run failed, or if its inputs changed while it ran.
func (m *Meta) offered() string {
	if m.Status != Success || len(m.ChangedInputs) > 0 {
		return ""
	}
	return m.Fingerprint
}
