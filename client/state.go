package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
)

// Names in the state folder. Each authority has a folder of its own, named
// after its origin.
const (
	profileFile    = "profile.json" // the authority in use; in the root
	sessionFile    = "session.json"
	knownHostsFile = "known_hosts"
	hostsFile      = "hosts.json" // provenHosts
	hostsLock      = "lock+hosts"
	refreshLock    = "lock+refresh"
	askLock        = "lock+ask"
)

// ErrNotLoggedIn is returned where no session is kept, or one that is over.
var ErrNotLoggedIn = errors.New("log in first")

// profile says which authority is in use.
type profile struct {
	Server string `json:"server"`
	Pin    string `json:"pin"` // the pin file's text
	Issuer string `json:"issuer,omitempty"`
}

// session is a login, kept in a 0600 file. Bearer, DeviceKey, RZ and Refresh are
// secrets; none is ever printed.
type session struct {
	Server    string       `json:"server"`
	Origin    string       `json:"origin"`
	Person    canon.ID     `json:"person"`
	Who       string       `json:"who"`
	ExpiresAt canon.Micros `json:"expires_at"`
	Bearer    string       `json:"bearer"`
	DeviceKey string       `json:"device_key"` // OpenSSH private key file
	// ClaimsAt is when the identity provider last spoke about the person,
	// FreshUntil when that is too old to ask for something; 0 if the server did
	// not say.
	ClaimsAt   canon.Micros `json:"claims_at,omitempty"`
	FreshUntil canon.Micros `json:"fresh_until_at,omitempty"`
	// Issuer is the identity provider of the login as it was then: a refresh token
	// never goes where a server says later.
	Issuer  api.Issuer `json:"issuer"`
	RZ      string     `json:"rz,omitempty"`      // b64; of the nonce
	Refresh string     `json:"refresh,omitempty"` // the provider's refresh token; empty if there is none
}

// String names the session without its secrets.
func (s session) String() string { return "session of " + s.Who + " at " + s.Server }

// GoString is String, so that %#v does not print the secrets either.
func (s session) GoString() string { return s.String() }

// LogValue logs what String says.
func (s session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// device returns the device key.
func (s session) device() (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey([]byte(s.DeviceKey))
	if err != nil {
		return nil, fail(ExitLogin, "the kept device key cannot be read; log in again: sally login")
	}
	return signer, nil
}

// stateRoot returns the state folder: $SALLY_STATE, else sallyport below
// $XDG_STATE_HOME, else below ~/.local/state (XDG base directories).
func stateRoot(getenv func(string) string) (string, error) {
	root := getenv("SALLY_STATE")
	if root == "" {
		base := getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(base) { // the specification says to ignore others
			home := getenv("HOME")
			if !filepath.IsAbs(home) {
				return "", Usagef("no state folder: set HOME, XDG_STATE_HOME or SALLY_STATE to an absolute path")
			}
			base = filepath.Join(home, ".local", "state")
		}
		root = filepath.Join(base, "sallyport")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("state folder: %w", err)
	}
	// The path stands in options that ssh expands and splits into words.
	if unquotable(root) {
		return "", Usagef("state folder %s: quotes, backslashes, $ and control characters cannot be given to ssh; set SALLY_STATE to another folder", root)
	}
	return root, nil
}

// unquotable reports whether a path cannot stand in an option of ssh (sshPath).
func unquotable(path string) bool {
	return strings.ContainsFunc(path, func(r rune) bool { return canon.Hidden(r) || strings.ContainsRune(`"'\$`, r) })
}

// originDir is the folder of one authority. "+" stands in no origin, so two
// origins never share one.
func originDir(root, origin string) string {
	return filepath.Join(root, strings.ReplaceAll(origin, "/", "+"))
}

// authority is the server in use and what was pinned about it.
type authority struct {
	server *url.URL
	pin    Pin
	issuer string
}

// chooseAuthority finds the authority in use: what is given beats the
// environment (SALLY_SERVER, SALLY_PIN), which beats the profile of the last
// login.
func chooseAuthority(e Env, root, server, pinPath string) (authority, error) {
	var kept profile
	switch b, err := readPrivate(filepath.Join(root, profileFile)); {
	case err == nil:
		if err := json.Unmarshal(b, &kept); err != nil {
			return authority{}, fmt.Errorf("%s: it is damaged; delete it and log in again", filepath.Join(root, profileFile))
		}
	case !errors.Is(err, fs.ErrNotExist):
		return authority{}, err
	}
	server, pinPath = first(server, e.Getenv("SALLY_SERVER")), first(pinPath, e.Getenv("SALLY_PIN"))
	if kept.Pin == "" && (server == "" || pinPath == "") {
		return authority{}, &Error{ExitLogin, fmt.Errorf("%w: sally login --server URL --pin FILE", ErrNotLoggedIn)}
	}
	out := authority{issuer: kept.Issuer}
	var err error
	if pinPath != "" {
		out.pin, err = ReadPin(pinPath)
	} else {
		out.pin, err = ParsePin([]byte(kept.Pin))
	}
	if err != nil {
		return authority{}, err
	}
	if out.server, err = parseServer(first(server, kept.Server)); err != nil {
		return authority{}, err
	}
	if first(server, kept.Server) != kept.Server || out.pin.String() != kept.Pin {
		out.issuer = "" // another authority names its issuers otherwise
	}
	return out, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// parseServer reads a server's URL: https, or http on this machine. Anything
// else would send a bearer over the network in the clear.
func parseServer(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, Usagef("--server %q: not a URL such as https://ca.example", s)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return nil, Usagef("--server %q: scheme, host and port only, such as https://ca.example", s)
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return nil, Usagef("--server %q: plain http only for this machine (localhost, 127.0.0.1, ::1); use https", s)
	}
	u.Path = ""
	return u, nil
}

// saveLogin keeps a login: session first, so that a profile never names an
// authority without one.
func saveLogin(root string, a authority, s session) error {
	dir := originDir(root, a.pin.Origin)
	for _, d := range []string{root, dir} {
		if err := privateDir(d); err != nil {
			return err
		}
	}
	if err := saveSession(dir, s); err != nil {
		return err
	}
	b, err := json.Marshal(profile{Server: a.server.String(), Pin: a.pin.String(), Issuer: a.issuer})
	if err != nil {
		return fmt.Errorf("keeping the profile: %w", err)
	}
	return writeFile(filepath.Join(root, profileFile), b, 0o600)
}

// saveSession keeps a session in the authority's folder.
func saveSession(dir string, s session) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	return writeFile(filepath.Join(dir, sessionFile), b, 0o600)
}

// loadSession returns the session kept in dir. One of another server or origin
// is none: its bearer is not for the server in use.
func loadSession(e Env, dir string, a authority) (session, error) {
	b, err := readPrivate(filepath.Join(dir, sessionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return session{}, &Error{ExitLogin, fmt.Errorf("%w: sally login", ErrNotLoggedIn)}
	}
	if err != nil {
		return session{}, err
	}
	var s session
	if err := json.Unmarshal(b, &s); err != nil || s.Bearer == "" || s.DeviceKey == "" {
		return session{}, fail(ExitLogin, "the kept session is damaged; log in again: sally login")
	}
	switch {
	case s.Server != a.server.String() || s.Origin != a.pin.Origin:
		return session{}, fail(ExitLogin, "%w: the kept session is for %s, not for %s; sally login", ErrNotLoggedIn, s.Server, a.server)
	case !e.Now().Before(s.ExpiresAt.Time()):
		return session{}, fail(ExitLogin, "%w: the session ended at %s; sally login", ErrNotLoggedIn, e.clock(s.ExpiresAt.Time()))
	}
	return s, nil
}

// dropSession deletes the session, and with it the device key.
func dropSession(dir string) error {
	if err := remove(filepath.Join(dir, sessionFile)); err != nil {
		return fmt.Errorf("deleting the session: %w", err)
	}
	return nil
}

// secure makes sure that the folders exist and are ours alone.
func secure(root, dir string) error {
	if _, err := os.Lstat(root); errors.Is(err, fs.ErrNotExist) {
		return &Error{ExitLogin, fmt.Errorf("%w: sally login --server URL --pin FILE", ErrNotLoggedIn)}
	}
	return errors.Join(privateDir(root), privateDir(dir))
}
