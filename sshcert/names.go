// Package sshcert owns the words that stand in an OpenSSH certificate: logins,
// principals, the key ID, the bytes that the ledger records before anything is
// signed, the policy for subject keys, and the SSHSIG signatures made with SSH
// keys.
//
// It is pure. Everything in it is built by a ParseX function that refuses the
// empty value and every character that a host, a shell, a log line or OpenSSH's
// own lists could read as something else.
package sshcert

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Reasons why a name is refused.
var (
	ErrLogin     = errors.New("not a login")
	ErrHost      = errors.New("not a host name")
	ErrPrincipal = errors.New("not a principal")
)

// MaxPrincipals is the most principals one certificate carries (DESIGN §5).
const MaxPrincipals = 64

// Login is an account on a host, as sshd compares it: byte for byte.
type Login string

var loginPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// ParseLogin reads one account name: 1 to 32 characters of a-z, 0-9, _ and -,
// not starting with a digit or -. A comma, a wildcard, a newline, an @ or an
// upper-case letter never gets through, so a login is never read as a list or
// a pattern.
func ParseLogin(s string) (Login, error) {
	if !loginPattern.MatchString(s) {
		return "", fmt.Errorf("login %q: %w: 1 to 32 characters of a-z, 0-9, _ and -, starting with a letter or _", s, ErrLogin)
	}
	return Login(s), nil
}

// ParseLogins reads a list of logins and returns it sorted and without
// repetitions. An empty list is refused: a certificate without principals would
// be one for everybody in some readers.
func ParseLogins(list []string) ([]Login, error) {
	return parseList(list, ParseLogin, fmt.Errorf("no login named: %w", ErrLogin))
}

// UnmarshalText reads a login as ParseLogin does.
func (l *Login) UnmarshalText(text []byte) error {
	v, err := ParseLogin(string(text))
	if err != nil {
		return err
	}
	*l = v
	return nil
}

// Host is the name under which a host joined: a lower-case DNS name.
type Host string

const maxHost = 95 // so that login@host fits the 128 characters a principals file is read with

var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// ParseHost reads a host name: lower-case labels of letters, digits and inner
// hyphens (RFC 1123 §2.1), at most 95 characters, no trailing dot, no wildcard.
func ParseHost(s string) (Host, error) {
	if len(s) > maxHost || !hostPattern.MatchString(s) {
		return "", fmt.Errorf("host %q: %w: a lower-case DNS name of at most %d characters", s, ErrHost, maxHost)
	}
	return Host(s), nil
}

// ParseHosts reads a list of host names and returns it sorted and without
// repetitions. An empty list is refused.
func ParseHosts(list []string) ([]Host, error) {
	return parseList(list, ParseHost, fmt.Errorf("no host named: %w", ErrHost))
}

// UnmarshalText reads a host name as ParseHost does.
func (h *Host) UnmarshalText(text []byte) error {
	v, err := ParseHost(string(text))
	if err != nil {
		return err
	}
	*h = v
	return nil
}

// Principal is what a certificate is valid for: one login on one host. A host
// maps %u to %u@<own name>, so a certificate opens exactly what was approved.
type Principal struct {
	Login Login
	Host  Host
}

// ParsePrincipal reads login@host, split at the last @.
func ParsePrincipal(s string) (Principal, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Principal{}, fmt.Errorf("principal %q: %w: it has no @", s, ErrPrincipal)
	}
	login, err := ParseLogin(s[:at])
	if err != nil {
		return Principal{}, fmt.Errorf("principal %q: %w: %w", s, ErrPrincipal, err)
	}
	host, err := ParseHost(s[at+1:])
	if err != nil {
		return Principal{}, fmt.Errorf("principal %q: %w: %w", s, ErrPrincipal, err)
	}
	return Principal{Login: login, Host: host}, nil
}

// String returns login@host.
func (p Principal) String() string { return string(p.Login) + "@" + string(p.Host) }

// Principals returns every login on every host, sorted as text: the order in
// which a certificate lists them. It refuses none and more than MaxPrincipals.
func Principals(logins []Login, hosts []Host) ([]string, error) {
	n := len(logins) * len(hosts)
	if n == 0 || n > MaxPrincipals {
		return nil, fmt.Errorf("%d logins on %d hosts: %w: a certificate carries 1 to %d principals", len(logins), len(hosts), ErrPrincipal, MaxPrincipals)
	}
	out := make([]string, 0, n)
	for _, h := range hosts {
		for _, l := range logins {
			out = append(out, Principal{Login: l, Host: h}.String())
		}
	}
	slices.Sort(out)
	if len(slices.Compact(slices.Clone(out))) != n {
		return nil, fmt.Errorf("%w: a principal stands twice", ErrPrincipal)
	}
	return out, nil
}

func parseList[T ~string](list []string, parse func(string) (T, error), empty error) ([]T, error) {
	if len(list) == 0 {
		return nil, empty
	}
	out := make([]T, 0, len(list))
	for _, s := range list {
		v, err := parse(s)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
