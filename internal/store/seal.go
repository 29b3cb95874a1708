package store

import (
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// ErrSealed says that a person part cannot be opened: its row was changed, or
// belongs to another leaf or person.
var ErrSealed = errors.New("a sealed person part does not open")

// Person parts lie in the database sealed: XChaCha20-Poly1305 under a key of
// the person that they are about, salt and part together, bound to their leaf.
// Destroying that one key makes all of them unreadable, while the leaves keep
// their commitments and every proof goes on verifying. A backup holds the keys
// of its day: who restores one applies the erasures since then again.

// seal encrypts the salt and person part of a leaf, with the person's key, which
// is drawn at the first one.
func (tx *Tx) seal(leaf int64, o Opening) ([]byte, error) {
	key, err := tx.personKey(o.PersonID)
	if errors.Is(err, sql.ErrNoRows) {
		key = make([]byte, chacha20poly1305.KeySize)
		if _, err := io.ReadFull(tx.rand, key); err != nil {
			return nil, fmt.Errorf("drawing a person's key: %w", err)
		}
		tx.own.keys[o.PersonID] = key
		tx.own.unsentRows.keys = append(tx.own.unsentRows.keys, string(o.PersonID), key)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(o.PersonSalt)+len(o.Person)+aead.Overhead())
	if _, err := io.ReadFull(tx.rand, nonce); err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	return aead.Seal(nonce, nonce, append(o.PersonSalt[:], o.Person...), sealedFor(leaf, o.PersonID)), nil
}

// personKey returns the key of a person, or sql.ErrNoRows.
func (tx *Tx) personKey(person canon.ID) ([]byte, error) {
	for _, layer := range []*pending{tx.own, tx.done} {
		if key, ok := layer.keys[person]; ok {
			return key, nil
		}
	}
	var key []byte
	err := tx.beside.QueryRowContext(tx.ctx, `SELECT secret FROM person_key WHERE person = $1`, string(person)).Scan(&key)
	return key, err
}

// unseal opens what seal made. key is the person's, nil if it was destroyed:
// then there is nothing to open.
func (o *Opening) unseal(leaf int64, key, sealed []byte) error {
	if key == nil || sealed == nil {
		return nil
	}
	part, err := open(leaf, o.PersonID, key, sealed)
	if err != nil {
		return err
	}
	o.PersonSalt, o.Person = ledger.Salt(part[:len(o.PersonSalt)]), part[len(o.PersonSalt):]
	return nil
}

func open(leaf int64, person canon.ID, key, sealed []byte) ([]byte, error) {
	var aead cipher.AEAD
	aead, err := chacha20poly1305.NewX(key)
	if err != nil || len(sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("leaf %d: %w", leaf, ErrSealed)
	}
	nonce, text := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	part, err := aead.Open(nil, nonce, text, sealedFor(leaf, person))
	if err != nil || len(part) <= len(ledger.Salt{}) {
		return nil, fmt.Errorf("leaf %d: %w", leaf, ErrSealed)
	}
	return part, nil
}

// sealedFor is what a sealed part is bound to: its leaf and its person.
func sealedFor(leaf int64, person canon.ID) []byte {
	return []byte("sallyport.sealed/v1\n" + strconv.FormatInt(leaf, 10) + "\n" + string(person) + "\n")
}
