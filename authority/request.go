package authority

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

const (
	// MaxOpen is how many requests of one person may be pending.
	MaxOpen = 20
	// MaxCancelled is how many requests a person may have cancelled within
	// cancelledFor when they file another. A cancelled request makes room among
	// MaxOpen, and its leaves stay for ever.
	MaxCancelled = 60
	// MaxText is the longest free text, in bytes.
	MaxText = 1000
)

const cancelledFor = time.Hour

// Ask is a request as its maker signed it.
type Ask struct {
	Document   string // record.RequestDoc
	Signature  string // by the session's device key
	PersonSalt string // b64; with the reason and the ticket it opens the document's commitment
	Reason     string
	Ticket     string // empty: none is named
}

// Submit records a request. The same document again is the same request; new
// says whether it was recorded now.
func (a *Authority) Submit(ctx context.Context, s store.Session, ask Ask) (q approval.Request, isNew bool, err error) {
	salt, err := ledger.ParseSalt(ask.PersonSalt)
	if err != nil {
		return approval.Request{}, false, fmt.Errorf("person_salt: %w: %w", ErrField, err)
	}
	if ask.Document == "" || ask.Signature == "" {
		return approval.Request{}, false, fmt.Errorf("document, signature: %w: both must be there", ErrField)
	}
	if err := checkText("reason", ask.Reason); err != nil {
		return approval.Request{}, false, err
	}
	if record.CountWords(ask.Reason) == 0 {
		return approval.Request{}, false, fmt.Errorf("reason: %w: it is empty; say in a few words what you will do", ErrField)
	}
	if err := checkText("ticket", ask.Ticket); err != nil {
		return approval.Request{}, false, err
	}
	if strings.TrimSpace(ask.Ticket) != ask.Ticket {
		return approval.Request{}, false, fmt.Errorf("ticket: %w: white space around it; leave that out", ErrField)
	}
	device, err := deviceOf(s)
	if err != nil {
		return approval.Request{}, false, err
	}
	// The fold checks it again; what no device key has signed does not get there.
	doc, err := record.OpenRequest(ask.Document, ask.Signature, device)
	if err != nil {
		return approval.Request{}, false, err
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		q, isNew, err = submit(tx, s, ask, doc, salt)
		return err
	})
	if err != nil {
		return approval.Request{}, false, err
	}
	if isNew {
		a.settle(ctx)
	}
	return q, isNew, nil
}

func submit(tx *store.Tx, s store.Session, ask Ask, doc record.RequestDoc, salt ledger.Salt) (approval.Request, bool, error) {
	switch old, err := repeated(tx, doc.Request, ask.Document); {
	case err == nil && old.By == s.Person:
		return old, false, nil
	case err == nil:
		return approval.Request{}, false, ErrNotYours
	case !isNotFound(err):
		return approval.Request{}, false, err
	}
	undecided, err := Requests(&tx.Reader, "open", string(s.Person))
	if err != nil {
		return approval.Request{}, false, err
	}
	open := 0 // what has expired is not open, recorded or not
	for _, q := range undecided {
		if q.Status(tx.Now().Time()).State == approval.Pending {
			open++
		}
	}
	if open >= MaxOpen {
		return approval.Request{}, false, fmt.Errorf("%w: %d of yours are pending, at most %d may be; wait until some are decided, or cancel some with `sally cancel`", ErrTooManyOpen, open, MaxOpen)
	}
	if err := cancelledLately(tx, s.Person); err != nil {
		return approval.Request{}, false, err
	}
	version, err := tx.Version(doc.Contract)
	if isNotFound(err) {
		return approval.Request{}, false, fmt.Errorf("contract %s: %w", doc.Contract, record.ErrNotInForce)
	}
	if err != nil {
		return approval.Request{}, false, err
	}
	_, err = tx.Append(store.Draft{
		Facts: record.RequestSubmit{
			At: tx.Now(), Request: doc.Request, Lineage: version.Lineage(), Claims: s.Claims(),
			Document: ask.Document, Signature: ask.Signature, ReasonWords: record.CountWords(ask.Reason),
			Ticket: ask.Ticket != "",
		},
		Person: record.RequestPerson{Reason: ask.Reason, Ticket: ask.Ticket}, PersonID: s.Person, PersonSalt: salt,
	})
	if err != nil {
		return approval.Request{}, false, err
	}
	q, err := record.Request(tx, doc.Request)
	return q, true, err
}

// cancelledLately refuses somebody who files requests to cancel them. Cancelling
// itself is never refused. Of the newest requests no more than MaxOpen can be
// pending, so those that are looked at hold MaxCancelled if there are as many, but
// for what others decided or let expire in between.
func cancelledLately(tx *store.Tx, person canon.ID) error {
	rows, err := tx.List(record.TableRequest, "by", string(person), MaxCancelled+MaxOpen)
	if err != nil {
		return err
	}
	now := tx.Now().Time()
	gone, room := 0, now
	for _, row := range rows {
		if !bytes.Contains(row, []byte(`"cancelled":`)) { // it costs to read one; inside a string the quotes are escaped
			continue
		}
		var q approval.Request
		if err := canon.Unmarshal(row, &q); err != nil {
			return err
		}
		if at := q.Cancelled.At.Time().Add(cancelledFor); q.Cancelled.At != 0 && at.After(now) {
			if gone++; gone == 1 || at.Before(room) {
				room = at
			}
		}
	}
	if gone < MaxCancelled {
		return nil
	}
	return fmt.Errorf("%w: you cancelled %d within the last hour, at most %d may be; those that are open stay open, and `sally request` files another after %s",
		ErrTooManyCancelled, gone, MaxCancelled, room.Format(time.RFC3339))
}

// repeated returns the request that the very same document made before.
func repeated(tx *store.Tx, id canon.ID, document string) (approval.Request, error) {
	q, err := record.Request(tx, id)
	if err != nil {
		return approval.Request{}, err
	}
	index, err := tx.LeafIndex(q.Leaf)
	if err != nil {
		return approval.Request{}, err
	}
	entry, err := tx.Entry(index)
	if err != nil {
		return approval.Request{}, err
	}
	facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
	if err != nil {
		return approval.Request{}, err
	}
	if f, ok := facts.(record.RequestSubmit); !ok || f.Document != document {
		return approval.Request{}, fmt.Errorf("request %s: %w, with another content", id, record.ErrExists)
	}
	return q, nil
}

// Verdict is what an approver posts.
type Verdict struct {
	Request canon.ID
	Verdict approval.Verdict
	Seconds int64        // narrows the grant; 0: as asked
	Words   string       // for the requester, may be empty
	Shown   canon.Digest // Shown of the request that the approver saw
}

// Decide records an approver's verdict.
func (a *Authority) Decide(ctx context.Context, s store.Session, v Verdict) (approval.Request, error) {
	if err := checkText("words", v.Words); err != nil {
		return approval.Request{}, err
	}
	id, err := canon.NewID(a.rand)
	if err != nil {
		return approval.Request{}, err
	}
	var q approval.Request
	write := a.store.Write
	if v.Verdict == approval.Deny {
		write = a.store.WriteUrgent // taking away is never turned away
	}
	err = write(ctx, func(tx *store.Tx) (err error) {
		q, err = decide(tx, s, v, id)
		return err
	})
	if err != nil {
		return approval.Request{}, err
	}
	a.settle(ctx)
	return q, nil
}

func decide(tx *store.Tx, s store.Session, v Verdict, id canon.ID) (approval.Request, error) {
	q, err := record.Request(tx, v.Request)
	if err != nil {
		return approval.Request{}, err
	}
	if q, err = record.Standing(tx, q); err != nil {
		return approval.Request{}, err
	}
	if err := unchanged(q, s.Person, v.Shown); err != nil {
		return approval.Request{}, err
	}
	f := record.RequestDecide{
		At: tx.Now(), Decision: id, Lineage: q.Lineage, Request: q.ID, RequestLeaf: q.Leaf,
		Person: s.Person, Claims: s.Claims(), Assurance: record.AssuranceSession, Verdict: v.Verdict, Seconds: v.Seconds,
	}
	stage, waiting := q.Waiting(tx.Now().Time())
	if !waiting { // nobody decides now; the request itself says best why
		if err := q.MayDecide(nil, s.Person, contract.Subject{}, tx.Now().Time()); err != nil {
			return approval.Request{}, err
		}
		return approval.Request{}, approval.ErrSettled
	}
	version, err := record.InForce(tx, q.Lineage, tx.Now()) // it may have been amended since
	if err != nil {
		return approval.Request{}, err
	}
	f.Stage, f.Contract = stage.ID, version.Digest
	draft := store.Draft{Facts: f, PersonID: s.Person}
	if words := strings.TrimSpace(v.Words); words != "" {
		draft.Person = record.DecidePerson{Words: words}
	}
	if _, err := tx.Append(draft); err != nil {
		return approval.Request{}, err
	}
	return record.Request(tx, q.ID)
}

// unchanged holds a decision to what the approver was shown. The fold's own
// answers come first where they say more than "changed".
func unchanged(q approval.Request, person canon.ID, shown canon.Digest) error {
	now, err := Shown(q)
	if err != nil {
		return err
	}
	if now == shown {
		return nil
	}
	if q.Cancelled.At != 0 || q.Revoked.At != 0 { // the request itself says so
		return nil
	}
	if q.By == person {
		return approval.ErrSelfApproval
	}
	for _, d := range q.Decisions {
		if d.By == person {
			return approval.ErrDecidedTwice
		}
	}
	return fmt.Errorf("%w; look at it again and decide then", ErrShown)
}

// Sweep records the expiry of requests that silence ended, and forgets plain
// rows that are over. It decides nothing: what has expired follows from the time.
func (a *Authority) Sweep(ctx context.Context) (expired int, err error) {
	if err := a.voidDue(ctx); err != nil {
		return 0, err
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		expired = 0
		if err := tx.Sweep(); err != nil {
			return err
		}
		pending, err := tx.Oldest(record.TableRequest, "state", string(approval.Pending), MaxList)
		if err != nil {
			return err
		}
		for _, row := range pending {
			var q approval.Request
			if err := canon.Unmarshal(row, &q); err != nil {
				return err
			}
			if q.Status(tx.Now().Time()).State != approval.Expired {
				continue
			}
			id, err := canon.NewID(a.rand)
			if err != nil {
				return err
			}
			if _, err := tx.Append(store.Draft{Facts: record.RequestExpire{
				At: tx.Now(), Expiry: id, Lineage: q.Lineage, Request: q.ID, RequestLeaf: q.Leaf,
			}}); err != nil {
				return err
			}
			expired++
		}
		return nil
	})
	if err == nil && expired > 0 {
		a.settle(ctx)
	}
	return expired, err
}

// checkText holds free text to what can be kept and shown: UTF-8 in form NFC,
// at most MaxText bytes, no control or direction-changing characters.
func checkText(field, s string) error {
	switch {
	case len(s) > MaxText:
		return fmt.Errorf("%s: %w: %d bytes, at most %d", field, ErrField, len(s), MaxText)
	case !utf8.ValidString(s) || !norm.NFC.IsNormalString(s):
		return fmt.Errorf("%s: %w: it must be UTF-8 in Unicode form NFC", field, ErrField)
	}
	for _, c := range s {
		if unicode.Is(unicode.Cc, c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c) {
			return fmt.Errorf("%s: %w: it holds the invisible character %U; type it as one line of plain text", field, ErrField, c)
		}
	}
	return nil
}
