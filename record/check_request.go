package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// denyMaxAge is how old the claims of somebody who denies or cancels may be: as
// old as a session can be. Taking away must work while the identity provider is
// away (P14).
const denyMaxAge = 12 * time.Hour

// DocumentLife is how far ahead a signed document may expire.
const DocumentLife = 5 * time.Minute

// requestSubmit holds a request to the contract version in force, to the
// requester's claims and to the device key that signed it.
func (e Event) requestSubmit(v View, f RequestSubmit) ([]Change, error) {
	log, err := Log(v)
	if err != nil {
		return nil, err
	}
	version, err := InForce(v, f.Lineage, f.At)
	if err != nil {
		return nil, err
	}
	doc, err := openRequest(v, f)
	if err != nil {
		return nil, err
	}
	switch {
	case doc.Origin != log.Origin:
		return nil, fmt.Errorf("%w: it was signed for %q", ErrDocument, doc.Origin)
	case doc.Request != f.Request:
		return nil, fmt.Errorf("%w: it names another request", ErrDocument)
	case doc.Contract != version.Digest:
		return nil, fmt.Errorf("it names contract version %s, in force is %s: %w", doc.Contract, version.Digest, ErrNotInForce)
	case doc.Commitment != e.PersonCommitment || doc.Commitment.IsZero():
		return nil, fmt.Errorf("%w: the reason is not the one that was signed", ErrDocument)
	}
	if err := Fresh(doc.ExpiresAt, f.At.Time(), DocumentLife); err != nil {
		return nil, err
	}
	part, read := e.Person.(RequestPerson)
	switch {
	case read && CountWords(part.Reason) != f.ReasonWords:
		return nil, fmt.Errorf("%w: the reason has not %d words", ErrEvent, f.ReasonWords)
	case read && (part.Ticket != "") != f.Ticket:
		return nil, fmt.Errorf("%w: whether it names a ticket is told otherwise", ErrEvent)
	}
	if err := unseen(v, doc.Request); err != nil {
		return nil, err
	}
	if err := notLocked(v, doc.Person); err != nil {
		return nil, err
	}
	if err := newest(v, doc.Person, f.Claims); err != nil {
		return nil, err
	}
	r, err := requestOf(v, version, f, doc, part.Ticket)
	if err != nil {
		return nil, err
	}
	r.Leaf = e.LeafHash
	begin := f.At.Time()
	if err := exclusive(v, version.Terms, r, begin, begin.Add(time.Duration(r.Seconds)*time.Second)); err != nil {
		return nil, err
	}
	return changes(fresh(putRequest(r)))
}

// requestOf makes the request that a submission stands for, or returns the
// contract's refusal.
func requestOf(v View, version *contract.Version, f RequestSubmit, doc RequestDoc, ticket string) (approval.Request, error) {
	subject, err := subjectOf(v, version.Terms, doc.Person, f.Claims, f.At, version.Terms.Ceilings.ClaimsMaxAge.Issue)
	if err != nil {
		return approval.Request{}, err
	}
	ask, err := Ask(v, f.Lineage, doc.Role, doc.Logins, doc.Hosts, doc.Seconds, f.ReasonWords)
	if err != nil {
		return approval.Request{}, err
	}
	// Whoever has no opening of the person part takes the server's word that the ticket
	// has the form that the role demands, as for the words of the reason.
	ask.Ticket, ask.TicketUnread = ticket, f.Ticket && ticket == ""
	ask.At = f.At.Time()
	ask.Flow = contract.FlowCode // the only one with a device key, also when it was refreshed
	known, err := knownHosts(v, version.Terms, doc, f.At)
	if err != nil {
		return approval.Request{}, err
	}
	ask.FirstTimeHost = known
	return approval.New(version, ask, doc.Request, doc.Person, subject, f.At.Time())
}

// DecisionOf returns the decision that a leaf records.
func DecisionOf(f RequestDecide, leaf canon.Digest) approval.Decision {
	return approval.Decision{By: f.Person, Stage: f.Stage, Verdict: f.Verdict, Seconds: f.Seconds, At: f.At, Leaf: leaf}
}

// openRequest checks the device key's signature against the login that the
// facts name, which must be the requester's own.
func openRequest(v View, f RequestSubmit) (RequestDoc, error) {
	login, err := Login(v, f.Claims.Login)
	if err != nil {
		return RequestDoc{}, err
	}
	device, err := deviceKey(login)
	if err != nil {
		return RequestDoc{}, err
	}
	doc, err := checkingOf(v).openRequest(f.Document, f.Signature, device)
	if err != nil {
		return RequestDoc{}, err
	}
	if login.Person != doc.Person {
		return RequestDoc{}, fmt.Errorf("%w: it names another person than the login", ErrDocument)
	}
	return doc, nil
}

func unseen(v View, id canon.ID) error {
	_, err := Request(v, id)
	switch {
	case err == nil:
		return fmt.Errorf("request %s: %w", id, ErrExists)
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

func (e Event) requestDecide(v View, f RequestDecide) ([]Change, error) {
	version, err := InForce(v, f.Lineage, f.At)
	if err != nil {
		return nil, err
	}
	r, err := Request(v, f.Request)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Lineage != f.Lineage || r.Leaf != f.RequestLeaf:
		return nil, fmt.Errorf("%w: the decision is about another request", ErrEvent)
	case f.Contract != version.Digest:
		return nil, fmt.Errorf("it names contract version %s, in force is %s: %w", f.Contract, version.Digest, ErrNotInForce)
	case f.Assurance != AssuranceSession:
		return nil, fmt.Errorf("%w: assurance %q", ErrEvent, f.Assurance)
	}
	// Self-approval is told before anything about claims: it is final.
	if r.By == f.Person {
		return nil, approval.ErrSelfApproval
	}
	if err := CheckDecider(v, r, f.Person); err != nil {
		return nil, err
	}
	if err := notLocked(v, f.Person); err != nil {
		return nil, err
	}
	if r, err = Standing(v, r); err != nil {
		return nil, err
	}
	if s := r.Status(f.At.Time()); s.State == approval.Ended {
		return nil, fmt.Errorf("it is decided no more: %w", granted(r, f.At))
	}
	r.Contract = version.Digest // which decides it as the one that it was made under
	if err := newest(v, f.Person, f.Claims); err != nil {
		return nil, err
	}
	if _, err := get[ExpiryRow](v, TableExpiry, string(r.ID)); err == nil {
		return nil, fmt.Errorf("its expiry is recorded: %w", approval.ErrSettled)
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	maxAge := version.Terms.Ceilings.ClaimsMaxAge.Decide
	if f.Verdict == approval.Deny {
		maxAge = max(maxAge, denyMaxAge)
	}
	subject, err := subjectOf(v, version.Terms, f.Person, f.Claims, f.At, maxAge)
	if err != nil {
		return nil, err
	}
	r, err = r.Decide(version.Terms, DecisionOf(f, e.LeafHash), subject)
	if err != nil {
		return nil, err
	}
	if r.Status(f.At.Time()).State == approval.Granted {
		grant, err := r.Grant(version.Terms)
		if err != nil {
			return nil, err
		}
		if err := exclusive(v, version.Terms, r, grant.Start, grant.End); err != nil {
			return nil, err
		}
	}
	request, err := putRequest(r)
	if err != nil {
		return nil, err
	}
	key := string(r.ID) + "/" + f.Stage + "/" + string(f.Person)
	mark, err := fresh(put(TableDecision, key, DecisionRow{Leaf: e.LeafHash}, Index{"by", string(f.Person)}))
	return []Change{request, mark}, err
}

// requestExpire records what has happened already: the request's state follows
// from the time.
func (e Event) requestExpire(v View, f RequestExpire) ([]Change, error) {
	r, err := Request(v, f.Request)
	if err != nil {
		return nil, err
	}
	if r.Lineage != f.Lineage || r.Leaf != f.RequestLeaf {
		return nil, fmt.Errorf("%w: the expiry is of another request", ErrEvent)
	}
	if s := r.Status(f.At.Time()); s.State != approval.Expired {
		return nil, fmt.Errorf("%w: request %s is %s", ErrEvent, r.ID, s.State)
	}
	switch _, err := get[ExpiryRow](v, TableExpiry, string(r.ID)); {
	case err == nil:
		return nil, fmt.Errorf("the expiry of request %s: %w", r.ID, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	mark, err := fresh(put(TableExpiry, string(r.ID), ExpiryRow{At: f.At}))
	if err != nil {
		return nil, err
	}
	// The index by which open requests are found is all that changes.
	request, err := put(TableRequest, string(r.ID), r, requestIndex(r, approval.Expired)...)
	return []Change{mark, request}, err
}

func putRequest(r approval.Request) (Change, error) {
	return put(TableRequest, string(r.ID), r, requestIndex(r, r.Status(time.Time{}).State)...)
}

// requestIndex lists a request under its state, as far as that follows from its
// decisions, under its requester, and as open while it may be decided.
func requestIndex(r approval.Request, s approval.State) []Index {
	open := string(r.By)
	if s != approval.Pending {
		open = "-"
	}
	return []Index{{"state", string(s)}, {"by", string(r.By)}, {"open", open}}
}

// Ask resolves hosts against the inventory of a lineage: a host that is not in
// it, or in another lineage, does not exist for the request.
func Ask(v View, lineage canon.Digest, role string, logins []sshcert.Login, hosts []sshcert.Host, seconds int64, words int) (contract.Ask, error) {
	if len(hosts)*max(len(logins), 1) > sshcert.MaxPrincipals {
		return contract.Ask{}, fmt.Errorf("hosts: %w: %d, and one certificate carries at most %d principals", ErrDocument, len(hosts), sshcert.MaxPrincipals)
	}
	ask := contract.Ask{Role: role, Logins: logins, For: time.Duration(seconds) * time.Second, ReasonWords: words}
	if seconds < 0 || seconds > int64(366*24*time.Hour/time.Second) {
		return contract.Ask{}, fmt.Errorf("for: %w: %d seconds", ErrDocument, seconds)
	}
	for _, name := range hosts {
		host, err := Host(v, name)
		if err == nil && host.Lineage == lineage && host.Retired() {
			return contract.Ask{}, &contract.ClauseError{
				Field: "hosts", Limit: "hosts that are not retired",
				Err: fmt.Errorf("%s is retired since %s: %w", name, host.RetiredAt.Time().Format(time.RFC3339), contract.ErrHostNotInRole),
			}
		}
		switch {
		case errors.Is(err, ErrNotFound):
			return contract.Ask{}, notThere(v, name, lineage)
		case err != nil:
			return contract.Ask{}, err
		case host.Lineage != lineage:
			return contract.Ask{}, &contract.ClauseError{
				Field: "hosts", Limit: "hosts that joined it; ask the operator which there are",
				Err: fmt.Errorf("%s is not in the inventory of this contract: %w", name, contract.ErrHostNotInRole),
			}
		}
		labels := make(map[string]string, len(host.Labels))
		for _, l := range host.Labels {
			labels[l.Name] = l.Value
		}
		ask.Hosts = append(ask.Hosts, contract.HostLabels{Name: name, Labels: labels})
	}
	return ask, nil
}

// newest refuses claims that a later snapshot of the same issuer has overtaken:
// somebody who was taken out of a group must not act by what was said before, and
// nobody who was erased acts at all.
func newest(v View, id canon.ID, c Claims) error {
	if err := notErased(v, id); err != nil {
		return err
	}
	login, err := Login(v, c.Login)
	if err != nil {
		return err
	}
	person, err := Person(v, id)
	if err != nil {
		return err
	}
	for _, s := range person.Snapshots {
		if s.Issuer == login.Issuer && s.Leaf == c.Snapshot {
			return nil
		}
	}
	return fmt.Errorf("your groups changed since; log in again: %w", ErrClaimsOld)
}

// subjectOf returns what an issuer said about a person at the login and snapshot
// that the claims name. Both must be that person's, and the claims at most
// maxAge old at now: unknown or stale is a refusal, never an empty group.
func subjectOf(v View, terms *contract.Terms, id canon.ID, c Claims, now canon.Micros, maxAge time.Duration) (contract.Subject, error) {
	login, err := Login(v, c.Login)
	if err != nil {
		return contract.Subject{}, err
	}
	snapshot, err := Snapshot(v, c.Snapshot)
	if err != nil {
		return contract.Subject{}, err
	}
	if login.Person != id || snapshot.Person != id || snapshot.Issuer != login.Issuer || c.ClaimsAt != login.ClaimsAt {
		return contract.Subject{}, fmt.Errorf("%w: the claims are another person's", ErrEvent)
	}
	if !login.says(snapshot) {
		return contract.Subject{}, fmt.Errorf("%w: the login and the snapshot of the claims name other groups", ErrEvent)
	}
	if err := usable(terms, login, now, maxAge); err != nil {
		return contract.Subject{}, err
	}
	return contract.Subject{Issuer: login.Issuer, Groups: snapshot.Groups, GroupsKnown: snapshot.GroupsKnown}, nil
}

// usable refuses a login through a client that the terms do not name, and one
// whose claims are older than maxAge at now.
func usable(terms *contract.Terms, login LoginRow, now canon.Micros, maxAge time.Duration) error {
	if !names(terms, login) {
		return fmt.Errorf("contract %s names client %q of %s nowhere; log in through one of its own: %w", terms.ID, login.Client, login.Issuer, ErrOtherLogin)
	}
	if age := now.Time().Sub(login.ClaimsAt.Time()); age > maxAge {
		return fmt.Errorf("it is %s old, at most %s is accepted; log in again: %w", age.Round(time.Second), maxAge, ErrClaimsOld)
	}
	return nil
}

// names reports whether the terms name the client of a login at its issuer: an
// ID token that was made for somebody else's client proves nothing here.
func names(terms *contract.Terms, login LoginRow) bool {
	return slices.ContainsFunc(terms.Issuers, func(i contract.Issuer) bool {
		return i.URL == login.Issuer && login.Client != "" && (login.Client == i.Clients.CLI || login.Client == i.Clients.Web)
	})
}

// CountWords counts the words of a reason: what stands between white space and
// holds a letter or a digit. A row of dots or blanks is no reason.
func CountWords(reason string) int {
	n := 0
	for word := range strings.FieldsSeq(reason) {
		if strings.ContainsFunc(word, func(c rune) bool { return unicode.IsDigit(c) || unicode.IsLetter(c) && !blankLetter(c) }) {
			n++
		}
	}
	return n
}

// blankLetter reports whether a character counts as a letter in Unicode and
// shows nothing: the Hangul fillers.
func blankLetter(c rune) bool {
	return c == 0x115F || c == 0x1160 || c == 0x3164 || c == 0xFFA0
}
