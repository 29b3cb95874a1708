package record

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// KeyRow is a key that the authority signs with for hosts.
type KeyRow struct {
	Purpose KeyPurpose   `json:"purpose"`
	Key     string       `json:"key"` // b64 of the SSH wire form
	At      canon.Micros `json:"at"`
	Index   int64        `json:"index"` // of the key.add leaf
}

// Keys returns the keys of a purpose, oldest first. The newest signs; the others
// count as long as something lives that they have signed.
func Keys(v View, purpose KeyPurpose) ([]KeyRow, error) {
	keys, err := v.Keys(TableKey, Index{"purpose", string(purpose)})
	if err != nil {
		return nil, err
	}
	out := make([]KeyRow, 0, len(keys))
	for _, key := range keys {
		row, err := get[KeyRow](v, TableKey, key)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b KeyRow) int { return cmp.Compare(a.Index, b.Index) })
	return out, nil
}

// keyAdd refuses a key that signs anything else: who holds one of two keys must not
// be able to do what the other is for.
func (e Event) keyAdd(v View, f KeyAdd) ([]Change, error) {
	wire, err := canon.ParseB64(f.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	key, err := sshcert.ParseSubjectKey(wire)
	if err != nil {
		return nil, fmt.Errorf("a key for %.40q: %w: %w", f.Purpose, ErrEvent, err)
	}
	switch f.Purpose {
	case KeyHostCA:
		if strings.HasPrefix(key.Type(), "sk-") {
			return nil, fmt.Errorf("a key for %s: %w: %s needs somebody to touch it", f.Purpose, ErrEvent, key.Type())
		}
	case KeyKRL:
		if key.Type() != ssh.KeyAlgoED25519 {
			return nil, fmt.Errorf("a key for %s: %w: %s, want %s", f.Purpose, ErrEvent, key.Type(), ssh.KeyAlgoED25519)
		}
	default:
		return nil, fmt.Errorf("a key for %.40q: %w: keys are added for %s and %s", f.Purpose, ErrEvent, KeyHostCA, KeyKRL)
	}
	log, err := Log(v)
	if err != nil {
		return nil, err
	}
	if f.Key == log.UserCA || isLogKey(log.LogKey, key) {
		return nil, fmt.Errorf("a key for %s: %w: leaf 0 names it for something else; each purpose has a key of its own", f.Purpose, ErrEvent)
	}
	row := KeyRow{Purpose: f.Purpose, Key: f.Key, At: f.At, Index: e.Index}
	id := canon.Sum("sallyport.key/v1", wire).String()
	switch _, err := get[KeyRow](v, TableKey, id); {
	case err == nil:
		return nil, fmt.Errorf("a key for %s: %w: a key has one purpose", f.Purpose, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	return changes(fresh(put(TableKey, id, row, Index{"purpose", string(f.Purpose)})))
}

// isLogKey reports whether an SSH key is the one of a vkey (C2SP signed-note:
// NAME+ID+BASE64(type || Ed25519 key)).
func isLogKey(vkey string, key ssh.PublicKey) bool {
	_, rest, _ := strings.Cut(vkey, "+")
	_, text, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(text)
	crypto, ok := key.(ssh.CryptoPublicKey)
	if err != nil || len(raw) == 0 || !ok {
		return false
	}
	public, ok := crypto.CryptoPublicKey().(ed25519.PublicKey)
	return ok && bytes.Equal(raw[1:], public)
}
