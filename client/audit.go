package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// AuditOptions say against what a bundle is verified. Nothing of it comes from
// the bundle or from a server.
type AuditOptions struct {
	// Pin is a pin file: log key and CA. Else LogKeys are the log's vkeys, one or
	// more while a key is replaced, and the CA is the one that leaf 0 names.
	Pin     string
	LogKeys []string
	// Contracts are the digests of version 1 of each contract that counts.
	Contracts []string
	// Checkpoint is a file with a signed checkpoint that was kept from before.
	Checkpoint string
	// Cosigners are the vkeys of those who all have to have confirmed the ledger,
	// Witnesses of those of whom more than half have to.
	Cosigners, Witnesses []string
	// Waive are the unknowns that are accepted, by name (audit.ParseWaivers).
	Waive []string
	JSON  bool

	pinned *Pin // of the login, instead of Pin and LogKeys
}

// AuditVerifyOptions are the settings of [AuditVerify].
type AuditVerifyOptions struct {
	Env
	AuditOptions
	// Bundle is the file.
	Bundle string
}

type auditResult struct {
	OK     bool         `json:"ok"` // nothing in the report keeps the ledger from passing
	Report audit.Report `json:"report"`
}

// AuditVerify verifies an export bundle: the whole of it against the keys, every
// leaf by replay, and each certificate by name. It uses no network. The error is
// nil only if everything passed.
func AuditVerify(ctx context.Context, o AuditVerifyOptions) error {
	if o.Bundle == "" {
		return Usagef("BUNDLE: name the file that sally ledger export or sallyd ledger export has made")
	}
	config, err := o.config(o.Env)
	if err != nil {
		return err
	}
	if o.JSON {
		config.Parts = func(uint64) bool { return true }
	}
	report, err := verifyBundle(ctx, o.Bundle, config)
	if err != nil {
		return err
	}
	if o.JSON {
		err = o.printJSON(auditResult{report.OK(), report})
	} else {
		err = printReport(o.Env, report)
	}
	if err != nil {
		return err
	}
	for _, name := range report.IdleWaivers {
		o.say("--waive %s: there is nothing unknown by that name", name)
	}
	return failed(report)
}

// failed says how much of a report does not pass.
func failed(r audit.Report) error {
	certificates, findings := 0, len(r.Findings)
	for _, c := range r.Certificates {
		if c.Failed() {
			certificates++
		}
	}
	switch {
	case r.OK():
		return nil
	case findings == 0:
		return fmt.Errorf("the ledger does not pass: %d of %d certificates; ask whoever runs it, and keep the bundle", certificates, len(r.Certificates))
	default:
		return fmt.Errorf("the ledger does not pass: %d of %d certificates, and %s; ask whoever runs it, and keep the bundle",
			certificates, len(r.Certificates), counted(int64(findings), "finding", "findings"))
	}
}

// config reads the files and texts that the options name.
func (o AuditOptions) config(e Env) (audit.Config, error) {
	c := audit.Config{ReadToken: ReadIDToken}
	var err error
	if c.LogKeys, c.UserCA, err = o.keys(e); err != nil {
		return audit.Config{}, err
	}
	if len(o.Contracts) == 0 {
		return audit.Config{}, Usagef("--contract DIGEST: name version 1 of each contract that counts; the digest is what its parties signed")
	}
	for _, text := range o.Contracts {
		d, err := canon.ParseDigest(text)
		if err != nil || d.IsZero() {
			return audit.Config{}, Usagef("--contract %q: the digest of a contract's version 1 is 43 characters of base64url", text)
		}
		c.Contracts = append(c.Contracts, d)
	}
	if c.Cosigners, err = o.cosigners(); err != nil {
		return audit.Config{}, err
	}
	if c.Waive, err = audit.ParseWaivers(o.Waive); err != nil {
		return audit.Config{}, Usagef("--waive: %s", err)
	}
	if _, err := audit.PolicyOf(c.LogKeys); err != nil {
		return audit.Config{}, Usagef("--log-key: %s", err)
	}
	if err := o.addCheckpoint(&c); err != nil {
		return audit.Config{}, err
	}
	if _, err := audit.NewReplay(c); err != nil {
		return audit.Config{}, Usagef("--cosigner, --witness: %s", err)
	}
	return c, nil
}

// cosigners reads the keys of --cosigner and --witness.
func (o AuditOptions) cosigners() (ledger.Cosigners, error) {
	out := ledger.Cosigners{Need: len(o.Witnesses)/2 + min(1, len(o.Witnesses))}
	for _, list := range []struct {
		flag  string
		texts []string
		into  *[]ledger.CosignerKey
	}{{"--cosigner", o.Cosigners, &out.All}, {"--witness", o.Witnesses, &out.Witnesses}} {
		for _, text := range list.texts {
			key, err := ledger.ParseCosignerKey(text)
			if err != nil {
				return ledger.Cosigners{}, Usagef("%s: %s", list.flag, err)
			}
			*list.into = append(*list.into, key)
		}
	}
	return out, nil
}

// keys returns what the log and the authority sign with. Without a pin the
// authority key is the one that leaf 0 names.
func (o AuditOptions) keys(e Env) (log []string, userCA ssh.PublicKey, err error) {
	path := o.Pin
	if path == "" && len(o.LogKeys) == 0 {
		path = e.Getenv("SALLY_PIN")
	}
	switch {
	case o.pinned != nil:
		return []string{o.pinned.LogKey}, o.pinned.CA, nil
	case path != "" && len(o.LogKeys) > 0:
		return nil, nil, Usagef("--pin and --log-key: one of them")
	case path == "" && len(o.LogKeys) == 0:
		return nil, nil, Usagef("say whose ledger it is: --pin FILE, or --log-key VKEY, from those who run it and not from the bundle")
	case path == "":
		return o.LogKeys, nil, nil
	}
	pin, err := ReadPin(path)
	return []string{pin.LogKey}, pin.CA, err
}

// addCheckpoint reads the checkpoint that was kept.
func (o AuditOptions) addCheckpoint(c *audit.Config) error {
	if o.Checkpoint == "" {
		return nil
	}
	text, err := readShort(o.Checkpoint, ledger.MaxText)
	if err != nil {
		return fmt.Errorf("--checkpoint: %w", err)
	}
	policy, err := audit.PolicyOf(c.LogKeys)
	if err != nil {
		return err
	}
	kept, err := policy.OpenCheckpoint(text)
	if err != nil {
		return fmt.Errorf("--checkpoint %s: %w", o.Checkpoint, err)
	}
	c.Earlier = []ledger.Checkpoint{kept}
	return nil
}

// readShort reads a file that has at most limit bytes.
func readShort(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("%s has %d bytes, at most %d are read", path, info.Size(), limit)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // the person named the file
}

// verifyBundle verifies the bundle in a file.
func verifyBundle(ctx context.Context, path string, c audit.Config) (audit.Report, error) {
	f, err := os.Open(path) //nolint:gosec // the person named the file
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Report{}, fmt.Errorf("there is no bundle %s", path)
	}
	if err != nil {
		return audit.Report{}, fmt.Errorf("opening the bundle: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	// Who interrupts does not wait for a pipe that nothing comes from.
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	report, err := audit.Verify(ctx, f, c)
	if stopped := ctx.Err(); stopped != nil {
		return audit.Report{}, stopped
	}
	if err != nil {
		return audit.Report{}, fmt.Errorf("%s does not verify: %w; nothing in it counts", path, err)
	}
	return report, nil
}
