// Package softkey owns the authority key that lies in a file: an OpenSSH private
// key of type ed25519, mode 0600. It is for evaluation and small installations;
// elsewhere the key belongs into a key service.
package softkey

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"
)

// ErrKeyFile is wrapped by every refusal of a key file.
var ErrKeyFile = errors.New("authority key file refused")

// Signer signs with a key held in this process's memory.
type Signer struct {
	signer ssh.Signer
	rand   io.Reader
}

// Create draws a new ed25519 key from rand and writes it to a new file with
// mode 0600. It refuses to replace a file.
func Create(path, comment string, rand io.Reader) (*Signer, error) {
	_, private, err := ed25519.GenerateKey(rand)
	if err != nil {
		return nil, fmt.Errorf("drawing an authority key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, fmt.Errorf("writing the authority key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	_, err = f.Write(pem.EncodeToMemory(block))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return newSigner(private, rand)
}

// Open reads the key from a file that only its owner can read. rand is the
// source of randomness for signing; ed25519 needs none.
func Open(path string, rand io.Reader) (*Signer, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not there; restore it from its backup", ErrKeyFile, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %o; others can read it, so make it 0600", ErrKeyFile, path, mode)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	key, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds no unencrypted OpenSSH private key", ErrKeyFile, path)
	}
	private, ok := key.(*ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s is not an ed25519 key", ErrKeyFile, path)
	}
	return newSigner(*private, rand)
}

func newSigner(private ed25519.PrivateKey, rand io.Reader) (*Signer, error) {
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return &Signer{signer: s, rand: rand}, nil
}

// SSH returns the signer for SSHSIG messages.
func (s *Signer) SSH() ssh.Signer { return s.signer }

// PublicKey returns the authority's public key.
func (s *Signer) PublicKey() ssh.PublicKey { return s.signer.PublicKey() }

// Sign signs tbs. It fails only if ctx has ended.
func (s *Signer) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sig, err := s.signer.Sign(s.rand, tbs)
	if err != nil {
		return nil, fmt.Errorf("signing with the key file: %w", err)
	}
	return sig, nil
}
