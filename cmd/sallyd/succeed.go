package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

func ledgerSucceedCommand() *cobra.Command {
	var o succeedOptions
	cmd := &cobra.Command{
		Use:   "succeed DIR --origin NAME --bundle FILE --pin FILE",
		Short: "Begin a ledger that goes on in the place of one that can't",
		Long: `Makes DIR as "sallyd init" does: another origin, another log key, another user CA. Leaf 1 of the new ledger names the old one and
what its log key has signed, as far as is known. Contracts that are in force in the bundle are proposed again with their signatures,
which hold everywhere, and its hosts are joined again.

It is for a ledger whose newest leaves nobody has any more, or of which there are two (docs/recovery.md). Nothing that was granted
there is granted here. The old ledger stays what it is: keep its bundle and its pin file for whoever has to verify it.`,
		Example: "  sallyd ledger succeed /var/lib/sallyport-2 --origin ssh-2.acme.example --listen 127.0.0.1:8443 \\\n" +
			"    --bundle ledger.jsonl --pin /var/lib/sallyport/pin.txt --checkpoint /var/lib/sallyport/mark",
		Args: exactly("DIR"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			o.init.dir = args[0]
			return runSucceed(cmd, o)
		}),
	}
	cmd.Flags().StringVar(&o.bundle, "bundle", "", "export bundle of the old ledger, the newest that there is, a `FILE` (required)")
	cmd.Flags().StringVar(&o.pin, "pin", "", "pin file of the old ledger, a `FILE` (required)")
	cmd.Flags().StringVar(&o.checkpoint, "checkpoint", "", "the newest checkpoint that it has signed, such as its mark, a `FILE` (default: the bundle's)")
	o.init.add(cmd)
	_ = cmd.MarkFlagRequired("bundle") // the flag is there
	_ = cmd.MarkFlagRequired("pin")    // so is this one
	return cmd
}

type succeedOptions struct {
	init                    initOptions
	bundle, pin, checkpoint string
}

func runSucceed(cmd *cobra.Command, o succeedOptions) error {
	ctx := cmd.Context()
	old, err := readOld(ctx, o)
	if err != nil {
		return err
	}
	f, err := o.init.make(cmd, func(ctx context.Context, c authority.Config) (*authority.Authority, error) {
		return authority.CreateSuccessor(ctx, c, old.ledger)
	})
	if err != nil {
		return err
	}
	if err = old.carry(ctx, f.auth); err != nil {
		err = fmt.Errorf("%s is made, and not everything is carried over: %w; delete it and run this again", canon.Visible(o.init.dir), err)
	}
	if err := errors.Join(err, f.close()); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if err := f.tell(out); err != nil {
		return err
	}
	lost := ""
	if old.signed > old.leaves {
		lost = fmt.Sprintf("; it had signed for %d, so %d are lost", old.signed, old.signed-old.leaves)
	}
	dir := canon.Visible(canon.ShellWord(o.init.dir))
	_, err = fmt.Fprintf(out, "succeeds    %s, %d leaves%s\ncontracts   %s\nhosts       %s\nlinks       %d; people have other ids here, so link them again: `sallyd person link`\n"+
		"next        give people the pin file, each host its files from `sallyd --dir %s hosts config HOST`, and then `sallyd serve --dir %s` (docs/recovery.md)\n",
		old.ledger.Origin, old.leaves, lost, canon.Visible(old.contractNames()), canon.Visible(old.hostNames()), old.links, dir, dir)
	return err
}

// oldLedger is what a bundle tells a successor.
type oldLedger struct {
	ledger    authority.Predecessor
	leaves    int64 // that are kept
	signed    int64 // that are known to have been signed for
	contracts []oldContract
	hosts     []record.HostJoin
	links     int
	ids       map[canon.Digest]string // of contracts, by lineage
}

// oldContract is a contract version that is in force, or was.
type oldContract struct {
	digest     canon.Digest
	id         string
	files      map[string][]byte
	signatures []authority.Signature
}

// readOld reads the bundle and holds it to the pin file.
func readOld(ctx context.Context, o succeedOptions) (old oldLedger, err error) {
	pin, err := client.ReadPin(o.pin)
	if err != nil {
		return old, err
	}
	if pin.Origin == o.init.origin {
		return old, fmt.Errorf("--origin: %s is the name of the old ledger; its successor needs another one", o.init.origin)
	}
	f, err := os.Open(o.bundle)
	if err != nil {
		return old, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, end, err := audit.CheckTree(ctx, f, []string{pin.LogKey})
	if err != nil {
		return old, fmt.Errorf("%s: %w", o.bundle, err)
	}
	old.leaves, old.signed, old.ids = end.Leaves, end.Leaves, make(map[canon.Digest]string)
	old.ledger = authority.Predecessor{Origin: pin.Origin, LogKey: pin.LogKey, Checkpoint: []byte(end.Checkpoint)}
	if o.checkpoint != "" {
		if err := old.newest(o.checkpoint, end); err != nil {
			return old, fmt.Errorf("%s: %w", o.checkpoint, err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return old, err
	}
	return old, old.read(f)
}

// newest takes a checkpoint that was signed after the bundle's.
func (old *oldLedger) newest(file string, end audit.End) error {
	f, err := os.Open(file) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	note, err := io.ReadAll(io.LimitReader(f, ledger.MaxText+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	policy, err := logPolicy(old.ledger.LogKey)
	if err != nil {
		return err
	}
	c, err := policy.OpenCheckpoint(note)
	if err != nil {
		return err
	}
	kept, err := policy.OpenCheckpoint([]byte(end.Checkpoint))
	switch {
	case err != nil:
		return err
	case c.Size < kept.Size:
		return fmt.Errorf("it is over %d leaves, the bundle has %d; leave --checkpoint out", c.Size, kept.Size)
	case c.Size > kept.Size:
		old.signed = c.Size
		old.ledger.Checkpoint, old.ledger.Kept = note, old.ledger.Checkpoint
	case c.Root != kept.Root:
		return fmt.Errorf("%w: it signs other %d leaves than the bundle has; name the bundle that is to count, and leave --checkpoint out", ledger.ErrForked, c.Size)
	}
	return nil
}

// read folds the bundle and takes from it what a successor needs.
func (old *oldLedger) read(r io.Reader) error {
	replay, err := audit.NewReplay(audit.Config{LogKeys: []string{old.ledger.LogKey}, AnyContract: true})
	if err != nil {
		return err
	}
	bundle, err := audit.NewReader(r)
	if err != nil {
		return err
	}
	for {
		e, err := bundle.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		o := replay.Open(e)
		if err := replay.Add(o); err != nil {
			return err
		}
		old.take(o.Facts())
	}
	return old.keep(replay.State())
}

func (old *oldLedger) take(facts record.Facts) {
	switch f := facts.(type) {
	case record.ContractPropose:
		c := oldContract{digest: f.Contract, files: make(map[string][]byte)}
		for _, file := range f.Files {
			c.files[file.Path] = []byte(file.Text)
		}
		old.contracts = append(old.contracts, c)
	case record.ContractSign:
		for i := range old.contracts {
			if c := &old.contracts[i]; c.digest == f.Contract {
				c.signatures = append(c.signatures, authority.Signature{Statement: []byte(f.Statement), Armored: []byte(f.Signature)})
			}
		}
	case record.HostJoin:
		old.hosts = append(old.hosts, f)
	case record.PersonLink:
		old.links++
	}
}

// keep leaves out what the fold has not allowed, and versions that never were in
// force.
func (old *oldLedger) keep(state *record.Memory) error {
	kept := old.contracts[:0]
	for _, c := range old.contracts {
		row, err := record.Contract(state, c.digest)
		if errors.Is(err, record.ErrNotFound) || err == nil && row.InForceAt == 0 {
			continue
		}
		if err != nil {
			return err
		}
		c.id, old.ids[row.Lineage] = row.ID, row.ID
		kept = append(kept, c)
	}
	old.contracts = kept
	var hosts []record.HostJoin
	for _, h := range old.hosts {
		// Of two leaves about one name only the one that the fold took is in the state.
		// One that is retired stays behind, and labels are those of the end.
		if row, err := record.Host(state, h.Name); err == nil && row.Join == h.Join && old.ids[h.Lineage] != "" {
			if h.Labels = row.Labels; !row.Retired() {
				hosts = append(hosts, h)
			}
		} else if err != nil && !errors.Is(err, record.ErrNotFound) {
			return err
		}
	}
	old.hosts = hosts
	return nil
}

// carry records contracts and hosts in the new ledger.
func (old *oldLedger) carry(ctx context.Context, a *authority.Authority) error {
	for _, c := range old.contracts {
		if _, err := a.AddContract(ctx, c.files, c.signatures); err != nil {
			return fmt.Errorf("contract %s: %w", c.id, err)
		}
	}
	for _, h := range old.hosts {
		wire, err := canon.ParseB64(h.HostKey)
		if err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
		key, err := ssh.ParsePublicKey(wire)
		if err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
		labels := make(map[string]string, len(h.Labels))
		for _, l := range h.Labels {
			labels[l.Name] = l.Value
		}
		if _, err := a.AddHost(ctx, authority.NewHost{Name: h.Name, Address: h.Address, Port: h.Port, Key: key, Labels: labels, Contract: old.ids[h.Lineage]}); err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
	}
	return nil
}

func (old *oldLedger) contractNames() string {
	var names []string
	for _, c := range old.contracts {
		if !slices.Contains(names, c.id) {
			names = append(names, c.id)
		}
	}
	return orNone(names)
}

func (old *oldLedger) hostNames() string {
	names := make([]string, len(old.hosts))
	for i, h := range old.hosts {
		names[i] = string(h.Name)
	}
	return orNone(names)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
