package ledger

import (
	"bytes"
	"fmt"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxProofHashes is the longest inclusion path read: a tree of int64 size has
// no longer one.
const MaxProofHashes = 63

const proofHeader = "c2sp.org/tlog-proof@v1"

// Proof is an inclusion proof as it reads, before anything in it is believed.
// Only [Policy.VerifyProof] makes more of it.
type Proof struct {
	// Index is the leaf's place in the ledger, counted from 0.
	Index int64
	// Extra is what the proof's maker put beside it; nil for none. No signature
	// and no hash covers it.
	Extra []byte
	// Path has the sibling hashes from the leaf up (RFC 6962 §2.1.1).
	Path []tlog.Hash
	// Checkpoint is the signed checkpoint, verbatim.
	Checkpoint []byte
}

// Marshal returns the C2SP tlog-proof text.
func (p Proof) Marshal() []byte {
	if len(p.Extra) == 0 {
		return torchwood.FormatProof(p.Index, p.Path, p.Checkpoint)
	}
	return torchwood.FormatProofWithExtraData(p.Index, p.Extra, p.Path, p.Checkpoint)
}

// ParseProof reads a C2SP tlog-proof text. It returns [ErrProof] for more than
// [MaxText] bytes, more than [MaxProofHashes] hashes and everything that
// [Proof.Marshal] would write otherwise. It checks no hash and no signature.
func ParseProof(text []byte) (Proof, error) {
	if len(text) > MaxText {
		return Proof{}, fmt.Errorf("%w: %d bytes, at most %d", ErrProof, len(text), MaxText)
	}
	head, checkpoint, ok := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || lines[0] != proofHeader {
		return Proof{}, fmt.Errorf("%w: want the line %q, an index, hashes, an empty line and a checkpoint", ErrProof, proofHeader)
	}
	p := Proof{Checkpoint: []byte(checkpoint)}
	rest := lines[1:]
	if len(rest) > 0 && strings.HasPrefix(rest[0], "extra ") {
		var err error
		if p.Extra, err = parseStd(strings.TrimPrefix(rest[0], "extra ")); err != nil {
			return Proof{}, fmt.Errorf("extra line: %w: %w", ErrProof, err)
		}
		rest = rest[1:]
	}
	if len(rest) == 0 || !strings.HasPrefix(rest[0], "index ") {
		return Proof{}, fmt.Errorf("%w: the index line is missing", ErrProof)
	}
	var err error
	if p.Index, err = parseSize(strings.TrimPrefix(rest[0], "index ")); err != nil {
		return Proof{}, fmt.Errorf("index line: %w: %w", ErrProof, err)
	}
	if rest = rest[1:]; len(rest) > MaxProofHashes {
		return Proof{}, fmt.Errorf("%w: %d hashes, at most %d", ErrProof, len(rest), MaxProofHashes)
	}
	for _, line := range rest {
		h, err := parseHash(line)
		if err != nil {
			return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
		}
		p.Path = append(p.Path, h)
	}
	if !bytes.Equal(p.Marshal(), text) {
		return Proof{}, fmt.Errorf("%w: not in canonical form", ErrProof)
	}
	return p, nil
}

// Prove returns the C2SP tlog-proof text that the leaf at index is in the tree
// of size leaves that signedCheckpoint signs, with extra beside it (nil for no
// extra line). The stored hashes of that tree are read from r. The proof is
// checked against the checkpoint's root before it is returned, so a damaged
// store yields an error, never a proof that somebody else must refuse. The
// checkpoint's signature is not checked.
func Prove(index, size int64, r tlog.HashReader, signedCheckpoint, extra []byte) ([]byte, error) {
	c, err := parseSigned(signedCheckpoint)
	if err != nil {
		return nil, err
	}
	if c.Size != size {
		return nil, fmt.Errorf("%w: the checkpoint signs %d leaves, not %d", ErrCheckpoint, c.Size, size)
	}
	if index < 0 || index >= size {
		return nil, fmt.Errorf("%w: leaf %d is not among the %d leaves of the checkpoint", ErrNotIncluded, index, size)
	}
	path, err := tlog.ProveRecord(size, index, r)
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d of %d: %w", index, size, err)
	}
	leaf, err := readHashes(r, []int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d of %d: %w", index, size, err)
	}
	if err := checkIncluded(path, c, index, leaf[0]); err != nil {
		return nil, fmt.Errorf("the stored hashes do not reach the checkpoint's root: %w", err)
	}
	text := Proof{Index: index, Extra: extra, Path: path, Checkpoint: signedCheckpoint}.Marshal()
	if len(text) > MaxText {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrProof, len(text), MaxText)
	}
	return text, nil
}

// ProofResult is what a proof proves.
type ProofResult struct {
	// Index is the leaf's place in the ledger.
	Index int64
	// Checkpoint is the tree head that the leaf is under.
	Checkpoint Checkpoint
	// Extra is not proved: it is what stood in the proof. Believe it only
	// after it was used to rebuild the leaf whose hash was verified.
	Extra []byte
}

// VerifyProof checks that the leaf with leafHash is in the ledger that p
// believes, as the proof text says: the text is well-formed (else [ErrProof]
// or [ErrCheckpoint]), its checkpoint is one p believes (see
// [Policy.OpenCheckpoint]), and its path leads from leafHash at its index to
// that checkpoint's root (else [ErrNotIncluded]).
func (p *Policy) VerifyProof(proof []byte, leafHash tlog.Hash) (ProofResult, error) {
	parsed, err := ParseProof(proof)
	if err != nil {
		return ProofResult{}, err
	}
	c, err := p.OpenCheckpoint(parsed.Checkpoint)
	if err != nil {
		return ProofResult{}, err
	}
	if err := checkIncluded(parsed.Path, c, parsed.Index, leafHash); err != nil {
		return ProofResult{}, err
	}
	return ProofResult{Index: parsed.Index, Checkpoint: c, Extra: parsed.Extra}, nil
}

func checkIncluded(path []tlog.Hash, c Checkpoint, index int64, leafHash tlog.Hash) error {
	if index >= c.Size {
		return fmt.Errorf("%w: leaf %d is not among the %d leaves of the checkpoint", ErrNotIncluded, index, c.Size)
	}
	if tlog.CheckRecord(path, c.Size, c.Root, index, leafHash) != nil {
		return fmt.Errorf("leaf %d of %d: %w: the path does not end at the checkpoint's root", index, c.Size, ErrNotIncluded)
	}
	return nil
}
