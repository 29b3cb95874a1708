// Package ledgertest owns an in-memory ledger for tests: real leaves, a real
// tree, real signatures by a key that anybody can derive. It uses package
// ledger as the product does and checks nothing itself.
package ledgertest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/ledger"
)

// Log is a growing ledger. Its stored hashes stay in memory; it is a
// [tlog.HashReader] over them.
type Log struct {
	tb      testing.TB
	signer  *ledger.LogSigner
	private string
	tree    ledger.Tree
	hashes  []tlog.Hash
}

// New returns an empty log named origin. Its key is derived from seed and
// origin, so it is the same in each run, and nothing to trust.
func New(tb testing.TB, origin, seed string) *Log {
	tb.Helper()
	secret := sha256.Sum256([]byte("sallyport.ledgertest/v1\n" + seed))
	private, _, err := ledger.NewLogKey(bytes.NewReader(secret[:]), origin)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ledger.NewLogSigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	return &Log{tb: tb, signer: signer, private: private}
}

// Append adds a leaf and returns its index.
func (l *Log) Append(leaf ledger.Leaf) int64 {
	l.tb.Helper()
	hash, err := leaf.Hash()
	if err != nil {
		l.tb.Fatal(err)
	}
	return l.AppendHash(hash)
}

// AppendHash adds a leaf by its hash and returns its index.
func (l *Log) AppendHash(hash tlog.Hash) int64 {
	l.tb.Helper()
	next, stored, err := l.tree.Append(hash)
	if err != nil {
		l.tb.Fatal(err)
	}
	for _, s := range stored {
		if s.Index != int64(len(l.hashes)) {
			l.tb.Fatalf("stored hash at %d, want %d", s.Index, len(l.hashes))
		}
		l.hashes = append(l.hashes, s.Hash)
	}
	l.tree = next
	return next.Size - 1
}

// ReadHashes returns stored hashes, as [tlog.HashReader] says.
func (l *Log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(indexes))
	for _, i := range indexes {
		if i < 0 || i >= int64(len(l.hashes)) {
			return nil, fmt.Errorf("no stored hash %d among %d", i, len(l.hashes))
		}
		out = append(out, l.hashes[i])
	}
	return out, nil
}

// Tree returns the tree as it is now.
func (l *Log) Tree() ledger.Tree { return l.tree }

// Hashes returns a copy of the stored hashes, in tlog's order.
func (l *Log) Hashes() []tlog.Hash { return slices.Clone(l.hashes) }

// Origin returns the log's name.
func (l *Log) Origin() string { return l.signer.Origin() }

// PublicKey returns the log's vkey.
func (l *Log) PublicKey() string { return l.signer.PublicKey() }

// PrivateKey returns the log's private key, which anybody can derive.
func (l *Log) PrivateKey() string { return l.private }

// Head returns what the log would sign at size, which it must have reached.
func (l *Log) Head(size int64) ledger.Checkpoint {
	l.tb.Helper()
	tree, err := ledger.TreeFrom(size, l)
	if err != nil {
		l.tb.Fatal(err)
	}
	root, err := tree.Root()
	if err != nil {
		l.tb.Fatal(err)
	}
	return ledger.Checkpoint{Origin: l.signer.Origin(), Size: size, Root: root}
}

// Checkpoint returns the signed checkpoint at size.
func (l *Log) Checkpoint(size int64) []byte {
	l.tb.Helper()
	signed, err := l.signer.Sign(l.Head(size))
	if err != nil {
		l.tb.Fatal(err)
	}
	return signed
}

// Prove returns the proof of the leaf at index in the tree of size leaves.
func (l *Log) Prove(index, size int64, extra []byte) []byte {
	l.tb.Helper()
	proof, err := ledger.Prove(index, size, l, l.Checkpoint(size), extra)
	if err != nil {
		l.tb.Fatal(err)
	}
	return proof
}

// Policy returns the policy that believes this log and its one key.
func (l *Log) Policy() *ledger.Policy {
	l.tb.Helper()
	p, err := ledger.NewPolicy(l.signer.Origin(), l.signer.PublicKey())
	if err != nil {
		l.tb.Fatal(err)
	}
	return p
}
