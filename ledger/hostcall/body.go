package hostcall

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	maxVerifier = 64 // bytes of a version
	maxReason   = 32 // bytes of a reason
	maxAliases  = 16 // other names of a host
	minute      = canon.Micros(60_000_000)
)

func (b JoinBody) check() error {
	if _, err := canon.ParseID(string(b.Invitation)); err != nil {
		return fmt.Errorf("invitation: %w", err)
	}
	for i, a := range b.Aliases {
		if parsed, err := sshcert.ParseHost(string(a)); err != nil || parsed != a || i > 0 && b.Aliases[i-1] >= a || i >= maxAliases {
			return fmt.Errorf("aliases: at most %d host names, sorted, each once", maxAliases)
		}
	}
	_, err := ParseHostKey(b.HostKey)
	return err
}

// WorkloadNonce is the nonce that ties a workload's identity token to the host key with
// which it joins.
func WorkloadNonce(key ssh.PublicKey) string {
	return canon.Sum("sallyport.workload-nonce/v1", key.Marshal()).String()
}

func (b CertifyBody) check() error {
	_, err := ParseHostKey(b.HostKey)
	return err
}

// ParseHostKey reads the key of a host, b64 of its SSH wire form, and holds it to
// the key policy.
func ParseHostKey(b64 string) (ssh.PublicKey, error) {
	wire, err := canon.ParseB64(b64)
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	key, err := sshcert.ParseSubjectKey(wire)
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	return key, nil
}

// ParseOfflineKey reads a key that opens a login when everything else is down, b64 of
// its SSH wire form. It lies in a security key: whoever uses it has to be there, and a
// copy can't be taken.
func ParseOfflineKey(b64 string) (ssh.PublicKey, error) {
	wire, err := canon.ParseB64(b64)
	if err != nil {
		return nil, fmt.Errorf("offline key: %w", err)
	}
	key, err := sshcert.ParseSubjectKey(wire)
	if err != nil {
		return nil, fmt.Errorf("offline key: %w", err)
	}
	if !sshcert.IsSecurityKey(key) {
		return nil, fmt.Errorf("offline key: a key of type %s can be copied; it has to lie in a security key (sk-ssh-ed25519, sk-ecdsa-sha2-nistp256)", key.Type())
	}
	return key, nil
}

func (b HeartbeatBody) check() error {
	switch b.Mode {
	case Observe, Require:
	default:
		return fmt.Errorf("mode %.20q: it is observe or require", b.Mode)
	}
	if b.Verifier == "" || len(b.Verifier) > maxVerifier || !plain(b.Verifier) {
		return fmt.Errorf("verifier: 1 to %d characters of a-z, 0-9, '.', '+' and '-'", maxVerifier)
	}
	for _, n := range []int64{b.Findings, b.Bundle, b.KRL, b.Spooled, int64(b.KRLMadeAt), int64(b.KRLTakenAt)} {
		if n < 0 {
			return errors.New("a number is negative")
		}
	}
	return nil
}

// plain reports whether a text is of characters that a version has.
func plain(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '+' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func (b EventsBody) check() error {
	if len(b.Events) == 0 || len(b.Events) > MaxEvents {
		return fmt.Errorf("%d events, 1 to %d are told at once", len(b.Events), MaxEvents)
	}
	for i, e := range b.Events {
		if err := e.Check(); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return nil
}

// Check refuses an event that lacks what one of its kind has, or has more.
func (e Event) Check() error {
	want := Event{What: e.What}
	switch e.What {
	case Opened:
		want.Session, want.Login, want.Serial, want.OpenedAt = e.Session, e.Login, e.Serial, e.OpenedAt
		if e.Login == "" || e.OpenedAt <= 0 {
			return errors.New("a login has an account, a serial and a time")
		}
	case Offline:
		want.Session, want.Login, want.Key, want.OpenedAt = e.Session, e.Login, e.Key, e.OpenedAt
		if e.Login == "" || e.OpenedAt <= 0 {
			return errors.New("a login has an account and a time")
		}
		if _, err := ParseOfflineKey(e.Key); err != nil {
			return err
		}
	case Closed:
		want.Session, want.How, want.ClosedAt = e.Session, e.How, e.ClosedAt
		if err := e.How.Check(); err != nil {
			return err
		}
		if e.ClosedAt <= 0 {
			return errors.New("the end of a session has a time")
		}
	case Refused:
		want.MinuteAt, want.Counts = e.MinuteAt, e.Counts
		if err := CheckCounts(e.MinuteAt, e.Counts); err != nil {
			return err
		}
	default:
		return fmt.Errorf("there is no event %.20q", e.What)
	}
	if e.What != Refused {
		if _, err := canon.ParseID(string(e.Session)); err != nil {
			return fmt.Errorf("session: %w", err)
		}
	}
	if !same(e, want) {
		return fmt.Errorf("it has a member that no %s has", e.What)
	}
	return nil
}

func same(a, b Event) bool {
	return a.Session == b.Session && a.Login == b.Login && a.Serial == b.Serial && a.Key == b.Key && a.OpenedAt == b.OpenedAt &&
		a.How == b.How && a.ClosedAt == b.ClosedAt && a.MinuteAt == b.MinuteAt && slices.Equal(a.Counts, b.Counts)
}

// Check refuses what no session ends by.
func (h How) Check() error {
	switch h {
	case Left, Over, Released, Revoked, Lost:
		return nil
	}
	return fmt.Errorf("no session ends by %.20q", string(h))
}

// CheckCounts refuses counts that are not those of one whole minute.
func CheckCounts(at canon.Micros, counts []Count) error {
	if at <= 0 || at%minute != 0 {
		return errors.New("refusals are counted from the first moment of a minute on")
	}
	if len(counts) == 0 || len(counts) > MaxReasons {
		return fmt.Errorf("%d reasons, 1 to %d are counted", len(counts), MaxReasons)
	}
	for i, c := range counts {
		if !reasonText(c.Reason) || c.Count < 1 || c.Count > maxCount || (i > 0 && counts[i-1].Reason >= c.Reason) {
			return fmt.Errorf("reason %.40q: reasons are of a-z and _, in order, each once, with a count from 1", c.Reason)
		}
	}
	return nil
}

func reasonText(s string) bool {
	if s == "" || len(s) > maxReason {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}
