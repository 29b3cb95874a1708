package client

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/ledger"
)

// LedgerShowOptions are the settings of [LedgerShow].
type LedgerShowOptions struct {
	Env
	// Serial names a certificate's entry. Empty: Leaf does.
	Serial string
	// Leaf is an entry's index, counted from 0. Empty: Serial does.
	Leaf string
	JSON bool
	// People asks for the person part about somebody else, which an auditor may see;
	// the server records that.
	People bool
}

// LedgerShow fetches one entry, checks it against the pin file's keys and
// prints each check, the leaf and what it hides. The error is nil only if no
// check failed.
func LedgerShow(ctx context.Context, o LedgerShowOptions) error {
	index, bySerial, err := o.index()
	if err != nil {
		return err
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var e api.EntryProof
	if err := a.conn.get(ctx, "/v1/ledger/entries/"+strconv.FormatInt(index, 10), LedgerFilter{People: o.People}.values(), &e); err != nil {
		return whereToLook(err, "sally ledger list shows the newest entries")
	}
	v := verification{pin: a.at.pin, entry: e, index: index, bySerial: bySerial}
	if err := v.run(); err != nil {
		return err
	}
	if o.JSON {
		err = v.printJSON(o.Env)
	} else {
		err = v.print(o.Env)
	}
	if err != nil {
		return err
	}
	if n := v.count(Failed); n > 0 {
		return fmt.Errorf("entry %d does not verify: %d of %d checks failed; keep this output and tell whoever gave you the pin file",
			index, n, len(v.checks))
	}
	return nil
}

// parseLeaf reads the index of a leaf that a flag names.
func parseLeaf(flag, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n >= ledger.MaxSize {
		return 0, Usagef("%s %q: a number from 0", flag, text)
	}
	return n, nil
}

// index returns which entry is meant, and whether it was named by a serial.
func (o LedgerShowOptions) index() (index int64, bySerial bool, err error) {
	switch {
	case (o.Serial == "") == (o.Leaf == ""):
		return 0, false, Usagef("name a certificate's SERIAL or an entry with --leaf INDEX, one of them")
	case o.Leaf != "":
		n, err := parseLeaf("--leaf", o.Leaf)
		return n, false, err
	default:
		n, err := strconv.ParseUint(o.Serial, 10, 64)
		if err != nil || n == 0 || n > math.MaxInt64 || int64(n) > ledger.MaxSize {
			return 0, false, Usagef("SERIAL %q: a number from 1, as sshd logs it and ssh-keygen -L shows it", o.Serial)
		}
		return int64(n) - 1, true, nil // a serial is its leaf's index plus one
	}
}
