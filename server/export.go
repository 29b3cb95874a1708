package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

const (
	// maxExports is how many bundles are written at the same time: each reads the
	// database all along.
	maxExports = 2
	exportPage = 500              // leaves read at once
	exportWait = 30 * time.Second // for a client to take one page
	// exportRate is how many bytes a minute a client takes at least, once it was
	// waited for it for exportGrace.
	exportRate  = 1 << 20
	exportGrace = time.Minute
)

// errExports says that others are taking bundles, errExporting that oneself is,
// errExportSlow that one is taken too slowly.
var (
	errExports    = errors.New("others are exporting the ledger; try again when they are done")
	errExporting  = fmt.Errorf("you are exporting the ledger already, and one is taken at a time; wait until that is done: %w", errExports)
	errExportSlow = errors.New("the export was taken at less than 1 MiB a minute, and the database can't be tidied meanwhile; take it over a faster connection")
)

// exportFromPage answers GET /ledger/export?people= for pages.
func (s *Server) exportFromPage(w http.ResponseWriter, r *http.Request, session store.Session) error {
	if r.URL.Query().Has("people") && !fromOurPage(r) {
		return fmt.Errorf("%w: with people in it, it is taken by the link on the ledger's page", errCrossSite)
	}
	return s.export(w, r, session)
}

// export answers GET /v1/ledger/export?people=, and, by exportFromPage, for pages:
// the whole ledger as one bundle, from one committed state, with as much of each
// opening as the person may see.
func (s *Server) export(w http.ResponseWriter, r *http.Request, session store.Session) error {
	values, err := query(r, "people")
	if err != nil {
		return err
	}
	people, err := marked(values, "people")
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		exportHeaders(w) // the whole of it is not read for that
		return nil
	}
	if _, already := s.exporting.LoadOrStore(session.Person, true); already {
		return errExporting
	}
	defer s.exporting.Delete(session.Person)
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	default:
		return errExports
	}
	// What was written so far is in it. A ledger that can't be signed any more is
	// shown as far as it was.
	if _, err := s.authority.Checkpoint(r.Context()); err != nil {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "checkpoint not signed", slog.Any("error", err))
	}
	// The words of witnesses come a little later: the newest checkpoint that has
	// them is the one that others can be shown.
	checkpoint, err := s.authority.Published(r.Context())
	if err != nil {
		return err
	}
	who, err := s.exporter(r.Context(), session, people)
	if err != nil {
		return err
	}
	if people {
		if err := s.recordExport(r.Context(), session, who, checkpoint); err != nil {
			return err
		}
	}
	out := &patient{w: w, rc: http.NewResponseController(w)}
	buffer := bufio.NewWriterSize(out, 64<<10)
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		_, err := WriteBundle(r.Context(), reader, checkpoint, buffer, func(e store.Entry) (facts, person bool, err error) {
			shown, _, err := openEntry(reader, e, who)
			return shown.Facts != "", shown.Person != "", err
		})
		return err
	})
	if err == nil {
		err = buffer.Flush()
	}
	if err == nil || out.n == 0 {
		return err
	}
	// Half a bundle is out: it must not end as if it were whole.
	s.logger.LogAttrs(r.Context(), slog.LevelError, "export broken off", slog.String("request_id", string(traceOf(r.Context()).id)), slog.Any("error", err))
	panic(http.ErrAbortHandler)
}

// exporter returns who takes an export: once, so that what is recorded is what is
// written, also where a contract comes into force meanwhile. Somebody whose office is
// out of date is told so, rather than given less than they may have.
func (s *Server) exporter(ctx context.Context, session store.Session, people bool) (who person, err error) {
	err = s.store.Read(ctx, func(r *store.Reader) error {
		who, err = readerOf(r, session, s.now())
		return err
	})
	if err == nil {
		err = who.ask(people)
	}
	if err == nil {
		err = who.stale
	}
	return who, err
}

// recordExport counts what an export will show of others, and records that it does:
// before the first line of it leaves.
func (s *Server) recordExport(ctx context.Context, session store.Session, who person, checkpoint []byte) error {
	reading := authority.Reading{How: record.ReadExport, Shown: make(map[canon.Digest]authority.ShownParts)}
	for _, v := range who.audits {
		reading.Shown[v.Lineage()] = authority.ShownParts{}
	}
	err := s.store.Read(ctx, func(reader *store.Reader) error {
		end, err := WriteBundle(ctx, reader, checkpoint, io.Discard, func(e store.Entry) (facts, person bool, err error) {
			_, office, err := openEntry(reader, e, who)
			if !office.IsZero() {
				reading.Shown[office] = authority.ShownParts{Count: reading.Shown[office].Count + 1}
			}
			return false, false, err
		})
		reading.Last = end.Leaves - 1
		return err
	})
	if err != nil {
		return err
	}
	return s.authority.RecordReading(ctx, session, reading)
}

func exportHeaders(w http.ResponseWriter) {
	w.Header().Set("Content-Type", mediaLines)
	w.Header().Set("Content-Disposition", `attachment; filename="ledger.jsonl"`)
}

// patient writes to a client that takes its time, as long as it takes something.
type patient struct {
	w  http.ResponseWriter
	rc *http.ResponseController
	n  int64 // bytes so far
	// waited is how long the client was waited for, which is not how long the
	// database took.
	waited time.Duration
}

// slow reports whether a client takes less than it has to.
func (p *patient) slow() bool {
	return p.waited > exportGrace && float64(p.n) < exportRate*p.waited.Minutes()
}

// Write writes b and gives the client exportWait for it, unless it was too slow
// with what it got before.
func (p *patient) Write(b []byte) (int, error) {
	if p.slow() {
		return 0, errExportSlow
	}
	begun := time.Now()
	if err := p.rc.SetWriteDeadline(begun.Add(exportWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	if p.n == 0 {
		exportHeaders(p.w)
	}
	n, err := p.w.Write(b)
	p.n += int64(n)
	p.waited += time.Since(begun)
	return n, err
}

// WriteBundle writes the ledger, up to a signed checkpoint, as an export bundle.
// show says of each leaf whether its facts and its person part are shown;
// a certificate is shown with the facts.
func WriteBundle(ctx context.Context, r *store.Reader, checkpoint []byte, w io.Writer, show func(store.Entry) (facts, person bool, err error)) (audit.End, error) {
	log, err := record.Log(r)
	if err != nil {
		return audit.End{}, err
	}
	size, err := sizeOf(checkpoint, log)
	if err != nil {
		return audit.End{}, err
	}
	bundle, err := audit.NewWriter(w, audit.Head{Origin: log.Origin, LogKey: log.LogKey, UserCA: log.UserCA, Size: size})
	if err != nil {
		return audit.End{}, err
	}
	for next := int64(0); next < size; {
		if err := ctx.Err(); err != nil {
			return audit.End{}, err
		}
		page, err := r.EntriesFrom(next, int(min(exportPage, size-next)))
		if err != nil {
			return audit.End{}, err
		}
		if len(page) == 0 {
			return audit.End{}, fmt.Errorf("leaf %d: %w", next, record.ErrNotFound)
		}
		for _, e := range page {
			if err := writeEntry(r, bundle, e, show); err != nil {
				return audit.End{}, err
			}
			next++
		}
	}
	return bundle.Close(checkpoint)
}

// sizeOf returns over how many leaves a checkpoint of this ledger is signed.
func sizeOf(checkpoint []byte, log record.LogRow) (int64, error) {
	policy, err := ledger.NewPolicy(log.Origin, log.LogKey)
	if err != nil {
		return 0, err
	}
	c, err := policy.OpenCheckpoint(checkpoint)
	return c.Size, err
}

func writeEntry(r *store.Reader, bundle *audit.Writer, e store.Entry, show func(store.Entry) (facts, person bool, err error)) error {
	facts, person, err := show(e)
	if err != nil {
		return err
	}
	out := audit.Entry{Index: e.Index, Text: e.Text}
	if facts {
		out.Opening.Facts, out.Opening.FactsSalt = e.Opening.Facts, e.Opening.FactsSalt
	}
	if facts && person && e.Opening.Person != nil {
		out.Opening.Person, out.Opening.PersonSalt = e.Opening.Person, e.Opening.PersonSalt
	}
	if facts && e.Leaf.Kind == ledger.CertificateIssue {
		out.Certificate, err = r.SignedCertificate(ledger.Serial(e.Index))
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return err
		}
	}
	return bundle.Leaf(out)
}
