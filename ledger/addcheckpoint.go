package ledger

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrAddCheckpoint says that a witness was asked in another form than C2SP
// tlog-witness has.
var ErrAddCheckpoint = errors.New("not an add-checkpoint request")

// MaxAddCheckpoint is the longest add-checkpoint request, in bytes: a checkpoint
// and the longest consistency proof.
const MaxAddCheckpoint = MaxText + 64 + 46*MaxProofHashes

// AddCheckpoint is what a witness is asked: to cosign a checkpoint, given that
// the newest one that it has seen is of size Old (C2SP tlog-witness).
type AddCheckpoint struct {
	Old        int64
	Proof      []tlog.Hash // RFC 6962 §2.1.2, from Old to the checkpoint's size
	Checkpoint []byte      // signed by the log, verbatim
}

// Marshal returns the request's body.
func (a AddCheckpoint) Marshal() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", a.Old)
	for _, h := range a.Proof {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(a.Checkpoint)
	return []byte(b.String())
}

// ParseAddCheckpoint reads a request, strictly. It checks no hash and no
// signature: the checkpoint is hearsay until a policy opened it.
func ParseAddCheckpoint(body []byte) (AddCheckpoint, Checkpoint, error) {
	if len(body) > MaxAddCheckpoint {
		return AddCheckpoint{}, Checkpoint{}, fmt.Errorf("%w: %d bytes, at most %d", ErrAddCheckpoint, len(body), MaxAddCheckpoint)
	}
	head, signed, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	size, old := strings.CutPrefix(lines[0], "old ")
	if !ok || !old {
		return AddCheckpoint{}, Checkpoint{}, fmt.Errorf("%w: want the line \"old SIZE\", hashes, an empty line and a checkpoint", ErrAddCheckpoint)
	}
	a := AddCheckpoint{Checkpoint: []byte(signed)}
	var err error
	if a.Old, err = parseSize(size); err != nil {
		return AddCheckpoint{}, Checkpoint{}, fmt.Errorf("%w: old size: %w", ErrAddCheckpoint, err)
	}
	if len(lines)-1 > MaxProofHashes {
		return AddCheckpoint{}, Checkpoint{}, fmt.Errorf("%w: %d hashes, at most %d", ErrAddCheckpoint, len(lines)-1, MaxProofHashes)
	}
	for i, line := range lines[1:] {
		h, err := parseHash(line)
		if err != nil {
			return AddCheckpoint{}, Checkpoint{}, fmt.Errorf("%w: hash %d: %w", ErrAddCheckpoint, i+1, err)
		}
		a.Proof = append(a.Proof, h)
	}
	c, err := parseSigned(a.Checkpoint)
	if err != nil {
		return AddCheckpoint{}, Checkpoint{}, err
	}
	if a.Old > c.Size {
		return AddCheckpoint{}, Checkpoint{}, fmt.Errorf("%w: from size %d to %d", ErrAddCheckpoint, a.Old, c.Size)
	}
	return a, c, nil
}

// ProveConsistency returns the hashes that lead from the tree of size older to
// the one of size newer (RFC 6962 §2.1.2), none if either is empty or they are
// the same.
func ProveConsistency(older, newer int64, r tlog.HashReader) ([]tlog.Hash, error) {
	if older < 0 || older > newer {
		return nil, fmt.Errorf("%w: from %d leaves to %d", ErrRewound, older, newer)
	}
	if older == 0 || older == newer {
		return nil, nil
	}
	proof, err := tlog.ProveTree(newer, older, r)
	if err != nil {
		return nil, fmt.Errorf("proving size %d from size %d: %w", newer, older, err)
	}
	return proof, nil
}

// CheckGrowth returns nil if proof leads from the older checkpoint to the newer:
// the log only grew. It refuses what [CheckConsistency] refuses, by the proof
// alone, as whoever does not have the leaves must.
func CheckGrowth(older, newer Checkpoint, proof []tlog.Hash) error {
	if err := checkOrder(older, newer); err != nil {
		return err
	}
	if older.Size == 0 || older.Size == newer.Size {
		if len(proof) != 0 {
			return fmt.Errorf("%w: a proof where there is nothing to prove", ErrAddCheckpoint)
		}
		return nil
	}
	if tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root) != nil {
		return fmt.Errorf("%w: the tree of %d leaves is not shown to begin with the one of %d", ErrForked, newer.Size, older.Size)
	}
	return nil
}
