package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	// offlineOptions stand in front of an offline key: a terminal to mend the host from and
	// nothing else, and only with the security key's PIN.
	offlineOptions = "restrict,pty,verify-required"
	maxOfflineFile = 256 << 10
)

// ErrOfflineKey says that a key is not one by which a login may be opened when everything
// else is down.
var ErrOfflineKey = errors.New("no offline key")

// ParseOfflineKeys reads the keys of one offline login from lines as ssh-keygen writes
// them into .pub files. Each lies in a security key; options and authorities are refused.
func ParseOfflineKeys(text []byte) ([]trust.Key, error) {
	if len(text) > maxOfflineFile {
		return nil, fmt.Errorf("%w: over %d bytes", ErrOfflineKey, maxOfflineFile)
	}
	var keys []trust.Key
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		public, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("%w: line %d is no public key", ErrOfflineKey, number)
		}
		if len(options) > 0 {
			return nil, fmt.Errorf("%w: line %d has options; sally-host writes those that have to be (%s)", ErrOfflineKey, number, offlineOptions)
		}
		key := canon.B64(public.Marshal())
		if _, err := hostcall.ParseOfflineKey(key); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrOfflineKey, number, err)
		}
		keys = append(keys, trust.Key(key))
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the file has none", ErrOfflineKey)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// file is what sshd reads for one offline login.
func (o Offline) file() (string, error) {
	var b strings.Builder
	b.WriteString("# Written by `sally-host setup` from host.json: keys for when everything else is down. Each use is told to the ledger.\n")
	for _, k := range o.Keys {
		public, err := hostcall.ParseOfflineKey(string(k))
		if err != nil {
			return "", fmt.Errorf("%w: login %s: %w", ErrOfflineKey, o.Login, err)
		}
		b.WriteString(offlineOptions + " " + string(ssh.MarshalAuthorizedKey(public)))
	}
	return b.String(), nil
}

// noOffline is the file of a login that no offline key opens any more.
const noOffline = "# Written by `sally-host setup`: no offline key opens this login any more.\n"

// offlineFiles are all files of offline keys that a host is to have, by login. Those that
// are there and are not wanted any more open nothing.
func (m Machine) offlineFiles(list []Offline) (map[string]string, error) {
	files := map[string]string{}
	names, err := os.ReadDir(m.file(OfflineFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) { // what stands in its place is refused by name
		return nil, err
	}
	for _, n := range names {
		files[n.Name()] = noOffline
	}
	for _, o := range list {
		if files[string(o.Login)], err = o.file(); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// opensOffline tells whether a key opens a login of this host when everything else is
// down.
func (c Config) opensOffline(login string, key ssh.PublicKey) bool {
	for _, o := range c.Offline {
		if o.Login == sshcert.Login(login) && slices.ContainsFunc(o.Keys, func(k trust.Key) bool { return k.Is(key) }) {
			return true
		}
	}
	return false
}

// judgeOffline holds what sshd reads to host.json.
func (m Machine) judgeOffline(in Installed) []sshdconf.Finding {
	var found []sshdconf.Finding
	add := func(id string, severity sshdconf.Severity, says, mend string) {
		found = append(found, sshdconf.Finding{ID: id, Severity: severity, Says: says, Mend: mend})
	}
	const again = "run sally-host setup again with the keys that are to open this host, with --offline; find out who changed it"
	config := in.Known.Config()
	wanted, err := m.offlineFiles(config.Offline)
	if err != nil {
		add("offline-refused", sshdconf.Weak, fmt.Sprintf("host.json lists an offline key that none is written for: %v", err), again)
	}
	if in.Wanted.Require && (in.Wanted.Offline == "") != (len(config.Offline) == 0) {
		add("offline-missing", sshdconf.Weak, "sshd reads offline keys and host.json lists none, or the other way round", again)
	}
	for login, text := range wanted {
		path := filepath.Join(m.file(OfflineFolder), login)
		have, err := readPlain(path, maxOfflineFile, func(fs.FileInfo) error { return nil })
		switch {
		case errors.Is(err, fs.ErrNotExist):
			add("offline-missing", sshdconf.Weak, path+" is not there, so the offline keys of "+login+" open nothing", again)
		case err != nil || string(have) != text:
			add("offline-changed", sshdconf.Bypass, path+" is not what sally-host has written from host.json: whoever has a key in it gets in as "+login+", and no use of it is told", again)
		case text != noOffline:
			add("offline-keys", sshdconf.Note, fmt.Sprintf("%d security keys open %s when everything else is down; each use is owed a review", strings.Count(text, "\n")-1, login),
				"take out those that nobody has in custody, with sally-host setup")
		}
	}
	return found
}
