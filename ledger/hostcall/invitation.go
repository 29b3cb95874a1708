package hostcall

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// ErrInvitation says that a text is no invitation.
var ErrInvitation = errors.New("this is no invitation")

const (
	// SecretSize is the length of an invitation's secret, in bytes.
	SecretSize = 16

	invitationPrefix = "sallyport-join-1."
	invitationDomain = "sallyport.invitation-line/v1"
	idSize           = 16
	checkSize        = 4
	maxInvitation    = 512
)

var invitationText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Invitation is what lets a host join once. Its text is one line that people copy:
// whoever has it can join as the host that it was made for, so it is a secret.
type Invitation struct {
	ID     canon.ID
	Secret [SecretSize]byte
	Bundle canon.Digest // of the trust bundle that the host is to pin
	Origin string       // of the ledger
}

// NewInvitation draws an invitation to a ledger with a trust bundle.
func NewInvitation(rand io.Reader, origin string, bundle canon.Digest) (Invitation, error) {
	i := Invitation{Bundle: bundle, Origin: origin}
	var err error
	if i.ID, err = canon.NewID(rand); err != nil {
		return Invitation{}, err
	}
	if _, err := io.ReadFull(rand, i.Secret[:]); err != nil {
		return Invitation{}, fmt.Errorf("drawing a secret: %w", err)
	}
	_, err = ParseInvitation(i.Reveal())
	return i, err
}

// String says which invitation it is, and not the secret: an invitation that is
// logged by mistake gives nothing away. Reveal does.
func (i Invitation) String() string { return "invitation " + string(i.ID) }

// GoString is String.
func (i Invitation) GoString() string { return i.String() }

// Format writes String, whatever the verb: no verb shows the secret.
func (i Invitation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, i.String()) }

// MarshalText refuses: an invitation is shown on purpose, or not at all.
func (i Invitation) MarshalText() ([]byte, error) {
	return nil, fmt.Errorf("%w: it is written by Reveal alone", ErrInvitation)
}

// Reveal returns the line that people copy, with the secret in it.
func (i Invitation) Reveal() string {
	id, err := invitationText.DecodeString(string(i.ID))
	if err != nil {
		return ""
	}
	body := append(append(id, i.Secret[:]...), i.Bundle[:]...)
	return invitationPrefix + invitationText.EncodeToString(append(body, i.check(body)...)) + "." + i.Origin
}

func (i Invitation) check(body []byte) []byte {
	sum := canon.Sum(invitationDomain, body, []byte(i.Origin))
	return sum[:checkSize]
}

// ParseInvitation reads what Reveal writes. Its errors wrap ErrInvitation and never
// repeat the text.
func ParseInvitation(text string) (Invitation, error) {
	rest, ok := strings.CutPrefix(text, invitationPrefix)
	coded, origin, two := strings.Cut(rest, ".")
	if !ok || !two || len(text) > maxInvitation {
		return Invitation{}, fmt.Errorf("%w: it begins with %q and names its ledger at the end; copy the whole line", ErrInvitation, invitationPrefix)
	}
	body, err := invitationText.DecodeString(coded)
	if err != nil || len(body) != idSize+SecretSize+canon.DigestSize+checkSize || invitationText.EncodeToString(body) != coded {
		return Invitation{}, fmt.Errorf("%w: its middle is not %d characters of a-z and 2-7; copy the whole line", ErrInvitation, invitationText.EncodedLen(idSize+SecretSize+canon.DigestSize+checkSize))
	}
	i := Invitation{Origin: origin, Secret: [SecretSize]byte(body[idSize:]), Bundle: canon.Digest(body[idSize+SecretSize:])}
	at := len(body) - checkSize
	if _, err := ledger.ParseOrigin(origin); err != nil || !bytes.Equal(i.check(body[:at]), body[at:]) {
		return Invitation{}, fmt.Errorf("%w: its checksum is wrong, so a character was changed or lost; copy it again", ErrInvitation)
	}
	if i.ID, err = canon.ParseID(invitationText.EncodeToString(body[:idSize])); err != nil || i.Bundle.IsZero() {
		return Invitation{}, fmt.Errorf("%w: it names no invitation or no trust bundle", ErrInvitation)
	}
	return i, nil
}
