package test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/signerverifier"
	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/encoding/protojson"
)

// attested implements "attested N FILE [KEY]": in-toto's own code accepts the N statements in FILE
// and, with a public key of OpenSSH or in PEM, their signatures.
func attested(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: attested N FILE [KEY]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	n, err := accept(ts.MkAbs(args[1]), func(line []byte) ([]byte, error) {
		if len(args) == 2 {
			return line, nil
		}
		return open(line, ts.MkAbs(args[2]))
	})
	if err == nil && n != want {
		err = fmt.Errorf("there are %d statements", n)
	}
	if neg && err == nil {
		ts.Fatalf("%s is accepted", args[1])
	}
	if !neg {
		ts.Check(err)
	}
}

// accept reads a bundle, after open has opened each line, and returns how many lines it has.
func accept(file string, open func([]byte) ([]byte, error)) (n int, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		text, err := open(line)
		if err != nil {
			return n, err
		}
		var s intoto.Statement
		if err := protojson.Unmarshal(text, &s); err != nil {
			return n, err
		}
		if err := s.Validate(); err != nil {
			return n, err
		}
		predicate, err := protojson.Marshal(s.Predicate)
		if err != nil {
			return n, err
		}
		var p slsa.Provenance
		if err := protojson.Unmarshal(predicate, &p); err != nil { // an unknown field is an error
			return n, err
		}
		if err := p.Validate(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// open verifies a DSSE envelope and returns what is in it.
func open(line []byte, keyFile string) ([]byte, error) {
	data, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	var verifier dsse.Verifier
	if public, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		verifier = sshKey{public}
	} else {
		key, err := signerverifier.LoadKey(data)
		if err != nil {
			return nil, err
		}
		if verifier, err = signerverifier.NewED25519SignerVerifierFromSSLibKey(key); err != nil {
			return nil, err
		}
	}
	var e dsse.Envelope
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, err
	}
	ev, err := dsse.NewEnvelopeVerifier(verifier)
	if err != nil {
		return nil, err
	}
	if _, err := ev.Verify(context.Background(), &e); err != nil {
		return nil, err
	}
	return e.DecodeB64Payload()
}

// sshKey verifies with a public key of OpenSSH.
type sshKey struct{ ssh.PublicKey }

func (k sshKey) Verify(_ context.Context, data, sig []byte) error {
	return k.PublicKey.Verify(data, &ssh.Signature{Format: k.Type(), Blob: sig})
}
func (k sshKey) KeyID() (string, error) { return "", nil }
func (k sshKey) Public() crypto.PublicKey {
	return k.PublicKey.(ssh.CryptoPublicKey).CryptoPublicKey()
}

// roCrate is the directory of npm's package ro-crate.
var roCrate = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("../.ci/ro-crate")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(bytes.TrimSpace(out)), err
})

// crate implements "crate DIR": npm's ro-crate accepts the crate DIR.
func crate(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: crate DIR")
	}
	lib, err := roCrate()
	ts.Check(err)
	out, err := output("node", "crate.js", lib, ts.MkAbs(args[0]))
	if neg && err == nil {
		ts.Fatalf("the crate %s is accepted", args[0])
	}
	if neg {
		ts.Logf("%s", out)
		return
	}
	ts.Check(err)
}
