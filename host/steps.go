package host

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/ledger/trust"
)

// run takes the steps.
func (p plan) run(ctx context.Context, t *transaction) error {
	for _, step := range []func(context.Context, *transaction) error{p.folders, p.files, p.sessions, p.tell, p.check, p.apply, p.agent} {
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
	for _, keys := range []string{p.wanted.BreakGlass, p.wanted.Offline} { // read by sshd as the user who logs in
		if keys == "" {
			continue
		}
		if err := t.folder(ctx, keys, 0o755, me, mine); err != nil {
			return err
		}
	}
	return nil
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
	for _, login := range slices.Sorted(maps.Keys(p.offline)) {
		if err := t.file(ctx, filepath.Join(p.machine.file(OfflineFolder), login), []byte(p.offline[login]), 0o644); err != nil {
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
	if p.answered { // it may just be beginning anew
		waitFor(ctx, func() bool { return greets(ctx, p.before) })
	}
	_, err := p.reload.tell(ctx, p.before)
	return err
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
		how, err := p.reload.tell(ctx, p.before)
		if err != nil {
			return err
		}
		t.say("told sshd: %s", how)
		return nil
	}, nil)
}
