package authority

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// RevokeCall is what somebody posts to revoke. In a session with device key the
// document says what; in one without, that is a browser's, Lineage and Target do.
type RevokeCall struct {
	Because   string
	Document  string // record.RevokeDoc
	Signature string // by the session's device key

	Lineage canon.Digest // of the contract that the target belongs to; zero: what the target says
	Target  record.Target
}

// Revoked is a revocation that is in the ledger.
type Revoked struct {
	record.RevocationRow
	Revocation canon.ID
	Index      int64 // of its leaf
}

// Revoke takes away what was granted, in the name of a session's person. A repeat of
// the same document is answered with what it did.
func (a *Authority) Revoke(ctx context.Context, s store.Session, call RevokeCall) (Revoked, error) {
	f := record.AccessRevoke{
		Lineage: call.Lineage, Target: call.Target,
		By: record.ByPerson, Person: s.Person, Claims: s.Claims(), Assurance: record.AssuranceSession,
	}
	if s.DeviceKey != "" || call.Document != "" || call.Signature != "" {
		doc, err := a.openRevoke(s, call)
		if err != nil {
			return Revoked{}, err
		}
		f.Revocation, f.Lineage, f.Target = doc.Revocation, doc.Lineage, doc.Target
		f.Assurance, f.Document, f.Signature = record.AssuranceDevice, call.Document, call.Signature
	}
	return a.revoke(ctx, f, call.Because)
}

// RevokeAs revokes by the operator's word: whoever has the server's folder.
func (a *Authority) RevokeAs(ctx context.Context, lineage canon.Digest, target record.Target, because string) (Revoked, error) {
	return a.revoke(ctx, record.AccessRevoke{Lineage: lineage, Target: target, By: record.ByOperator}, because)
}

// openRevoke checks the signature before anything is written.
func (a *Authority) openRevoke(s store.Session, call RevokeCall) (record.RevokeDoc, error) {
	device, err := deviceOf(s)
	if err != nil {
		return record.RevokeDoc{}, err
	}
	doc, err := record.OpenRevoke(call.Document, call.Signature, device)
	if err == nil && (doc.Person != s.Person || doc.Origin != a.Origin()) {
		err = fmt.Errorf("%w: it was signed for another person or server", record.ErrDocument)
	}
	return doc, err
}

func (a *Authority) revoke(ctx context.Context, f record.AccessRevoke, because string) (Revoked, error) {
	because, err := checkBecause(because, "say why, in a few words")
	if err != nil {
		return Revoked{}, err
	}
	if f.Revocation == "" {
		if f.Revocation, err = canon.NewID(a.rand); err != nil {
			return Revoked{}, err
		}
	}
	var out Revoked
	// Taking away is never turned away.
	err = a.store.WriteUrgent(ctx, func(tx *store.Tx) error {
		out, err = revoke(tx, f, because)
		return err
	})
	if err != nil {
		return Revoked{}, err
	}
	a.settle(ctx)
	return out, nil
}

// checkBecause holds the words that somebody has to give to one line of text.
func checkBecause(because, hint string) (string, error) {
	because = strings.TrimSpace(because)
	if because == "" {
		return "", fmt.Errorf("because: %w: it is empty; %s", ErrField, hint)
	}
	return because, checkText("because", because)
}

func revoke(tx *store.Tx, f record.AccessRevoke, because string) (Revoked, error) {
	switch old, err := revocation(tx, f.Revocation); {
	case err == nil:
		return old, sameRevocation(tx, old, f)
	case !isNotFound(err):
		return Revoked{}, err
	}
	var err error
	if f, err = complete(tx, f); err != nil {
		return Revoked{}, err
	}
	id, err := record.SealedFor(f)
	if err != nil {
		return Revoked{}, err
	}
	if _, err := tx.Append(store.Draft{Facts: f, Person: record.RevokePerson{Because: because}, PersonID: id}); err != nil {
		return Revoked{}, err
	}
	row, err := record.Revocation(tx, f.Revocation)
	return Revoked{row, f.Revocation, tx.Next() - 1}, err
}

// revocation reads a revocation and its place.
func revocation(tx *store.Tx, id canon.ID) (Revoked, error) {
	row, err := record.Revocation(tx, id)
	if err != nil {
		return Revoked{}, err
	}
	index, err := tx.LeafIndex(row.Leaf)
	return Revoked{row, id, index}, err
}

// sameRevocation refuses a revocation under the id of another one.
func sameRevocation(tx *store.Tx, old Revoked, f record.AccessRevoke) error {
	entry, err := tx.Entry(old.Index)
	if err != nil {
		return err
	}
	facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
	if err != nil {
		return err
	}
	if was, ok := facts.(record.AccessRevoke); !ok || was.Document != f.Document || was.Document == "" {
		return fmt.Errorf("revocation %s: %w, with another content", f.Revocation, record.ErrExists)
	}
	return nil
}

// complete adds what the ledger says about the target: its contract and whose access
// it is. What is not there belongs to nobody.
func complete(tx *store.Tx, f record.AccessRevoke) (record.AccessRevoke, error) {
	f.At = tx.Now()
	lineage := f.Lineage
	switch t := f.Target; t.Type {
	case record.TargetCertificate:
		row, err := record.Certificate(tx, t.Serial)
		if err != nil {
			return f, unknownTarget(err)
		}
		q, err := record.Request(tx, row.Grant)
		if err != nil {
			return f, err
		}
		f.About, lineage = row.Person, q.Lineage
	case record.TargetGrant, record.TargetRequest:
		q, err := record.Request(tx, t.ID)
		if err != nil {
			return f, unknownTarget(err)
		}
		f.About, lineage = q.By, q.Lineage
	case record.TargetHost:
		host, err := record.Host(tx, t.Host)
		if err != nil {
			return f, unknownTarget(err)
		}
		lineage = host.Lineage
	case record.TargetPerson:
		f.About = t.ID
	case record.TargetRole:
	}
	if f.Lineage.IsZero() {
		f.Lineage = lineage
	}
	version, err := record.Newest(tx, f.Lineage, tx.Now())
	if isNotFound(err) {
		return f, fmt.Errorf("contract: %w: there is none whose version 1 is %s", ErrField, f.Lineage)
	}
	if err != nil {
		return f, err
	}
	f.Contract = version.Digest
	return f, nil
}

func unknownTarget(err error) error {
	if isNotFound(err) {
		return ErrNotYours
	}
	return err
}

// LockPerson locks an account and all that are known to be the same human's, and
// returns whom it has locked now.
func (a *Authority) LockPerson(ctx context.Context, person canon.ID, because string) (locked []canon.ID, err error) {
	return a.eachAccount(ctx, person, because, func(tx *store.Tx, account, id canon.ID, because string) (bool, error) {
		row, err := record.Person(tx, account)
		if err != nil || row.Lock.Holds() {
			return false, err
		}
		_, err = tx.Append(store.Draft{
			Facts:  record.PersonLock{At: tx.Now(), Lock: id, Person: account, By: record.ByOperator},
			Person: record.LockPerson{Because: because}, PersonID: account,
		})
		return true, err
	})
}

// UnlockPerson takes the locks of an account and of all that are known to be the
// same human's away, and returns whom it has unlocked now. What they were granted
// before stays revoked.
func (a *Authority) UnlockPerson(ctx context.Context, person canon.ID, because string) (unlocked []canon.ID, err error) {
	return a.eachAccount(ctx, person, because, func(tx *store.Tx, account, id canon.ID, because string) (bool, error) {
		row, err := record.Person(tx, account)
		if err != nil || !row.Lock.Holds() {
			return false, err
		}
		_, err = tx.Append(store.Draft{
			Facts:  record.PersonUnlock{At: tx.Now(), Unlock: id, Person: account, Lock: row.Lock.Leaf, By: record.ByOperator},
			Person: record.LockPerson{Because: because}, PersonID: account,
		})
		return true, err
	})
}

// eachAccount does something to each account of a human in one write, and returns
// those to which it was done.
func (a *Authority) eachAccount(ctx context.Context, person canon.ID, because string, do func(tx *store.Tx, account, id canon.ID, because string) (bool, error)) (done []canon.ID, err error) {
	if because, err = checkBecause(because, "say why, in a few words"); err != nil {
		return nil, err
	}
	err = a.store.WriteUrgent(ctx, func(tx *store.Tx) error {
		done = nil
		if _, err := record.Person(tx, person); err != nil {
			return err
		}
		accounts, err := record.Accounts(tx, person)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			id, err := canon.NewID(a.rand)
			if err != nil {
				return err
			}
			switch did, err := do(tx, account, id, because); {
			case errors.Is(err, record.ErrErased) && account != person: // nobody logs in by it any more
			case err != nil:
				return err
			case did:
				done = append(done, account)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(done) > 0 {
		a.settle(ctx)
	}
	return done, nil
}

// Standing returns a request with what revoked it.
func Standing(r *store.Reader, id canon.ID) (approval.Request, error) {
	q, err := record.Request(r, id)
	if err != nil {
		return q, err
	}
	return record.Standing(r, q)
}
