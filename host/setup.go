package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
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
	// HostCertificate is the file of the host's own certificate, if it has one; sshd has the key to it.
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
//  4. what sshd is told, and an Include for it if it would not be read;
//  5. `sshd -t`, then `sshd -T`: is what is wanted in force, for everybody and in each Match block;
//  6. sshd reads it, and answers still.
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
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a file descriptor
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("another sally-host is changing this host: %w", err)
	}
	return func() {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) //nolint:gosec // a file descriptor; a child may still have it open, so closing is not enough
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
	now      time.Time
}

// prepare looks and changes nothing.
func (o SetupOptions) prepare(ctx context.Context) (plan, error) {
	m, err := o.Machine.Fill()
	if err != nil {
		return plan{}, err
	}
	p := plan{machine: m, reload: o.Reload, config: o.Config, bundle: o.Bundle, now: o.Now()}
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
	p.wanted = m.wanted(o.Config.Mode, o.BreakGlass)
	p.wanted.OpenSSH, p.wanted.HostCertificate = version, o.HostCertificate
	p.wanted.FurtherFactors = p.before.BehindKey()
	p.wanted.KeepRootLogin = p.before.Value("permitrootlogin") != "yes"
	if p.fragment, err = p.wanted.Fragment(); err != nil {
		return plan{}, err
	}
	if taken := p.takes(); len(taken) > 0 && !o.TakeOver {
		return plan{}, fmt.Errorf("%w: sshd has %s already, which would no longer count; say --take-over to replace it", ErrMachine, strings.Join(taken, ", "))
	}
	p.answered = greets(ctx, p.before)
	return p, nil
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

// run takes the steps.
func (p plan) run(ctx context.Context, t *transaction) error {
	for _, step := range []func(context.Context, *transaction) error{p.folders, p.files, p.tell, p.check, p.apply} {
		if err := step(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (p plan) folders(ctx context.Context, t *transaction) error {
	me, mine := os.Geteuid(), os.Getegid()
	if err := t.folder(ctx, p.machine.State, 0o700, me, mine); err != nil {
		return err
	}
	if err := t.account(ctx); err != nil {
		return err
	}
	uid, gid, err := t.ids()
	if err != nil {
		return err
	}
	if err := t.folder(ctx, p.machine.Spool, 0o700, uid, gid); err != nil {
		return err
	}
	if err := t.folder(ctx, p.machine.Dir, 0o755, me, mine); err != nil {
		return err
	}
	if p.wanted.BreakGlass == "" {
		return nil
	}
	return t.folder(ctx, p.wanted.BreakGlass, 0o755, me, mine) // read by sshd as the user who logs in
}

func (p plan) files(ctx context.Context, t *transaction) error {
	config, err := p.config.Marshal()
	if err != nil {
		return err
	}
	authorities, err := p.authorities()
	if err != nil {
		return err
	}
	if err := p.emptyList(ctx, t); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{BundleFile, p.pinned()}, {ConfigFile, config}, {AuthoritiesFile, authorities}, {FragmentFile, []byte(p.fragment)}} {
		if err := t.file(ctx, p.machine.file(f.name), f.text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pinned is the bundle that the host goes on with: the one that it has, if that came after the one that it is given.
func (p plan) pinned() []byte {
	have, err := Folder{Path: p.machine.Dir, Owner: p.machine.Owner}.Read(BundleFile, trust.MaxEnvelope)
	if err != nil {
		return p.bundle
	}
	signed, err := trust.Parse(have)
	if err != nil || signed.Bundle.Origin != p.signed.Bundle.Origin || signed.Bundle.Lineage != p.signed.Bundle.Lineage || signed.Bundle.Number <= p.signed.Bundle.Number {
		return p.bundle
	}
	return have
}

// authorities is the text of user-ca.pub: sshd reads one key a line.
func (p plan) authorities() ([]byte, error) {
	signed, err := trust.Parse(p.pinned())
	if err != nil {
		return nil, err
	}
	return Authorities(signed.Bundle)
}

// Authorities is what TrustedUserCAKeys names: the keys of a bundle that sign people's certificates, one a line.
func Authorities(b trust.Bundle) ([]byte, error) {
	var text bytes.Buffer
	for _, key := range b.UserCAs {
		public, err := key.Public()
		if err != nil {
			return nil, err
		}
		text.Write(ssh.MarshalAuthorizedKey(public))
	}
	return text.Bytes(), nil
}

// emptyList makes a list of revoked keys that names none, unless there is a list that sshd can read.
func (p plan) emptyList(ctx context.Context, t *transaction) error {
	path := p.machine.file(KRLFile)
	if text, err := os.ReadFile(path); err == nil { //nolint:gosec // the host's own file
		if _, err := krl.Parse(text); err == nil {
			return nil
		}
	}
	list := krl.List{MadeAt: uint64(p.now.Unix())} //nolint:gosec // of this century
	text, err := list.Marshal()
	if err != nil {
		return err
	}
	return t.file(ctx, path, text, 0o644)
}

// tell writes what sshd is told. What stands first is undone last: sshd reads its old configuration again before the
// files that the new one names are gone.
func (p plan) tell(ctx context.Context, t *transaction) error {
	again := &undo{"what sshd has in force", func(ctx context.Context) error {
		if err := p.machine.sshd().Test(ctx); err != nil {
			return err
		}
		return p.tellAgain(ctx, t)
	}}
	if err := t.step(ctx, "mark", func(context.Context) error { return nil }, again); err != nil {
		return err
	}
	if err := t.folder(ctx, filepath.Dir(p.machine.Fragment), 0o755, os.Geteuid(), os.Getegid()); err != nil {
		return err
	}
	if err := t.file(ctx, p.machine.Fragment, []byte(p.fragment), 0o644); err != nil {
		return err
	}
	c, err := sshdconf.ReadConfig(p.machine.Main)
	if err != nil {
		return err
	}
	if slices.Contains(c.Files, p.machine.Fragment) {
		return nil
	}
	return t.top(ctx, p.machine.Main, includeLine(p.machine.Fragment))
}

func includeLine(fragment string) string {
	return "# Put here by sally-host setup, removed by sally-host leave.\nInclude " + fragment + "\n"
}

// tellAgain has sshd read what is there, if it runs.
func (p plan) tellAgain(ctx context.Context, t *transaction) error {
	if !t.told {
		return nil
	}
	if _, err := p.reload.run(ctx, p.before); err != nil {
		return err
	}
	if !p.answered {
		return nil
	}
	return answers(ctx, p.before)
}

// check asks sshd what it would make of it, before it does.
func (p plan) check(ctx context.Context, t *transaction) error {
	sshd := p.machine.sshd()
	return t.step(ctx, "sshd -T", func(ctx context.Context) error {
		if err := sshd.Test(ctx); err != nil {
			return err
		}
		c, err := sshdconf.ReadConfig(p.machine.Main)
		if err != nil {
			return err
		}
		s, err := sshd.Globally(ctx, c)
		if err != nil {
			return err
		}
		if differs := p.wanted.InForce(s); len(differs) > 0 {
			return fmt.Errorf("%w: %s; lines that stand before the fragment count, so remove them", ErrMachine, strings.Join(differs, ", "))
		}
		return p.noWayAround(ctx)
	}, nil)
}

// noWayAround refuses to promise what would not hold: in mode require, any way around the verifier; in mode observe, that
// it would not be asked.
func (p plan) noWayAround(ctx context.Context) error {
	report, err := sshdconf.Inspect(ctx, p.machine.inspection(p.wanted, p.signed.Bundle))
	if err != nil {
		return err
	}
	var ways []string
	for _, f := range report.Findings {
		unasked := slices.Contains([]string{"verifier-off", "other-verifier", "principals-file", "other-authority", "foreign-authority"}, f.ID)
		if f.Severity == sshdconf.Bypass && (p.wanted.Require || unasked) {
			ways = append(ways, strings.TrimSpace(fmt.Sprintf("%s%s (%s)", f.Says, places(f), f.Mend)))
		}
	}
	if len(ways) > 0 {
		return fmt.Errorf("%w: %s", ErrMachine, strings.Join(ways, "; "))
	}
	return nil
}

// places says where a finding holds.
func places(f sshdconf.Finding) string {
	text := ""
	if len(f.Where) > 0 {
		text += "; this holds for " + strings.Join(f.Where, " and for ")
	}
	if f.Line != "" {
		text += "; it is set at " + f.Line
	}
	return text
}

// apply has sshd read it.
func (p plan) apply(ctx context.Context, t *transaction) error {
	return t.step(ctx, "reload", func(ctx context.Context) error {
		t.told = true
		how, err := p.reload.run(ctx, p.before)
		if err != nil {
			return err
		}
		t.say("told sshd: %s", how)
		if !p.answered {
			return nil
		}
		if err := answers(ctx, p.before); err != nil {
			return errors.Join(err, p.machine.sshd().Test(ctx))
		}
		return nil
	}, nil)
}
