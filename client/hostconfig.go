package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// HostConfigOptions are the settings of [HostsConfig].
type HostConfigOptions struct {
	Env
	Name string
	Out  string // folder to write the files to; empty prints them
	At   string // folder in which the host will have them
	JSON bool
}

// configResult is what --json prints.
type configResult struct {
	Host        sshcert.Host `json:"host"`
	At          string       `json:"at"`
	Files       []configFile `json:"files"`
	NotEnforced []string     `json:"not_enforced"`
}

// configFile is one file for the host: text, or what is binary in base64url.
type configFile struct {
	Path string `json:"path"`
	Text string `json:"text,omitempty"`
	B64  string `json:"b64,omitempty"`
}

// HostsConfig prints the files by which stock sshd, without sally-host, accepts the
// certificates of the ledger for one host. What stands in them is what the pinned
// ledger says: the user CA of the pin, the host's labels, the terms of its contract.
func HostsConfig(ctx context.Context, o HostConfigOptions) error {
	name, err := sshcert.ParseHost(o.Name)
	if err != nil {
		return Usagef("NAME: %w", err)
	}
	switch {
	case o.At != "":
	case o.Out != "":
		if o.At, err = filepath.Abs(o.Out); err != nil {
			return err
		}
	default:
		o.At = sshdconf.DefaultStaticFolder
	}
	if err := sshdconf.CheckStaticFolder(o.At); err != nil {
		return Usagef("--at: %w", err)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	s, err := a.static(ctx, name)
	if err != nil {
		return err
	}
	s.By, s.At = "sally hosts config", o.At
	return o.tell(s)
}

// static is what a host needs, as far as the ledger says so.
func (a *account) static(ctx context.Context, name sshcert.Host) (sshdconf.Static, error) {
	h, err := a.inventory(ctx, name)
	if err != nil {
		return sshdconf.Static{}, err
	}
	if err := a.proveHost(ctx, h); err != nil {
		return sshdconf.Static{}, err
	}
	version, err := a.provenContract(ctx, h.Lineage)
	if err != nil {
		return sshdconf.Static{}, err
	}
	logins := version.Terms.LoginsOn(h.Labels)
	if len(logins) == 0 {
		return sshdconf.Static{}, fmt.Errorf("no role of contract %s reaches %s by its labels %s", version.Terms.ID, h.Name, first(labelLine(h.Labels), "none"))
	}
	list, err := a.revocationList(ctx, h.Lineage)
	if err != nil {
		return sshdconf.Static{}, err
	}
	return sshdconf.Static{Host: h.Name, CA: keyLine(a.at.pin.CA), Logins: logins, KRL: list}, nil
}

// provenContract returns the terms of the version of a lineage that the server says is
// in force, from the entry of the ledger that proposed it. That it is the newest, and
// that its parties have signed it, is the server's word: a pin file names no contract.
func (a *account) provenContract(ctx context.Context, lineage canon.Digest) (*contract.Version, error) {
	var s api.Server
	if err := a.conn.get(ctx, "/v1/server", nil, &s); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(s.Contracts, func(c api.Contract) bool { return c.Lineage == lineage })
	if at < 0 {
		return nil, fmt.Errorf("the host's contract, %s, is not in force", lineage)
	}
	digest := s.Contracts[at].Digest
	page, err := a.entries(ctx, url.Values{"contract": {digest.String()}, "kind": {string(ledger.ContractPropose)}}, 2)
	if err != nil {
		return nil, err
	}
	if len(page.Entries) != 1 {
		return nil, fmt.Errorf("%w: the server shows %d entries that propose contract version %s", ErrHost, len(page.Entries), digest)
	}
	v := verification{pin: a.at.pin, index: page.Entries[0].Index}
	if err := a.conn.get(ctx, "/v1/ledger/entries/"+strconv.FormatInt(v.index, 10), nil, &v.entry); err != nil {
		return nil, err
	}
	if err := v.run(); err != nil {
		return nil, err
	}
	for _, c := range v.checks {
		if c.Result != Passed {
			return nil, fmt.Errorf("%w: the contract's entry %d: %s: %s", ErrHost, v.index, c.Name, c.Text)
		}
	}
	facts, err := record.ParseFacts(v.leaf.Kind, []byte(v.entry.Facts))
	if err != nil {
		return nil, err
	}
	proposed, ok := facts.(record.ContractPropose)
	if !ok || proposed.Contract != digest || proposed.Lineage != lineage {
		return nil, fmt.Errorf("%w: entry %d does not propose contract version %s", ErrHost, v.index, digest)
	}
	files := make(map[string][]byte, len(proposed.Files))
	for _, f := range proposed.Files {
		files[f.Path] = []byte(f.Text)
	}
	version, err := contract.Load(files)
	if err == nil && version.Digest != digest {
		err = fmt.Errorf("%w: entry %d has other files than contract version %s", ErrHost, v.index, digest)
	}
	return version, err
}

// revocationList returns the newest revocation list, which a key of the contract's trust
// bundle has vouched for; nil where the server keeps none for hosts.
func (a *account) revocationList(ctx context.Context, lineage canon.Digest) ([]byte, error) {
	signed, err := a.trustBundle(ctx, lineage)
	if p, ok := errors.AsType[*ProblemError](err); ok && p.Slug == "not-found" {
		a.env.say("no trust bundle is published for this contract, so nobody vouches for a revocation list: the files name none")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var answer api.RevocationList
	if err := a.conn.get(ctx, "/v1/hosts/krl", url.Values{"lineage": {lineage.String()}}, &answer); err != nil {
		return nil, err
	}
	file, err := trust.SignedKRL(answer.Statement, answer.Signature)
	if err != nil {
		return nil, err
	}
	statement, err := signed.Bundle.OpenKRL(file)
	if err != nil {
		return nil, err
	}
	if now := canon.At(a.conn.now()); now > statement.NextAt {
		return nil, fmt.Errorf("%w: the revocation list is of %s, and a newer one was due at %s; tell the operator", ErrHost, a.env.clock(statement.MadeAt.Time()), a.env.clock(statement.NextAt.Time()))
	}
	list, err := canon.ParseB64(answer.KRL)
	if err != nil {
		return nil, fmt.Errorf("the revocation list: %w", err)
	}
	return list, statement.Covers(list)
}

// tell prints or writes the files.
func (o HostConfigOptions) tell(s sshdconf.Static) error {
	result := configResult{Host: s.Host, At: o.At, NotEnforced: sshdconf.NotEnforced}
	var b bytes.Buffer
	for _, f := range s.Files() {
		one := configFile{Path: filepath.Join(o.At, f.Path)}
		fmt.Fprintf(&b, "# --- %s", o.visible(one.Path))
		if f.Binary {
			one.B64 = canon.B64(f.Body)
			fmt.Fprintf(&b, " has %d bytes, which --out writes\n", len(f.Body))
		} else {
			one.Text = string(f.Body)
			b.WriteString("\n" + one.Text)
		}
		result.Files = append(result.Files, one)
		if o.Out == "" {
			continue
		}
		if err := o.put(filepath.Join(o.Out, f.Path), f.Body); err != nil {
			return err
		}
	}
	for _, line := range sshdconf.NotEnforced {
		o.say("%s", line)
	}
	switch {
	case o.JSON:
		return o.printJSON(result)
	case o.Out == "":
		return o.write(b.Bytes())
	}
	return nil
}

// put writes one file, which everybody may read: sshd reads the principals as the user.
func (o HostConfigOptions) put(path string, body []byte) error {
	if err := openFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := writeFile(path, body, 0o644); err != nil {
		return err
	}
	o.say("wrote %s", path)
	return nil
}

// openFolder makes a folder, and those above it that are missing, with mode 0755
// whatever the umask. A folder that is there keeps its mode.
func openFolder(path string) error {
	switch info, err := os.Stat(path); {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := openFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	return os.Chmod(path, 0o755) //nolint:gosec // see above
}
