// Package ledger owns the ledger's formats and their proofs: the leaf and the
// commitments in it, the Merkle tree that only grows, signed checkpoints, and
// inclusion proofs that anyone can check offline with the log's public key.
//
// The tree is RFC 6962's, computed with golang.org/x/mod/sumdb/tlog.
// Checkpoints and proofs are C2SP tlog-checkpoint and tlog-proof texts, signed
// and checked through filippo.io/torchwood, which no other package of ours
// calls for this. What the package reads, it reads strictly: every accepted
// text is exactly the text that it would write itself, but for signatures of
// keys that a reader does not know, which C2SP signed-note tells to ignore.
//
// It is pure: it keeps nothing, and randomness and stored hashes are arguments.
// Start with [Leaf], [Tree.Append], [LogSigner.Sign] and [Prove] to write a
// ledger, with [NewPolicy] and [Policy.VerifyProof] to check one. Whether a
// certificate carries its own proof is package certproof's question.
// docs/formats.md describes each format for other implementations, and
// testdata holds the vectors.
package ledger

import "errors"

// Reasons why something is refused. Each error of this package wraps one of
// them, except errors of a caller's own reader.
var (
	// ErrLeaf says that a leaf is not in the one form that the ledger holds.
	ErrLeaf = errors.New("not a ledger leaf")
	// ErrSalt says that a salt is malformed or was never drawn.
	ErrSalt = errors.New("not a salt")
	// ErrTree says that a tree's size and right edge do not belong together,
	// or that the tree is full.
	ErrTree = errors.New("not a ledger tree")
	// ErrOrigin says that a log's name is malformed or another log's.
	ErrOrigin = errors.New("not the log's origin")
	// ErrLogKey says that a log key is malformed or belongs to another origin.
	ErrLogKey = errors.New("not a log key for this origin")
	// ErrCheckpoint says that a checkpoint is malformed.
	ErrCheckpoint = errors.New("not a checkpoint")
	// ErrUntrusted says that no key that the policy trusts signed a checkpoint.
	ErrUntrusted = errors.New("checkpoint is not signed by a trusted log key")
	// ErrProof says that an inclusion proof is malformed.
	ErrProof = errors.New("not an inclusion proof")
	// ErrNotIncluded says that a well-formed proof does not lead from the leaf
	// to the checkpoint's root.
	ErrNotIncluded = errors.New("the ledger does not hold this leaf at this index")
	// ErrForked says that two checkpoints cannot belong to one growing ledger.
	ErrForked = errors.New("the ledger forked")
	// ErrRewound says that the newer checkpoint is smaller than the older.
	ErrRewound = errors.New("the ledger was rewound")
)

// MaxSize is the largest tree, in leaves: the largest integer of canonical
// JSON, so that sizes and indexes fit each format. It also keeps index
// arithmetic far away from the end of int64, where tlog loops for ever.
const MaxSize = 1<<53 - 1

// Serial returns the serial of the certificate whose leaf is at index: index
// plus one, so that it is never 0 and sshd's own log line points at the ledger.
// A negative index has no leaf and yields 0, which no certificate carries.
func Serial(index int64) uint64 {
	if index < 0 {
		return 0
	}
	return uint64(index) + 1
}
