package ledger

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxText is the largest signed checkpoint or proof read, in bytes. It is
// checked before anything is parsed. A proof at 2^30 leaves with three
// witnesses takes about 2 KiB.
const MaxText = 16 << 10

// Checkpoint is what a log says of itself when it signs: its name, its size
// and the root over its leaves (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   int64 // leaves, 0 to MaxSize
	Root   tlog.Hash
}

// Sign returns c as a C2SP tlog-checkpoint: a signed note with the key's
// signature. It refuses another log's origin with [ErrOrigin]. It does not ask
// whether c is consistent with what was signed before; see [CheckConsistency].
func (s *LogSigner) Sign(c Checkpoint) ([]byte, error) {
	if c.Origin != s.origin {
		return nil, fmt.Errorf("signing a checkpoint of %.120q: %w: the key belongs to %q", c.Origin, ErrOrigin, s.origin)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: c.text()}, s.signer)
	if err != nil {
		return nil, fmt.Errorf("signing the checkpoint at size %d: %w", c.Size, err)
	}
	return signed, nil
}

// text returns the note text: three lines, no extension lines (C2SP advises
// against them, and not every cosignature covers them).
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// Unsigned returns the checkpoint's three lines, without any signature: what a
// witness keeps.
func (c Checkpoint) Unsigned() []byte { return []byte(c.text()) }

// ParseUnsigned reads the three lines that Unsigned returns. They are hearsay.
func ParseUnsigned(text []byte) (Checkpoint, error) {
	if len(text) > MaxText {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes, at most %d", ErrCheckpoint, len(text), MaxText)
	}
	body, ended := strings.CutSuffix(string(text), "\n")
	if !ended {
		return Checkpoint{}, fmt.Errorf("%w: the last line does not end", ErrCheckpoint)
	}
	return parseLines(strings.Split(body, "\n"))
}

// EmptyCheckpoint is that of a log without leaves, with which every log begins.
func EmptyCheckpoint(origin string) Checkpoint {
	return Checkpoint{Origin: origin, Root: emptyRoot()}
}

func (c Checkpoint) check() error {
	if _, err := ParseOrigin(c.Origin); err != nil {
		return fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if err := checkSize(c.Size); err != nil {
		return fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if c.Size > 0 {
		return nil
	}
	if c.Root != emptyRoot() {
		return fmt.Errorf("%w: size 0 with the root of something", ErrCheckpoint)
	}
	return nil
}

// parseSigned reads a signed checkpoint strictly and checks no signature: its
// result is hearsay. It refuses extension lines, signatures in loose base64 and
// a key that signs twice.
func parseSigned(signed []byte) (Checkpoint, error) {
	if len(signed) > MaxText {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes, at most %d", ErrCheckpoint, len(signed), MaxText)
	}
	text, signatures, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return Checkpoint{}, fmt.Errorf("%w: want an origin, a size, a root, an empty line and signatures", ErrCheckpoint)
	}
	c, err := parseLines(strings.Split(text, "\n"))
	if err != nil {
		return Checkpoint{}, err
	}
	return c, checkSignatureLines(signatures)
}

// parseLines reads origin, size and root, strictly.
func parseLines(lines []string) (Checkpoint, error) {
	if len(lines) != 3 {
		return Checkpoint{}, fmt.Errorf("%w: want an origin, a size, a root, an empty line and signatures", ErrCheckpoint)
	}
	origin, err := ParseOrigin(lines[0])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("line 1: %w: %w", ErrCheckpoint, err)
	}
	size, err := parseSize(lines[1])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("line 2: %w: %w", ErrCheckpoint, err)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("line 3: %w: %w", ErrCheckpoint, err)
	}
	c := Checkpoint{Origin: origin, Size: size, Root: root}
	return c, c.check()
}

// checkSignatureLines checks the form of the lines, whoever signed.
func checkSignatureLines(signatures string) error {
	const keyID = 4 // bytes before the signature proper
	body, ended := strings.CutSuffix(signatures, "\n")
	if !ended {
		return fmt.Errorf("%w: the last signature line does not end", ErrCheckpoint)
	}
	type key struct {
		name string
		id   [keyID]byte
	}
	seen := make(map[key]bool)
	for line := range strings.SplitSeq(body, "\n") {
		rest, dash := strings.CutPrefix(line, "— ")
		name, text, space := strings.Cut(rest, " ")
		raw, err := parseStd(text)
		if !dash || !space || name == "" || err != nil || len(raw) <= keyID {
			return fmt.Errorf("%w: %.80q is no signature line", ErrCheckpoint, line)
		}
		k := key{name: name, id: [keyID]byte(raw[:keyID])}
		if seen[k] {
			return fmt.Errorf("%w: key %.120q signs twice", ErrCheckpoint, name)
		}
		seen[k] = true
	}
	return nil
}
