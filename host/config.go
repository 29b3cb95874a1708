package host

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// Version is what host.json says that it is.
const Version = "sallyport.host/v1"

// Mode is what a host does with a certificate that it would refuse.
type Mode string

// The modes.
const (
	Observe Mode = "observe" // let in what stock sshd would, and log what would be refused
	Require Mode = "require" // refuse
)

// ErrConfig says that a text is no host.json.
var ErrConfig = errors.New("not a host.json")

// Limits of a config.
const (
	MaxConfig  = 64 << 10
	maxAliases = 16
	maxEntries = 64
	maxSeconds = 366 * 24 * 3600
	maxGrace   = 24 * 3600
)

// Config is what a host's owner says about it, in host.json: who it is, and limits
// that hold whatever the ledger says.
type Config struct {
	V       string         `json:"v"`
	Name    sshcert.Host   `json:"name"`              // as it joined
	Aliases []sshcert.Host `json:"aliases,omitempty"` // its other names
	Mode    Mode           `json:"mode"`
	Server  string         `json:"server"`  // URL of the authority
	Lineage canon.Digest   `json:"lineage"` // of the contract that it belongs to

	MaxCertSeconds   int64           `json:"max_cert_seconds"`        // from ValidAfter to ValidBefore; 0: as the contract says
	Logins           []sshcert.Login `json:"logins,omitempty"`        // the only logins that certificates open; none: any
	Options          []string        `json:"options,omitempty"`       // the only extensions and critical options, the proof aside; none: any
	KRLMaxAgeSeconds int64           `json:"krl_max_age_seconds"`     // 0: no limit
	GraceSeconds     int64           `json:"grace_seconds,omitempty"` // how long sessions go on after their grant; none: they end with it
	Offline          []Offline       `json:"offline,omitempty"`       // who gets in when everything else is down
}

// Offline are keys of the contract that open a login without a certificate.
type Offline struct {
	Login sshcert.Login `json:"login"`
	Keys  []trust.Key   `json:"keys"`
}

// Names are all names of the host, its own first.
func (c Config) Names() []sshcert.Host { return append([]sshcert.Host{c.Name}, c.Aliases...) }

// Marshal writes a config in canonical form, as [ParseConfig] reads it.
func (c Config) Marshal() ([]byte, error) {
	c.V = Version
	text, err := canon.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	_, err = ParseConfig(text)
	return text, err
}

// ParseConfig reads host.json, strictly: what Marshal would not write is refused.
func ParseConfig(text []byte) (Config, error) {
	var c Config
	if len(text) > MaxConfig {
		return Config{}, fmt.Errorf("%w: %d bytes, at most %d", ErrConfig, len(text), MaxConfig)
	}
	if err := canon.Unmarshal(text, &c); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if again, err := canon.Marshal(c); err != nil || string(again) != string(text) {
		return Config{}, fmt.Errorf("%w: a member is missing", ErrConfig)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

func (c Config) check() error {
	switch {
	case c.V != Version:
		return fmt.Errorf("it says that it is %.60q, want %s", c.V, Version)
	case c.Mode != Observe && c.Mode != Require:
		return fmt.Errorf("mode %.60q: %s or %s", c.Mode, Observe, Require)
	case c.Lineage.IsZero():
		return errors.New("lineage is zero")
	case c.MaxCertSeconds < 0 || c.MaxCertSeconds > maxSeconds:
		return fmt.Errorf("max_cert_seconds is from 0 to %d", maxSeconds)
	case c.KRLMaxAgeSeconds < 0 || c.KRLMaxAgeSeconds > maxSeconds:
		return fmt.Errorf("krl_max_age_seconds is from 0 to %d", maxSeconds)
	case len(c.Aliases) > maxAliases:
		return fmt.Errorf("%d aliases, at most %d", len(c.Aliases), maxAliases)
	case c.GraceSeconds < 0 || c.GraceSeconds > maxGrace:
		return fmt.Errorf("grace_seconds is from 0 to %d", maxGrace)
	case slices.Contains(c.Aliases, c.Name):
		return errors.New("an alias is the host's own name")
	}
	if err := checkServer(c.Server); err != nil {
		return err
	}
	return errors.Join(inOrder("aliases", c.Aliases), inOrder("logins", c.Logins), checkOptions(c.Options), checkOffline(c.Offline))
}

// checkServer demands a URL without anything that could be meant for another.
func checkServer(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.String() != s {
		return errors.New("server is a URL such as https://ca.example")
	}
	return nil
}

// inOrder demands that a list has one writing: sorted, each entry once.
func inOrder[T ~string](what string, list []T) error {
	if len(list) > maxEntries {
		return fmt.Errorf("%d %s, at most %d", len(list), what, maxEntries)
	}
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			return fmt.Errorf("%s are sorted, each once", what)
		}
	}
	return nil
}

var optionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@._-]{0,63}$`)

func checkOptions(list []string) error {
	for _, o := range list {
		if !optionPattern.MatchString(o) {
			return fmt.Errorf("option %.80q is no name of an option", o)
		}
	}
	return inOrder("options", list)
}

func checkOffline(list []Offline) error {
	logins := make([]sshcert.Login, 0, len(list))
	for _, o := range list {
		if len(o.Keys) == 0 {
			return fmt.Errorf("offline login %s has no keys", o.Login)
		}
		if err := inOrder("keys of an offline login", o.Keys); err != nil {
			return err
		}
		logins = append(logins, o.Login)
	}
	return inOrder("offline logins", logins)
}
