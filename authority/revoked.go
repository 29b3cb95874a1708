package authority

import (
	"context"
	"crypto/sha256"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	// listLife is how long a host may rely on a list before it alarms, listFresh how
	// long the same statement about it is given out.
	listLife  = 10 * time.Minute
	listFresh = 2 * time.Minute
	// listLook is how long a list is believed to be the newest without a look at the
	// database.
	listLook = time.Second
	// listPage is how many rows are read at once.
	listPage = 500
)

// revocations is the newest list of revoked certificates, and what the next one is
// made from. It is safe for concurrent use.
//
// The list follows from the ledger alone: from its leaves up to the newest that
// takes certificates away, at that leaf's time. So every server and every start
// makes the same one, and its number rises with the leaf.
type revocations struct {
	mu      sync.Mutex
	serials map[uint64]canon.Micros // guarded by mu: when they and their sessions end, of those that are listed
	list    RevocationList          // guarded by mu; number 0: none was made yet
	told    map[canon.Digest]SignedRevocations
	changed chan struct{}   // guarded by mu; closed when there is another list
	grown   <-chan struct{} // guarded by mu; closed when leaves were committed since the last look; nil: there was none
	looked  time.Time       // guarded by mu
}

// RevocationList is a list of revoked certificates, as sshd reads it.
type RevocationList struct {
	Number int64        // ledger size at which it was made
	At     canon.Micros // ledger time then
	KRL    []byte
}

// SignedRevocations is a list with what is signed about it.
type SignedRevocations struct {
	RevocationList
	Statement string // a trust.KRL
	Signature string // armored SSHSIG over it
	until     time.Time
}

// RevocationsChanged returns a channel that is closed when there is another list
// than the one that Revocations answered last. It closes only while somebody asks
// Revocations now and then.
func (a *Authority) RevocationsChanged() <-chan struct{} {
	a.revoked.mu.Lock()
	defer a.revoked.mu.Unlock()
	if a.revoked.changed == nil {
		a.revoked.changed = make(chan struct{})
	}
	return a.revoked.changed
}

// Revocations returns the newest list. It is made anew only if a leaf took
// certificates away since.
func (a *Authority) Revocations(ctx context.Context) (RevocationList, error) {
	c := &a.revoked
	c.mu.Lock()
	defer c.mu.Unlock()
	now := a.now()
	if c.current(now) {
		return c.list, nil
	}
	grown := a.store.Grown() // before the read, so that nothing is missed
	if err := a.store.Read(ctx, func(r *store.Reader) error { return c.catchUp(r, a.ca.PublicKey()) }); err != nil {
		return RevocationList{}, err
	}
	c.grown, c.looked = grown, now
	return c.list, nil
}

// current reports whether nothing was committed since the last look. What another
// process has committed may not be heard of at once.
func (c *revocations) current(now time.Time) bool {
	if c.grown == nil || now.Sub(c.looked) >= listLook {
		return false
	}
	select {
	case <-c.grown:
		return false
	default:
		return true
	}
}

// SignedRevocations returns the newest list with a statement for the hosts of a
// lineage.
func (a *Authority) SignedRevocations(ctx context.Context, lineage canon.Digest) (SignedRevocations, error) {
	if a.hosts.krl == nil {
		return SignedRevocations{}, ErrNoHostKeys
	}
	list, err := a.Revocations(ctx)
	if err != nil {
		return SignedRevocations{}, err
	}
	c := &a.revoked
	c.mu.Lock()
	told, ok := c.told[lineage]
	c.mu.Unlock()
	now := a.now()
	if ok && told.Number == list.Number && now.Before(told.until) {
		return told, nil
	}
	err = a.store.Read(ctx, func(r *store.Reader) error {
		_, err := record.Lineage(r, lineage)
		return err
	})
	if err != nil {
		return SignedRevocations{}, err
	}
	if told, err = a.state(list, lineage, now); err != nil {
		return SignedRevocations{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == nil {
		c.told = make(map[canon.Digest]SignedRevocations)
	}
	if c.told[lineage].Number <= list.Number {
		c.told[lineage] = told
	}
	return told, nil
}

// state signs what is said about a list.
func (a *Authority) state(list RevocationList, lineage canon.Digest, now time.Time) (SignedRevocations, error) {
	text, err := trust.MakeKRL(trust.KRL{
		Origin: a.Origin(), Lineage: lineage, Number: list.Number, MadeAt: canon.At(now), NextAt: canon.At(now.Add(listLife)),
		Size: list.Number, SHA256: sha256.Sum256(list.KRL), Bytes: int64(len(list.KRL)),
	})
	if err != nil {
		return SignedRevocations{}, err
	}
	signature, err := sshcert.Sign(a.rand, a.hosts.krl, trust.KRLNamespace, []byte(text))
	return SignedRevocations{RevocationList: list, Statement: text, Signature: signature, until: now.Add(listFresh)}, err
}

// catchUp makes the list that the ledger stands for now, unless it has it.
func (c *revocations) catchUp(r *store.Reader, ca ssh.PublicKey) error {
	last, err := newestTaking(r)
	if err != nil || last+1 == c.list.Number {
		return err
	}
	entry, err := r.Entry(last)
	if err != nil {
		return err
	}
	longest, err := longestLife(r)
	if err != nil {
		return err
	}
	// What was revoked earlier is over by then.
	from, err := r.FirstAt(canon.At(entry.At.Time().Add(-longest - record.CertificateOver)))
	if err != nil {
		return err
	}
	from = max(from, c.list.Number)
	leaves, err := takingSince(r, from, last)
	if err != nil {
		return err
	}
	t := taking{r: r, longest: longest, now: entry.At, requests: make(map[canon.ID]approval.Request)}
	serials := maps.Clone(c.serials)
	if serials == nil {
		serials = make(map[uint64]canon.Micros)
	}
	for _, leaf := range leaves {
		if err := t.take(leaf, serials); err != nil {
			return err
		}
	}
	maps.DeleteFunc(serials, func(_ uint64, end canon.Micros) bool { return record.Over(end, entry.At) })
	text, err := marshalList(last+1, entry.At, ca, serials)
	if err != nil {
		return err
	}
	c.serials, c.list = serials, RevocationList{Number: last + 1, At: entry.At, KRL: text}
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	return nil
}

func marshalList(number int64, at canon.Micros, ca ssh.PublicKey, serials map[uint64]canon.Micros) ([]byte, error) {
	list := krl.List{Number: uint64(number), MadeAt: uint64(at.Time().Unix())} //nolint:gosec // neither is negative
	if len(serials) > 0 {
		list.Issued = []krl.Issued{{CA: ca, Serials: krl.Serials(slices.Sorted(maps.Keys(serials))...)}}
	}
	return list.Marshal()
}

// lists are the lists of rows that leaves make which take certificates away.
var lists = []struct {
	table record.Table
	name  string
}{{record.TableRevocation, "all"}, {record.TableCertificate, "void"}}

// newestTaking returns the newest leaf that takes certificates away, leaf 0 if none
// does.
func newestTaking(r *store.Reader) (int64, error) {
	newest := int64(0)
	for _, l := range lists {
		rows, err := r.Before(l.table, l.name, "", math.MaxInt64, 1)
		if err != nil {
			return 0, err
		}
		if len(rows) > 0 {
			newest = max(newest, rows[0].Leaf)
		}
	}
	return newest, nil
}

// takingSince returns the leaves from an index to another that take certificates
// away, in order.
func takingSince(r *store.Reader, from, last int64) ([]store.Entry, error) {
	var indexes []int64
	for _, l := range lists {
		for before := last + 1; before > from; {
			rows, err := r.Before(l.table, l.name, "", before, listPage)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				if before = row.Leaf; before >= from {
					indexes = append(indexes, before)
				}
			}
			if len(rows) < listPage {
				break
			}
		}
	}
	slices.Sort(indexes)
	out := make([]store.Entry, 0, len(indexes))
	for _, i := range slices.Compact(indexes) {
		entry, err := r.Entry(i)
		if err != nil {
			return nil, err
		}
		out = append(out, entry)
	}
	return out, nil
}

// longestLife is how long a certificate, or a session by it, lives at most under any
// contract.
func longestLife(r *store.Reader) (time.Duration, error) {
	rows, err := Contracts(r)
	if err != nil {
		return 0, err
	}
	var longest time.Duration
	for _, row := range rows {
		v, err := r.Version(row.Contract)
		if err != nil {
			return 0, err
		}
		longest = max(longest, v.Terms.Ceilings.CertTTL, v.Terms.Ceilings.Grant)
	}
	return longest, nil
}

// taking finds the certificates that leaves take away.
type taking struct {
	r        *store.Reader // lives as long as the function it was given to
	longest  time.Duration
	now      canon.Micros // ledger time of the newest of the leaves
	requests map[canon.ID]approval.Request
	all      []issuedRow // every certificate that is not over, newest first; nil: not read yet
}

// issuedRow is a certificate and the leaf that recorded it.
type issuedRow struct {
	leaf int64
	row  record.CertificateRow
}

// take adds the serials of the certificates that a leaf takes away and that were
// recorded before it.
func (t *taking) take(e store.Entry, into map[uint64]canon.Micros) error {
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if err != nil {
		return err
	}
	issued, err := t.candidates(facts)
	if err != nil {
		return err
	}
	for _, c := range issued {
		if c.leaf >= e.Index {
			continue
		}
		q, err := t.request(c.row.Grant)
		if err != nil {
			return err
		}
		if record.Changes(facts) {
			if q, err = record.Standing(t.r, q); err != nil {
				return err
			}
		}
		if !record.Covers(facts, c.row, q) {
			continue
		}
		if into[c.row.Serial], err = record.Ends(t.r, c.row, q); err != nil {
			return err
		}
	}
	return nil
}

// candidates returns certificates among which are all that facts take away and that
// are not over.
func (t *taking) candidates(facts record.Facts) ([]issuedRow, error) {
	switch f := facts.(type) {
	case record.CertificateVoid:
		return t.one(f.Serial)
	case record.PersonLock:
		return t.listed("person", string(f.Person))
	case record.AccessRevoke:
		switch f.Target.Type {
		case record.TargetCertificate:
			return t.one(f.Target.Serial)
		case record.TargetGrant, record.TargetRequest:
			return t.listed("grant", string(f.Target.ID))
		case record.TargetPerson:
			return t.listed("person", string(f.Target.ID))
		case record.TargetRole, record.TargetHost:
		}
	}
	if t.all == nil {
		var err error
		if t.all, err = t.listed("all", ""); err != nil {
			return nil, err
		}
	}
	return t.all, nil
}

func (t *taking) one(serial uint64) ([]issuedRow, error) {
	row, err := record.Certificate(t.r, serial)
	return []issuedRow{{int64(serial) - 1, row}}, err //nolint:gosec // a serial is a leaf index plus one
}

// listed returns the certificates that are listed under a value, newest first, until
// all that are older must be over: none lives longer than the longest.
func (t *taking) listed(name, value string) ([]issuedRow, error) {
	out := []issuedRow{}
	for before := int64(math.MaxInt64); ; {
		rows, err := t.r.Before(record.TableCertificate, name, value, before, listPage)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			one := issuedRow{leaf: row.Leaf}
			if err := canon.Unmarshal(row.Body, &one.row); err != nil {
				return nil, err
			}
			if record.Over(canon.At(one.row.Before.Time().Add(t.longest)), t.now) {
				return out, nil
			}
			out = append(out, one)
			before = row.Leaf
		}
		if len(rows) < listPage {
			return out, nil
		}
	}
}

func (t *taking) request(id canon.ID) (approval.Request, error) {
	if q, ok := t.requests[id]; ok {
		return q, nil
	}
	q, err := record.Request(t.r, id)
	if err == nil {
		t.requests[id] = q
	}
	return q, err
}
