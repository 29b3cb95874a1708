package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// LedgerExportOptions are the settings of [LedgerExport].
type LedgerExportOptions struct {
	Env
	// Out is the file to make. It must not be there.
	Out  string
	JSON bool
	// People asks for person parts about others, which an auditor may see; the
	// server records that.
	People bool
}

type exportResult struct {
	File   string `json:"file"`
	Origin string `json:"origin"`
	Leaves int64  `json:"leaves"`
	// How many of them the person is shown.
	Facts        int64 `json:"facts"`
	Persons      int64 `json:"person_parts"`
	Certificates int64 `json:"certificates"` // signed ones
}

// LedgerExport downloads the ledger as an export bundle, with what this person
// may see of each entry, and checks it against the pin file: the tree, the
// checkpoint and every opening. Whether everything in it was allowed,
// [AuditVerify] says.
func LedgerExport(ctx context.Context, o LedgerExportOptions) error {
	if o.Out == "" {
		return Usagef("--out FILE: name the file to make")
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	if err := a.download(ctx, o.Out, o.People); err != nil {
		return err
	}
	_, end, err := a.checkDownload(ctx, o.Out)
	if err != nil {
		return fmt.Errorf("the server's export is not what the pinned ledger holds: %w; %s is kept, show it to whoever gave you the pin file", err, o.Out)
	}
	if o.JSON {
		return o.printJSON(exportResult{o.Out, a.at.pin.Origin, end.Leaves, end.Facts, end.Persons, end.Certificates})
	}
	return o.print(
		o.Out,
		fmt.Sprintf("%s of %s under a checkpoint that the pinned log key signed; you are shown the facts of %d, the person parts of %d, and %s",
			counted(end.Leaves, "leaf", "leaves"), a.at.pin.Origin, end.Facts, end.Persons, counted(end.Certificates, "signed certificate", "signed certificates")),
	)
}

// download writes the server's export to a new file, for its owner alone. What
// came of a download that broke off is deleted.
func (a *account) download(ctx context.Context, path string, people bool) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the person named the file
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; an export replaces nothing, so name another file", path)
	}
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path) // what went wrong is in err
		}
	}()
	if err = a.conn.download(ctx, "/v1/ledger/export", LedgerFilter{People: people}.values(), f); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (a *account) checkDownload(ctx context.Context, path string) (audit.Head, audit.End, error) {
	f, err := os.Open(path) //nolint:gosec // the file that was just made
	if err != nil {
		return audit.Head{}, audit.End{}, err
	}
	defer func() { _ = f.Close() }() // only read
	return audit.CheckTree(ctx, f, []string{a.at.pin.LogKey})
}

// download writes the answer to w, however long it is. It gives up when nothing
// has come for callTimeout.
func (c *conn) download(ctx context.Context, path string, query url.Values, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(callTimeout, cancel)
	defer idle.Stop()
	req, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	endless := *c.http
	endless.Timeout = 0
	resp, err := endless.Do(req)
	if err != nil {
		return c.brokenOff(ctx, idle, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	c.compareClocks(resp.Header.Get("Date"))
	if resp.StatusCode >= http.StatusMultipleChoices {
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return c.brokenOff(ctx, idle, err)
		}
		return c.refused(resp, answer)
	}
	if _, err := io.Copy(w, &ticking{resp.Body, idle}); err != nil {
		return c.brokenOff(ctx, idle, err)
	}
	return nil
}

// brokenOff tells why a download ended. A timer that can't be stopped any more has
// ended it.
func (c *conn) brokenOff(ctx context.Context, idle *time.Timer, err error) error {
	if !idle.Stop() && ctx.Err() != nil {
		return fail(ExitUnreachable, "the server at %s has sent nothing for %s; try again, a retry is safe", c.base, callTimeout)
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("writing the export: %w", err)
	}
	return c.unreachable(ctx, err)
}

// ticking sets a timer back with everything that is read.
type ticking struct {
	r     io.Reader
	timer *time.Timer
}

// Read reads and sets the timer back.
func (t *ticking) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.timer.Reset(callTimeout)
	return n, err
}
