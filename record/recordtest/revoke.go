package recordtest

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Officed is a contract "officed" with the same rules, whose operator, reviewer and
// host-admin are three groups of their own.
func (w *World) Officed() *contract.Version {
	w.t.Helper()
	return w.Contract("officed", "offices: {operator: [owners], reviewer: [owners], host-admin: [leads], auditor: [engineers]}\n")
}

// Revoke is the leaf of a revocation under a contract version: signed by u's device,
// in a browser if u has none, by the operator if u is nil.
func (w *World) Revoke(l Ledger, u *User, v *contract.Version, t record.Target) Draft {
	w.t.Helper()
	f := record.AccessRevoke{
		At: l.Now(), Revocation: w.ID(), Lineage: v.Lineage(), Contract: v.Digest, Target: t, About: w.about(l, t), By: record.ByOperator,
	}
	if u != nil {
		f.By, f.Person, f.Claims, f.Assurance = record.ByPerson, u.Person, u.Claims, record.AssuranceSession
		if u.Device != nil {
			f.Assurance, f.Document = record.AssuranceDevice, string(w.text(w.RevokeDoc(f)))
			f.Signature = w.Signature(u.Device, sshcert.NamespaceDevice, f.Document)
		}
	}
	id, err := record.SealedFor(f)
	if err != nil {
		w.t.Fatalf("revocation: %v", err)
	}
	return Draft{Facts: f, Person: record.RevokePerson{Because: "the laptop was stolen"}, PersonID: id}
}

// RevokeDoc is what the device key signs over the facts of a revocation.
func (w *World) RevokeDoc(f record.AccessRevoke) record.RevokeDoc {
	return record.RevokeDoc{
		V: record.RevokeVersion, Origin: Origin, Revocation: f.Revocation, Person: f.Person, Lineage: f.Lineage, Target: f.Target,
		ExpiresAt: later(f.At, 5*time.Minute),
	}
}

// about is whose access a target is, as far as the ledger knows.
func (w *World) about(v record.View, t record.Target) canon.ID {
	switch t.Type {
	case record.TargetCertificate:
		if row, err := record.Certificate(v, t.Serial); err == nil {
			return row.Person
		}
	case record.TargetGrant, record.TargetRequest:
		if r, err := record.Request(v, t.ID); err == nil {
			return r.By
		}
	case record.TargetPerson:
		return t.ID
	case record.TargetRole, record.TargetHost:
	}
	return ""
}

// Lock is the leaf that locks u.
func (w *World) Lock(l Ledger, u *User) Draft {
	return Draft{
		Facts:  record.PersonLock{At: l.Now(), Lock: w.ID(), Person: u.Person, By: record.ByOperator},
		Person: record.LockPerson{Because: "left on Friday"}, PersonID: u.Person,
	}
}

// Unlock is the leaf that unlocks u.
func (w *World) Unlock(l Ledger, u *User) Draft {
	w.t.Helper()
	row, err := record.Person(l, u.Person)
	if err != nil {
		w.t.Fatalf("person %s: %v", u.Name, err)
	}
	return Draft{
		Facts:  record.PersonUnlock{At: l.Now(), Unlock: w.ID(), Person: u.Person, Lock: row.Lock.Leaf, By: record.ByOperator},
		Person: record.LockPerson{Because: "it was another Alice"}, PersonID: u.Person,
	}
}

// target picks something to revoke, rarely more than a request.
func (s *Story) target(l Ledger) (record.Target, error) {
	kinds := []record.TargetType{
		record.TargetGrant, record.TargetCertificate, record.TargetRequest, record.TargetGrant, record.TargetCertificate,
		record.TargetPerson, record.TargetRole, record.TargetHost,
	}
	t := record.Target{Type: kinds[s.Pick("revoked", len(kinds))]}
	switch t.Type {
	case record.TargetCertificate:
		if len(s.serials) == 0 {
			return t, errNothing
		}
		t.Serial = s.serials[len(s.serials)-1-s.Pick("serial", min(3, len(s.serials)))]
	case record.TargetGrant, record.TargetRequest:
		recent := s.recent(l)
		if len(recent) == 0 {
			return t, errNothing
		}
		t.ID = recent[0].ID
	case record.TargetPerson:
		t.ID = s.person().Person
	case record.TargetRole:
		t.Role = []string{"operator", "admin"}[s.Pick("role", 2)]
	case record.TargetHost:
		t.Host = []sshcert.Host{"web-1.demo", "web-2.demo"}[s.Pick("host", 2)]
	}
	return t, nil
}

// revoke goes from person to person until somebody may, the operator being the
// last.
func (s *Story) revoke(l Ledger) error {
	t, err := s.target(l)
	if err != nil {
		return err
	}
	first := s.Pick("person", len(s.people))
	for i := range s.people {
		u := s.people[(first+i)%len(s.people)]
		_, err = l.Append(s.w.Revoke(l, u, s.w.Version, t))
		if !errors.Is(err, record.ErrNotRevoker) && !errors.Is(err, record.ErrClaimsOld) {
			return err
		}
	}
	_, err = l.Append(s.w.Revoke(l, nil, s.w.Version, t))
	return err
}

// lock locks somebody or, more often, unlocks whoever is.
func (s *Story) lock(l Ledger) error {
	i := slices.IndexFunc(s.people, func(u *User) bool {
		row, err := record.Person(l, u.Person)
		return err == nil && row.Lock.At != 0 && row.Lock.UnlockedAt == 0
	})
	if i >= 0 {
		_, err := l.Append(s.w.Unlock(l, s.people[i]))
		return err
	}
	if s.Pick("lock", 2) == 0 {
		return errNothing
	}
	_, err := l.Append(s.w.Lock(l, s.person()))
	return err
}

// GetIn is an episode in which somebody gets a certificate: by themselves, stories
// seldom come so far. Whoever is locked is unlocked first.
func (s *Story) GetIn(l Ledger) error {
	for i, groups := range [][]string{{"engineers"}, {"leads"}} {
		u := s.people[i]
		u.Groups, u.GroupsKnown = groups, true
		if row, err := record.Person(l, u.Person); err == nil && row.Lock.Holds() {
			if _, err := l.Append(s.w.Unlock(l, u)); err != nil {
				return err
			}
		}
		if err := s.w.LogIn(l, u); err != nil {
			return err
		}
	}
	a := s.w.Ask(l, s.people[0])
	if s.Pick("hosts", 2) == 0 {
		a.Doc.Hosts = append(a.Doc.Hosts, "web-2.demo")
	}
	a.Doc.Seconds = []int64{600, 60}[s.Pick("seconds", 2)]
	if _, err := l.Append(s.w.Submit(l, s.people[0], a)); err != nil {
		return err
	}
	r := s.w.Request(l, a.Doc.Request)
	if _, err := l.Append(s.w.Decide(l, s.people[1], r, approval.Approve, 0)); err != nil {
		return err
	}
	s.requests = append(s.requests, r.ID)
	f, err := s.w.Issue(l, s.people[0], s.w.Request(l, r.ID), s.w.Key())
	if err != nil {
		return err
	}
	if _, err := l.Append(Draft{Facts: f}); err != nil {
		return err
	}
	s.serials = append(s.serials, f.Serial)
	return nil
}

// Takes is a step that takes something away.
func (s *Story) Takes(l Ledger) error {
	switch s.Pick("takes", 4) {
	case 0:
		return s.void(l)
	case 1:
		return s.lock(l)
	}
	return s.revoke(l)
}
