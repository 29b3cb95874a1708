package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// memo remembers which signatures hold, so that they can be checked on every core
// before the fold, which is sequential, asks for them. It is safe for concurrent
// use. What it forgets is checked again.
type memo struct {
	mu    sync.Mutex
	holds map[[sha256.Size]byte]struct{}
}

// maxMemo bounds it.
const maxMemo = 1 << 16

// prepare checks a signature against the key that it names. If it does not hold,
// whoever asks will find that out.
func (m *memo) prepare(namespace, message, armored string) {
	if key, err := sshcert.SignedBy(armored); err == nil {
		_ = m.verify(key, namespace, []byte(message), armored)
	}
}

// verify answers what sshcert.Verify does.
func (m *memo) verify(key ssh.PublicKey, namespace string, message []byte, armored string) error {
	name := memoKey(key.Marshal(), []byte(namespace), message, []byte(armored))
	m.mu.Lock()
	_, known := m.holds[name]
	m.mu.Unlock()
	if known {
		return nil
	}
	if err := sshcert.Verify(key, namespace, message, armored); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.holds) >= maxMemo {
		clear(m.holds)
	}
	m.holds[name] = struct{}{}
	return nil
}

// memoKey names a signature with everything that it depends on, each part with
// its length.
func memoKey(parts ...[]byte) (out [sha256.Size]byte) {
	h := sha256.New()
	for _, p := range parts {
		sized(h, p)
	}
	h.Sum(out[:0])
	return out
}

func sized(h hash.Hash, part []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(part)))
	_, _ = h.Write(n[:]) // a hash never returns an error
	_, _ = h.Write(part)
}

// view is the state as the fold reads it: signatures are checked once, and what
// was looked for in vain is known.
type view struct {
	*record.Memory
	memo   *memo
	missed record.Key // the row that was looked for last and not there
}

var _ record.SignatureVerifier = (*view)(nil)

// Row returns a row, as record.View says.
func (v *view) Row(t record.Table, key string) ([]byte, error) {
	row, err := v.Memory.Row(t, key)
	if err != nil {
		v.missed = record.Key{Table: t, ID: key}
	}
	return row, err
}

// Verify answers what sshcert.Verify does.
func (v *view) Verify(key ssh.PublicKey, namespace string, message []byte, armored string) error {
	return v.memo.verify(key, namespace, message, armored)
}
