package host

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/ledger/trust"
)

// SetupOptions are the settings of [Setup].
type SetupOptions struct {
	Machine Machine
	Reload  Reload
	Config  Config       // what becomes host.json; V and Lineage are put in
	Bundle  []byte       // the file of the first trust bundle
	Digest  canon.Digest // what the host was told that the bundle is
	// BreakGlass keeps the owner's own way in: root puts keys into break-glass/LOGIN. Without it there is none.
	BreakGlass bool
	// Sessions puts the line into the file of PAM by which sessions end with their grants.
	Sessions bool
	// Agent has systemd run the agent, where systemd runs.
	Agent bool
	// HostCertificate is the file of the host's own certificate, for which sshd has the key. Where it is empty, the one
	// that the agent or sally-host join has got is named, if it is good.
	HostCertificate string
	// TakeOver replaces certificate authorities, a list of revoked keys and such that sshd has already.
	TakeOver bool
	Out      io.Writer
	Now      func() time.Time

	hook func(step, when string) error // of tests
}

// Setup puts the verifier in force on a host, or puts right what has become of an earlier setup. Either all of it is done,
// or the host is as before:
//
//  1. look: may it be done at all, and what is in force now;
//  2. the folders, the account of the verifier, the files that it answers from;
//  3. an empty list of revoked keys, before anything names it: without the file sshd lets nobody in;
//  4. the line for PAM, without which a session would not end with its grant;
//  5. what sshd is told, and an Include for it if it would not be read;
//  6. `sshd -t`, then `sshd -T`: is what is wanted in force, for everybody and in each Match block;
//  7. sshd reads it, and answers still;
//  8. the agent runs.
func Setup(ctx context.Context, o SetupOptions) error {
	p, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	unlock, err := lock(p.machine.Main)
	if err != nil {
		return err
	}
	defer unlock()
	j, err := readJournal(p.machine.State)
	if err != nil {
		return err
	}
	t := &transaction{machine: p.machine, journal: j, hook: o.hook, say: func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }}
	if err := p.run(ctx, t); err != nil {
		if undoErr := t.rollBack(ctx); undoErr != nil {
			return fmt.Errorf("%w; the host is not as before: %w", err, undoErr)
		}
		return fmt.Errorf("%w; everything is as before", err)
	}
	t.say("%s is set up in mode %s; log in once more before you end this session", p.config.Name, p.config.Mode)
	return nil
}

// lock lets one setup at a time change a host.
func lock(main string) (unlock func(), err error) {
	f, err := os.Open(filepath.Dir(main))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("another sally-host is changing this host: %w", err)
	}
	return func() {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // a child may still have it open, so closing is not enough
		_ = f.Close()                                   // nothing was written
	}, nil
}

// plan is what setup is about to do.
type plan struct {
	machine  Machine
	reload   Reload
	config   Config
	signed   trust.Signed
	bundle   []byte
	wanted   sshdconf.Wanted
	fragment string
	before   sshdconf.Settings // in force without us
	answered bool              // sshd answered before
	session  bool              // sessions are to end with their grants
	pam      bool              // sshd knows PAM
	runAgent bool
	offline  map[string]string // files of offline keys, by login
	now      time.Time
}

// Check refuses settings that Setup would refuse on any host and with any bundle: whoever has something to lose by a
// failed setup asks first.
func (o SetupOptions) Check() error {
	config := o.Config
	config.Lineage = canon.Digest{1} // the bundle's is not known yet
	if _, err := config.Marshal(); err != nil {
		return err
	}
	for _, login := range config.Offline {
		if _, err := login.file(); err != nil {
			return err
		}
	}
	if os.Geteuid() != o.Machine.Owner {
		return fmt.Errorf("%w: run it as root", ErrMachine)
	}
	return nil
}

// prepare looks and changes nothing.
func (o SetupOptions) prepare(ctx context.Context) (plan, error) {
	m, err := o.Machine.Fill()
	if err != nil {
		return plan{}, err
	}
	p := plan{machine: m, reload: o.Reload, config: o.Config, bundle: o.Bundle, now: o.Now(), session: o.Sessions, runAgent: o.Agent}
	if os.Geteuid() != m.Owner {
		return plan{}, fmt.Errorf("%w: run it as root", ErrMachine)
	}
	for _, path := range []string{m.Main, m.Fragment} {
		if err := sshdconf.CheckPath(path); err != nil {
			return plan{}, err
		}
	}
	if p.signed, err = trust.First(o.Bundle, o.Digest, p.now); err != nil {
		return plan{}, err
	}
	p.config.V, p.config.Lineage = Version, p.signed.Bundle.Lineage
	if _, err := p.config.Marshal(); err != nil {
		return plan{}, err
	}
	for _, f := range sshdconf.JudgePlaces([]sshdconf.Place{m.programPlace()}, 0) {
		return plan{}, fmt.Errorf("%w: %s; install sally-host below /usr", ErrMachine, f.Says)
	}
	version, err := m.sshd().Version(ctx)
	if err != nil {
		return plan{}, err
	}
	if err := m.sshd().Test(ctx); err != nil {
		return plan{}, fmt.Errorf("%w: before anything is changed, %w", ErrMachine, err)
	}
	if p.before, err = m.without(ctx); err != nil {
		return plan{}, err
	}
	if err := p.wish(o, version); err != nil {
		return plan{}, err
	}
	if p.fragment, err = p.wanted.Fragment(); err != nil {
		return plan{}, err
	}
	if taken := p.takes(); len(taken) > 0 && !o.TakeOver {
		return plan{}, fmt.Errorf("%w: sshd has %s already, which would no longer count; say --take-over to replace it", ErrMachine, strings.Join(taken, ", "))
	}
	p.answered = greets(ctx, p.before)
	return p, nil
}

// wish says what is to be in force, given what is.
func (p *plan) wish(o SetupOptions, version sshdconf.Version) (err error) {
	m := p.machine
	if p.session {
		if err := m.checkPAM(); err != nil {
			return err
		}
	}
	p.pam = p.before.Value("usepam") != ""
	if p.offline, err = m.offlineFiles(o.Config.Offline); err != nil {
		return err
	}
	w := m.wanted(o.Config.Mode, o.BreakGlass)
	w.OpenSSH, w.HostCertificate, w.PAM = version, o.HostCertificate, p.session && p.pam
	if len(o.Config.Offline) > 0 {
		w.Offline = m.file(OfflineFolder)
	}
	if w.HostCertificate == "" {
		w.HostCertificate = p.hostCertificate()
	}
	w.FurtherFactors = p.before.BehindKey()
	w.KeepRootLogin = p.before.Value("permitrootlogin") != "yes"
	p.wanted = w
	return nil
}

// without is what is in force without our fragment.
func (m Machine) without(ctx context.Context) (sshdconf.Settings, error) {
	c, err := sshdconf.ReadConfig(m.Main)
	if err != nil {
		return sshdconf.Settings{}, err
	}
	return m.sshd().Comes(ctx, c.Without(m.Fragment).Global(), sshdconf.Connection{})
}

// takes names what a host has of its own where the fragment says otherwise.
func (p plan) takes() []string {
	var taken []string
	for _, s := range []struct{ key, ours string }{
		{"TrustedUserCAKeys", p.wanted.CAKeys},
		{"AuthorizedPrincipalsCommand", p.wanted.Command()},
		{"AuthorizedPrincipalsFile", "none"},
		{"RevokedKeys", p.wanted.RevokedKeys},
	} {
		if value := p.before.Value(strings.ToLower(s.key)); value != "" && value != "none" && value != s.ours {
			taken = append(taken, s.key+" "+value)
		}
	}
	return taken
}
