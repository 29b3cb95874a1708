package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strconv"

	"golang.org/x/crypto/ssh"
)

// kind is a key type: how transit calls it, wants to be asked and answers.
type kind struct {
	vault  string // transit's name of the type
	format string // of key and signature in SSH
	hash   string // hash_algorithm; empty where the type has none
	parse  func(text string) (any, error)
}

func kinds() []kind {
	return []kind{
		{vault: "ed25519", format: ssh.KeyAlgoED25519, parse: parseEd25519},
		{vault: "ecdsa-p256", format: ssh.KeyAlgoECDSA256, hash: "sha2-256", parse: parseP256},
	}
}

func kindOf(public ssh.PublicKey) (kind, bool) {
	for _, k := range kinds() {
		if k.format == public.Type() {
			return k, true
		}
	}
	return kind{}, false
}

// transitKey is what transit tells about a key.
type transitKey struct {
	Type            string                     `json:"type"`
	Exportable      bool                       `json:"exportable"`
	PlaintextBackup bool                       `json:"allow_plaintext_backup"`
	Derived         bool                       `json:"derived"`
	MinEncryption   int                        `json:"min_encryption_version"`
	Keys            map[string]json.RawMessage `json:"keys"` // by version; of a symmetric key a number each
}

// readKey reads the pinned version's public key. It refuses a key whose private
// half may leave Vault or has left it: both flags can't be taken back there.
func (s *Signer) readKey(ctx context.Context) (ssh.PublicKey, kind, error) {
	secret, err := s.call(ctx, func() (*secret, error) { return s.api.Logical().ReadWithContext(ctx, s.keyPath()) })
	if err != nil {
		return nil, kind{}, err
	}
	if secret == nil {
		return nil, kind{}, fmt.Errorf("%w: there is no %s; check mount and key", ErrKey, s.keyPath())
	}
	var key transitKey
	text, err := json.Marshal(secret.Data)
	if err == nil {
		err = json.Unmarshal(text, &key)
	}
	if err != nil {
		return nil, kind{}, fmt.Errorf("%w: the answer for %s is not a transit key's", ErrKey, s.keyPath())
	}
	return key.version(s.c.Version, s.keyPath())
}

// version returns the public key of one version, if it may be an authority's.
func (t transitKey) version(n int, path string) (ssh.PublicKey, kind, error) {
	var k kind
	for _, known := range kinds() {
		if known.vault == t.Type {
			k = known
		}
	}
	entry, there := t.Keys[strconv.Itoa(n)]
	switch {
	case t.Exportable:
		return nil, k, fmt.Errorf("%w: %s is exportable, so it may have left Vault; make another with exportable=false", ErrKey, path)
	case t.PlaintextBackup:
		return nil, k, fmt.Errorf("%w: %s allows a plaintext backup, so it may have left Vault; make another with allow_plaintext_backup=false", ErrKey, path)
	case t.Derived:
		return nil, k, fmt.Errorf("%w: %s is derived; make another with derived=false", ErrKey, path)
	case k.vault == "":
		return nil, k, fmt.Errorf("%w: %s has type %q; ed25519 and ecdsa-p256 work", ErrKey, path, t.Type)
	case !there:
		return nil, k, fmt.Errorf("%w: %s shows no version %d; there is none yet, or min_decryption_version hides it", ErrKey, path, n)
	case n < t.MinEncryption:
		return nil, k, fmt.Errorf("%w: version %d of %s is below its min_encryption_version %d, so Vault no longer signs with it", ErrKey, n, path, t.MinEncryption)
	}
	public, err := k.public(entry)
	if err != nil {
		return nil, k, fmt.Errorf("%w: the public key that Vault shows for %s is malformed", ErrKey, path)
	}
	return public, k, nil
}

func (k kind) public(entry json.RawMessage) (ssh.PublicKey, error) {
	var shown struct {
		PublicKey string `json:"public_key"`
	}
	if err := json.Unmarshal(entry, &shown); err != nil {
		return nil, err
	}
	key, err := k.parse(shown.PublicKey)
	if err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(key)
}

// parseEd25519 reads 32 raw bytes in base64.
func parseEd25519(text string) (any, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, ErrKey
	}
	return ed25519.PublicKey(raw), nil
}

// parseP256 reads a PKIX public key in PEM.
func parseP256(text string) (any, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, ErrKey
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, ErrKey
	}
	if key, ok := public.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, ErrKey
	}
	return public, nil
}
