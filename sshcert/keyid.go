package sshcert

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// ErrKeyID is returned for a key ID that the authority would not have written.
var ErrKeyID = errors.New("not a key ID of ours")

// KeyID is the text that stock sshd logs with each login: who, under which
// request, under which contract version, and until when the grant lasts. It is
// made by the authority alone and has a fixed alphabet, so nothing anybody
// writes can forge a log line with it.
type KeyID struct {
	Person   canon.ID
	Request  canon.ID
	Contract canon.Digest // the full digest of the contract version
	End      time.Time    // the grant's end, whole seconds UTC
}

var keyIDPattern = regexp.MustCompile(`^p=([a-z2-7]{26});r=([a-z2-7]{26});c=([A-Za-z0-9_-]{43});e=([0-9]{10,11})$`)

// String returns p=PERSON;r=REQUEST;c=CONTRACT;e=UNIXSECONDS.
func (k KeyID) String() string {
	return fmt.Sprintf("p=%s;r=%s;c=%s;e=%d", k.Person, k.Request, k.Contract, k.End.Unix())
}

// ParseKeyID reads what String writes and refuses everything else, other
// spellings of the same values included.
func ParseKeyID(s string) (KeyID, error) {
	m := keyIDPattern.FindStringSubmatch(s)
	if m == nil {
		return KeyID{}, fmt.Errorf("%w: it has another form", ErrKeyID)
	}
	person, err := canon.ParseID(m[1])
	if err != nil {
		return KeyID{}, fmt.Errorf("%w: person: %w", ErrKeyID, err)
	}
	request, err := canon.ParseID(m[2])
	if err != nil {
		return KeyID{}, fmt.Errorf("%w: request: %w", ErrKeyID, err)
	}
	digest, err := canon.ParseDigest(m[3])
	if err != nil {
		return KeyID{}, fmt.Errorf("%w: contract: %w", ErrKeyID, err)
	}
	end, err := strconv.ParseInt(m[4], 10, 64)
	if err != nil {
		return KeyID{}, fmt.Errorf("%w: end: %w", ErrKeyID, err)
	}
	k := KeyID{Person: person, Request: request, Contract: digest, End: time.Unix(end, 0).UTC()}
	if k.String() != s {
		return KeyID{}, fmt.Errorf("%w: it is not in its shortest form", ErrKeyID)
	}
	return k, nil
}
