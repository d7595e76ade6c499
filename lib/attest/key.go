package attest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"
)

// Key is an ed25519 key that signs statements.
type Key struct{ private ed25519.PrivateKey }

// maxKey is more than a file with an ed25519 key takes.
const maxKey = 64 << 10

// ReadKey reads a private ed25519 key: one of OpenSSH, or PKCS #8 in PEM. It must not have a
// passphrase. The error names the file and the way out.
func ReadKey(file string) (*Key, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	private, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("cannot sign with %q: %w", file, err)
	}
	return &Key{private}, nil
}

func parse(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is no private key; ssh-keygen -t ed25519 makes one")
	}
	var key any
	var err error
	if block.Type == "PRIVATE KEY" {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	} else {
		key, err = ssh.ParseRawPrivateKey(data)
	}
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) || block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errors.New("it has a passphrase; make a key without one for this, with ssh-keygen -t ed25519 -N ''")
	}
	if err != nil {
		return nil, fmt.Errorf("it is no private key (%w); ssh-keygen -t ed25519 makes one", err)
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *ed25519.PrivateKey:
		return *key, nil
	}
	return nil, fmt.Errorf("it is no ed25519 key but a %T; ssh-keygen -t ed25519 makes one", key)
}

// Sign implements the signer of DSSE.
func (k *Key) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(k.private, data), nil
}

// KeyID implements the signer of DSSE. An envelope does not say which key has signed it: tools
// name keys in different ways, and would take another one's name for another key.
func (k *Key) KeyID() (string, error) { return "", nil }

// Public returns the key that verifies.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }
