package cosign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// concerns reports whether a leaf counts here by itself.
func (c *Cosigner) concerns(index int64, l ledger.Leaf) bool {
	return index == 0 || l.Lineage == c.config.Lineage || l.Kind == ledger.KeyAdd // what signs for hosts signs for everybody's
}

// mayBeNamed reports whether a leaf may come to count because another names it.
func mayBeNamed(l ledger.Leaf) bool {
	return l.Lineage.IsZero() && (l.Kind == ledger.PersonLogin || l.Kind == ledger.PersonSnapshot)
}

// open reads what is shown of a leaf. What is not what the leaf commits to is not
// shown.
func (l *leaf) open(o record.Opening) *record.LoginPerson {
	if o.Facts == nil {
		return nil
	}
	if !l.leaf.Kind.Known() {
		l.flaw = errUnknown
		return nil
	}
	facts, person, err := record.Open(l.leaf, o)
	switch {
	case errors.Is(err, record.ErrOpening):
		return nil
	case err != nil:
		// It does commit to that, and no rule knows such facts.
		l.flaw = err
		return nil
	}
	l.facts = facts
	if person == nil && !l.leaf.Person.IsZero() {
		l.flaw = errPart
		return nil
	}
	switch f := facts.(type) {
	case record.RequestSubmit:
		p, ok := person.(record.RequestPerson)
		switch {
		case ok && record.CountWords(p.Reason) != f.ReasonWords:
			l.flaw = fmt.Errorf("its reason has not %d words", f.ReasonWords)
		case ok && (p.Ticket != "") != f.Ticket:
			l.flaw = errors.New("whether it names a ticket is told otherwise")
		}
	case record.PersonLogin:
		p, ok := person.(record.LoginPerson)
		if !ok {
			l.flaw = errors.New("a login without ID token")
			return nil
		}
		l.flaw = errUnjudged
		return &p
	}
	return nil
}

// checkIdentity holds leaf 0 to what is pinned: whose ledger it is, and which keys
// sign for it.
func (c *Cosigner) checkIdentity(l *leaf) {
	f, ok := l.facts.(record.LedgerOpen)
	switch {
	case !ok || l.flaw != nil:
	case f.Origin != c.config.Origin || !slices.Contains(c.config.LogKeys, f.LogKey):
		l.flaw = fmt.Errorf("it opens the ledger %s with the log key %s, which is not the one that you pinned", f.Origin, f.LogKey)
	case c.config.UserCA != "" && f.UserCA != c.config.UserCA:
		l.flaw = errors.New("it names another authority key than you pinned")
	}
}

// login is one whose ID token is to be judged.
type login struct {
	leaf  *leaf
	entry audit.Entry
	part  record.LoginPerson
}

// judge judges the ID tokens of logins, by the contract that is in force now and
// the keys of their time. What can't be judged stays for the next time. The oldest
// comes first, however they were shown: a login can renew one before it.
func (c *Cosigner) judge(ctx context.Context, b *batch) error {
	slices.SortStableFunc(b.logins, func(x, y login) int { return cmp.Compare(x.leaf.index, y.leaf.index) })
	var undecided error
	for _, l := range b.logins {
		facts, ok := l.leaf.facts.(record.PersonLogin)
		if !ok {
			continue
		}
		judged := *l.leaf
		judged.undo = nil
		identity, err := c.judgeOne(ctx, facts, l.part)
		switch {
		case errors.Is(err, errUndecided):
			undecided = fmt.Errorf("leaf %d (%s): %w", l.leaf.index, l.leaf.leaf.Kind, err)
			continue
		case err != nil:
			judged.flaw = err
		default:
			judged.flaw, judged.identity = nil, identity
		}
		c.fold.put(&judged)
		b.keep(&judged, l.entry)
	}
	c.fold.run()
	return undecided
}

// parseIndex reads the index of a leaf, written the one way.
func parseIndex(text string) (int64, error) {
	index, err := strconv.ParseInt(text, 10, 64)
	if err != nil || index < 0 || strconv.FormatInt(index, 10) != text {
		return 0, fmt.Errorf("%.80q is no leaf's index", text)
	}
	return index, nil
}

func (c *Cosigner) judgeOne(ctx context.Context, f record.PersonLogin, part record.LoginPerson) (identity string, err error) {
	row, err := c.fold.issuer(f.Issuer)
	if err != nil {
		return "", err
	}
	issuer := oidc.Issuer{ID: f.Issuer, URL: f.Issuer, ClientID: f.Client, Algs: row.Algs, SubjectClaim: row.Subject, GroupsClaim: row.Groups}
	id, nonce, err := c.keys.verify(ctx, issuer, part.IDToken, f.At.Time())
	if err != nil {
		return "", err
	}
	_, err = audit.CheckToken(f, part, audit.IDToken{
		Issuer: id.Issuer, Client: id.Client, Subject: id.Subject, Nonce: nonce, IssuedAt: canon.At(id.IssuedAt), AuthTimeAt: micros(id.AuthTime),
		ACR: id.ACR, AMR: slices.Clone(id.AMR), Groups: id.Groups, GroupsKnown: id.GroupsKnown, Name: id.Name, Email: id.Email, Handle: id.Handle,
	}, f.Flow == record.FlowRefresh && c.fold.devices[f.DeviceKey])
	if err != nil {
		return "", err
	}
	if f.DeviceKey != "" && nonce == "" && !c.fold.devices[f.DeviceKey] {
		return "", errors.New("nothing binds its device key to the person: neither its ID token nor one that it renews")
	}
	return record.IdentityKey(f.Issuer, id.Subject), nil
}

// micros is a moment, 0 for none.
func micros(t time.Time) canon.Micros {
	if t.IsZero() {
		return 0
	}
	return canon.At(t)
}
