package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/deploy/systemd"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/ledger/trust"
)

// Where setup puts the rest, unless it is told otherwise.
const (
	// DefaultState is the folder that only root reads: what setup has changed, what the agent keeps.
	DefaultState = "/var/lib/sally-host"
	// DefaultMain is the configuration of the host's sshd.
	DefaultMain = "/etc/ssh/sshd_config"
	// DefaultUser is the account that the verifier runs as, of its own.
	DefaultUser = "sally-verify"
	// DefaultPAM is what PAM does for sshd.
	DefaultPAM = "/etc/pam.d/sshd"
	// DefaultUnit is where the administrator's own unit of the agent lies.
	DefaultUnit = "/etc/systemd/system/" + systemd.AgentUnit
	// DefaultSystemd is a folder that is there where systemd runs.
	DefaultSystemd = "/run/systemd/system"
)

// More files in the host's folder.
const (
	AuthoritiesFile  = "user-ca.pub"   // TrustedUserCAKeys, written from the bundle
	HostCertFile     = "host-cert.pub" // HostCertificate
	FragmentFile     = "sshd.conf"     // a copy of what sshd is told
	BreakGlassFolder = "break-glass"   // the owner's own keys, one file an account
	OfflineFolder    = "offline"       // the contract's keys for when everything else is down, one file an account
)

// Machine is a host as setup, doctor and leave see it. [Machine.Fill] puts in what is not said.
type Machine struct {
	Dir      string // the host's folder, [DefaultDir]
	State    string // [DefaultState]
	Spool    string // the verifier's own folder, [DefaultSpool]
	Main     string // sshd's configuration, [DefaultMain]
	Fragment string // what it includes; sshd_config.d/00-sallyport.conf beside Main
	SSHD     string // sshd's program
	Program  string // sally-host itself
	User     string // [DefaultUser]
	PAM      string // sshd's file of PAM, [DefaultPAM]
	Unit     string // the agent's unit, [DefaultUnit]
	Systemd  string // [DefaultSystemd]
	Passwd   string // /etc/passwd
	Nsswitch string // /etc/nsswitch.conf
	Log      string // where the verifier says who is refused; empty: the system's log
	Owner    int    // whom the files belong to; 0 is root
	Now      func() time.Time
}

// Fill returns the machine with what was not said put in.
func (m Machine) Fill() (Machine, error) {
	if m.State == "" {
		m.State = DefaultState
	}
	for _, field := range []struct {
		value    *string
		fallback string
	}{
		{&m.Dir, DefaultDir},
		{&m.Spool, DefaultSpool},
		{&m.Main, DefaultMain},
		{&m.User, DefaultUser},
		{&m.PAM, m.knownPAM()},
		{&m.Unit, DefaultUnit},
		{&m.Systemd, DefaultSystemd},
		{&m.Passwd, "/etc/passwd"},
		{&m.Nsswitch, "/etc/nsswitch.conf"},
	} {
		if *field.value == "" {
			*field.value = field.fallback
		}
	}
	if m.Now == nil {
		m.Now = time.Now
	}
	if m.Fragment == "" {
		m.Fragment = filepath.Join(filepath.Dir(m.Main), "sshd_config.d", sshdconf.FragmentName)
	}
	if m.SSHD == "" {
		path, err := program("sshd")
		if err != nil {
			return m, err
		}
		m.SSHD = path
	}
	if m.Program == "" {
		path, err := os.Executable()
		if err != nil {
			return m, fmt.Errorf("finding out where sally-host is: %w; say it with --program", err)
		}
		m.Program = path
	}
	return m, nil
}

// knownPAM is the file that an earlier setup has put the line into, else the
// distribution's.
func (m Machine) knownPAM() string {
	j, err := readJournal(m.State)
	if err != nil {
		return DefaultPAM
	}
	if i := slices.IndexFunc(j.Changes, func(c change) bool { return c.Kind == changePAM }); i >= 0 {
		return j.Changes[i].Name
	}
	return DefaultPAM
}

// program finds a system program. Administrators' folders are looked into first: what an environment says is not asked.
func program(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/bin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed on this host", name)
}

func (m Machine) file(name string) string { return filepath.Join(m.Dir, name) }

func (m Machine) sshd() sshdconf.SSHD { return sshdconf.SSHD{Path: m.SSHD, Config: m.Main} }

// wanted is what sshd is to be told.
func (m Machine) wanted(mode Mode, breakGlass bool) sshdconf.Wanted {
	args := calls("principals", place{"--dir", m.Dir, DefaultDir}, place{"--spool", m.Spool, DefaultSpool}, place{"--log", m.Log, ""})
	w := sshdconf.Wanted{
		Program: m.Program, Args: args, User: m.User, CAKeys: m.file(AuthoritiesFile), RevokedKeys: m.file(KRLFile), Require: mode == Require,
	}
	if breakGlass {
		w.BreakGlass = m.file(BreakGlassFolder)
	}
	return w
}

// place is a flag for what may be elsewhere.
type place struct{ flag, value, fallback string }

// calls is a verb with the flags for what is not where it mostly is.
func calls(verb string, places ...place) []string {
	words := []string{verb}
	for _, p := range places {
		if p.value != p.fallback {
			words = append(words, p.flag, p.value)
		}
	}
	return words
}

func (m Machine) programPlace() sshdconf.Place {
	return sshdconf.Place{ID: "program-open", Path: m.Program, Severity: sshdconf.Weak, Means: "sshd does not run the verifier and no certificate gets in", Runs: true}
}

// places are the files that nobody else may change.
func (m Machine) places() []sshdconf.Place {
	return []sshdconf.Place{
		m.programPlace(),
		{ID: "policy-open", Path: m.file(ConfigFile), Severity: sshdconf.Bypass, Means: "others say what this host lets in"},
		{ID: "bundle-open", Path: m.file(BundleFile), Severity: sshdconf.Bypass, Means: "others say whom this host trusts"},
		{ID: "authorities-open", Path: m.file(AuthoritiesFile), Severity: sshdconf.Bypass, Means: "others say whose certificates sshd takes"},
		{ID: "revoked-open", Path: m.file(KRLFile), Severity: sshdconf.Bypass, Means: "others say what is revoked"},
		{ID: "fragment-open", Path: m.Fragment, Severity: sshdconf.Bypass, Means: "others say what sshd does"},
		{ID: "config-open", Path: m.Main, Severity: sshdconf.Bypass, Means: "others say what sshd does"},
		{ID: "pam-open", Path: m.PAM, Severity: sshdconf.Bypass, Means: "others say what runs as root when somebody logs in", Optional: true},
		{ID: "offline-open", Path: m.file(OfflineFolder), Severity: sshdconf.Bypass, Means: "others open a way in without the verifier", Optional: true},
		{ID: "break-glass-open", Path: m.file(BreakGlassFolder), Severity: sshdconf.Bypass, Means: "others open the owner's way in", Optional: true},
	}
}

// inspection is what to look at.
func (m Machine) inspection(w sshdconf.Wanted, b trust.Bundle) sshdconf.Inspection {
	in := sshdconf.Inspection{
		SSHD: m.sshd(), Wanted: w, Fragment: m.Fragment, Places: m.places(), Owner: uint32(m.Owner), //nolint:gosec // a user's number
		Passwd: m.Passwd, Nsswitch: m.Nsswitch,
	}
	for _, key := range b.UserCAs {
		if public, err := key.Public(); err == nil { // a bundle was parsed, so each is one
			in.Authorities = append(in.Authorities, public.Marshal())
		}
	}
	return in
}

// ErrMachine is wrapped when a host is not in a state in which it can be set up.
var ErrMachine = errors.New("this host can't be set up as it is")
