// Package attest writes SLSA provenance of runs: in-toto statements, one for each run, bare or
// signed in a DSSE envelope.
//
// It follows the in-toto attestation framework 1.0
// (https://github.com/in-toto/attestation/tree/main/spec/v1) and SLSA provenance 1
// (https://slsa.dev/spec/v1.0/provenance). What a record does not know is left out.
package attest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"pipex/lib/provenance"
	"pipex/lib/workspace"
)

// Check returns an error that wraps [workspace.ErrNotCommitted] or [workspace.ErrNotSuccessful]
// if no statement can be made about a run: only about a committed success.
func Check(n *provenance.Node) error {
	switch {
	case n.Meta == nil:
		return fmt.Errorf("run %q is %s", n.ID, n.Status)
	case n.Meta.Status != workspace.Success:
		return fmt.Errorf("run %q is %w: its status is %s; a statement is about a committed success", n.ID, workspace.ErrNotSuccessful, n.Status)
	case !n.Committed:
		return fmt.Errorf("run %q is %w; a statement is about a committed success", n.ID, workspace.ErrNotCommitted)
	}
	return nil
}

// Write writes a line for each run: its statement, or with a key an envelope with it. So several
// are an attestation bundle
// (https://github.com/in-toto/attestation/blob/main/spec/v1/bundle.md). All nodes pass [Check].
// Builder is the URI of who runs the containers; empty for the machine that the record names.
// The same runs give the same bytes.
//
// Each file is read. The error wraps [workspace.ErrDamaged] if one is not as it was committed.
func Write(ctx context.Context, w io.Writer, ws *workspace.Workspace, nodes []*provenance.Node, builder string, key *Key) error {
	for _, n := range nodes {
		s, err := newStatement(ctx, ws, n, builder)
		if err != nil {
			return err
		}
		line, err := encode(s)
		if err == nil && key != nil {
			line, err = key.envelope(ctx, bytes.TrimSuffix(line, []byte("\n")))
		}
		if err == nil {
			_, err = w.Write(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// payloadType is the media type of statements.
const payloadType = "application/vnd.in-toto+json"

func (k *Key) envelope(ctx context.Context, statement []byte) ([]byte, error) {
	signer, err := dsse.NewEnvelopeSigner(k)
	if err != nil {
		return nil, err
	}
	e, err := signer.SignPayload(ctx, payloadType, statement)
	if err != nil {
		return nil, err
	}
	return encode(e)
}

// encode returns a line of JSON.
func encode(value any) ([]byte, error) {
	var line bytes.Buffer
	out := json.NewEncoder(&line)
	out.SetEscapeHTML(false)
	err := out.Encode(value)
	return line.Bytes(), err
}
