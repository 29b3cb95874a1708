package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
)

// Tree is as much of a Merkle tree as appending needs: its size and its right
// edge. The zero Tree is the empty tree. A Tree is a value; nothing changes one.
type Tree struct {
	// Size is the number of leaves, 0 to [MaxSize].
	Size int64
	// Edge has the roots of the complete subtrees that Size splits into, one
	// for each bit set in Size, largest (leftmost) first.
	Edge []tlog.Hash
}

// StoredHash is one hash of the tree to be kept, at its place in tlog's order
// ([tlog.StoredHashIndex]). A stored hash never changes.
type StoredHash struct {
	Index int64
	Hash  tlog.Hash
}

// Append returns t with one more leaf, and the hashes that this completes: the
// leaf's own and one for each subtree that is now full, at consecutive indexes.
// Whoever stores the new size must store these rows with it. t stays as it is.
func (t Tree) Append(leafHash tlog.Hash) (next Tree, stored []StoredHash, err error) {
	if err := t.check(); err != nil {
		return Tree{}, nil, err
	}
	if t.Size == MaxSize {
		return Tree{}, nil, fmt.Errorf("%w: it is full at %d leaves", ErrTree, int64(MaxSize))
	}
	index := tlog.StoredHashIndex(0, t.Size)
	stored = []StoredHash{{Index: index, Hash: leafHash}}
	edge := slices.Clone(t.Edge)
	hash := leafHash
	// Each trailing 1 of the size is a subtree as large as the one just
	// completed, like the carries of a binary counter.
	for size := t.Size; size&1 == 1; size >>= 1 {
		last := len(edge) - 1
		hash = tlog.NodeHash(edge[last], hash)
		edge = edge[:last]
		index++
		stored = append(stored, StoredHash{Index: index, Hash: hash})
	}
	return Tree{Size: t.Size + 1, Edge: append(edge, hash)}, stored, nil
}

// Root returns the tree's root hash (RFC 6962 §2.1); for the empty tree that is
// the SHA-256 of nothing.
func (t Tree) Root() (tlog.Hash, error) {
	if err := t.check(); err != nil {
		return tlog.Hash{}, err
	}
	if t.Size == 0 {
		return emptyRoot(), nil
	}
	root := t.Edge[len(t.Edge)-1]
	for _, left := range slices.Backward(t.Edge[:len(t.Edge)-1]) {
		root = tlog.NodeHash(left, root)
	}
	return root, nil
}

// TreeFrom reads the right edge of the tree with size leaves from its stored
// hashes. It trusts r: compare the root with one that was signed.
func TreeFrom(size int64, r tlog.HashReader) (Tree, error) {
	if err := checkSize(size); err != nil {
		return Tree{}, fmt.Errorf("%w: %w", ErrTree, err)
	}
	if size == 0 {
		return Tree{}, nil
	}
	edge, err := readHashes(r, torchwood.RightEdge(size))
	if err != nil {
		return Tree{}, fmt.Errorf("reading the right edge at size %d: %w", size, err)
	}
	t := Tree{Size: size, Edge: edge}
	return t, t.check()
}

const treeHeader = "sallyport.tree/v1"

// Marshal returns the tree's text form, which the head row keeps: a header
// line, the size in decimal, and one line of unpadded base64url for each hash
// of the edge.
func (t Tree) Marshal() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%d\n", treeHeader, t.Size)
	for _, h := range t.Edge {
		fmt.Fprintf(&b, "%s\n", canon.B64(h[:]))
	}
	return b.Bytes(), nil
}

// ParseTree reads what [Tree.Marshal] writes and returns [ErrTree] for
// everything else. It cannot know whether the hashes are the right ones:
// compare the root with one that was signed.
func ParseTree(text []byte) (Tree, error) {
	const longest = len(treeHeader) + 1 + 17 + 53*44
	if len(text) > longest {
		return Tree{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTree, len(text), longest)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 || lines[0] != treeHeader || lines[len(lines)-1] != "" {
		return Tree{}, fmt.Errorf("%w: want the line %q, a size and the right edge, each line ended by a newline", ErrTree, treeHeader)
	}
	size, err := parseSize(lines[1])
	if err != nil {
		return Tree{}, fmt.Errorf("%w: %w", ErrTree, err)
	}
	t := Tree{Size: size}
	for i, line := range lines[2 : len(lines)-1] {
		d, err := canon.ParseDigest(line)
		if err != nil {
			return Tree{}, fmt.Errorf("line %d: %w: %w", i+3, ErrTree, err)
		}
		t.Edge = append(t.Edge, tlog.Hash(d))
	}
	return t, t.check()
}

func (t Tree) check() error {
	if err := checkSize(t.Size); err != nil {
		return fmt.Errorf("%w: %w", ErrTree, err)
	}
	want := 0
	for size := t.Size; size > 0; size &= size - 1 { // clears the lowest bit set
		want++
	}
	if len(t.Edge) != want {
		return fmt.Errorf("%w: the right edge of %d leaves is %d hashes, not %d", ErrTree, t.Size, want, len(t.Edge))
	}
	return nil
}

func checkSize(size int64) error {
	if size < 0 || size > MaxSize {
		return fmt.Errorf("size %d is not between 0 and %d", size, int64(MaxSize))
	}
	return nil
}

// emptyRoot is the root of no leaves: the hash of nothing (RFC 6962 §2.1).
func emptyRoot() tlog.Hash { return sha256.Sum256(nil) }

// readHashes asks r and holds it to its promise.
func readHashes(r tlog.HashReader, indexes []int64) ([]tlog.Hash, error) {
	hashes, err := r.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	if len(hashes) != len(indexes) {
		return nil, fmt.Errorf("asked for %d stored hashes, got %d", len(indexes), len(hashes))
	}
	return hashes, nil
}
