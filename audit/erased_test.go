package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// aged is the whole story, more than a year later.
func aged(t *testing.T) told {
	t.Helper()
	b, _ := youngStory(t, func(told) {})
	b.pass(366 * 24 * time.Hour)
	return b
}

// without takes the person parts out that an erasure of people destroys.
func without(b told, entries []audit.Entry, people ...canon.ID) []audit.Entry {
	b.t.Helper()
	entries = slices.Clone(entries)
	for i, e := range b.m.Entries {
		if e.Person == nil {
			continue
		}
		who, err := record.About(b.m, e.Draft.Facts)
		must(b.t, err)
		if slices.ContainsFunc(who, func(id canon.ID) bool { return slices.Contains(people, id) }) {
			entries[i].Opening.Person, entries[i].Opening.PersonSalt = nil, ledger.Salt{}
		}
	}
	return entries
}

// unseen is without what a person's logins hide, also those that the fold refuses.
func unseen(entries []audit.Entry, person canon.ID) []audit.Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		if strings.HasPrefix(string(e.Text), "sallyport.ledger/v1\nperson.login\n") && strings.Contains(string(e.Opening.Facts), string(person)) {
			entries[i].Opening.Person, entries[i].Opening.PersonSalt = nil, ledger.Salt{}
		}
	}
	return entries
}

// A certificate of somebody who was erased is what it was before, and says so.
func TestPromiseP13_ErasedPeopleFailNothing(t *testing.T) {
	t.Parallel()
	b := aged(t)
	all := b.entries()
	before := b.verify(t, b.bundle(all))
	b.append(recordtest.Draft{Facts: b.w.Erase(b.m, b.w.Chris, b.w.Dana, b.w.Alice)})
	leaf, entries := b.m.Next()-1, b.entries()
	after := b.verify(t, b.bundle(entries), func(c *audit.Config) { c.Parts = func(uint64) bool { return true } })
	if !before.OK() || !after.OK() || after.NoPerson != before.NoPerson || len(after.Certificates) != len(before.Certificates) {
		t.Fatalf("before %+v\nafter %+v", before, after)
	}
	hidden := int64(0)
	for i, e := range all {
		if e.Opening.Person != nil && entries[i].Opening.Person == nil {
			hidden++
		}
	}
	if after.Erased != hidden || hidden < 5 {
		t.Errorf("%d person parts are erased, the report says %d", hidden, after.Erased)
	}
	for i, c := range after.Certificates {
		was := before.Certificates[i]
		if c.Verdict != was.Verdict || c.Erased != leaf || was.Erased != 0 {
			t.Errorf("certificate %d: %s, erased by leaf %d; it was %s", c.Serial, c.Verdict, c.Erased, was.Verdict)
		}
		if c.Void == 0 && !strings.Contains(c.Parts[1].By, "who that was is erased by leaf ") {
			t.Errorf("certificate %d: %s", c.Serial, c.Parts[1].By)
		}
	}
	// What nobody erased is told apart: Bob's login is only not shown.
	other := b.verify(t, b.bundle(without(b, entries, b.w.Bob.Person)))
	if other.OK() || other.Erased != after.Erased || other.NoPerson <= after.NoPerson {
		t.Errorf("not shown: %d and erased %d, OK %t", other.NoPerson, other.Erased, other.OK())
	}
}

// Whoever leaves out who somebody was could have two people be one: what rests on
// such a login is unknown, and passes only for those who say that they accept it.
func TestPromiseP12_HiddenPeopleAreUnknown(t *testing.T) {
	t.Parallel()
	b, _ := youngStory(t, func(told) {})
	must(t, b.w.LogIn(b.m, b.w.Alice))
	f := b.forger()
	r := f.asked()
	mallory := b.w.User("mallory", b.w.Bob.Groups...)
	mallory.Subject = b.w.Alice.Subject // Alice's own account, as another person
	login := b.w.Login(b.m, mallory)
	at := f.force(login)
	mallory.Claims = record.Claims{
		Login: at, Snapshot: f.force(recordtest.Draft{Facts: b.w.Snapshot(b.m, mallory, at)}), ClaimsAt: login.Facts.(record.PersonLogin).ClaimsAt,
	}
	leaf := f.decided(mallory, r, approval.Approve)
	f.issued(b.w.Alice, r, f.grant(r), leaf)
	waive := func(names ...string) func(*audit.Config) {
		return func(c *audit.Config) {
			var err error
			c.Waive, err = audit.ParseWaivers(names)
			must(t, err)
		}
	}
	for _, tt := range []struct {
		name    string
		entries []audit.Entry
		config  func(*audit.Config)
		want    audit.Verdict
		ok      bool
	}{
		{"everything is shown", f.entries, waive(), audit.Unjustified, false},
		{"everything is shown and much accepted", f.entries, waive(audit.WaivePeople), audit.Unjustified, false},
		{"the one of them is not", without(b, f.entries, b.w.Alice.Person), waive(), audit.Unknown, false},
		{"the other is not", unseen(f.entries, mallory.Person), waive(), audit.Unknown, false},
		{"the one of them is not, accepted", without(b, f.entries, b.w.Alice.Person), waive(audit.WaivePeople), audit.Unknown, true},
	} {
		report := b.verify(t, b.bundle(tt.entries), tt.config)
		c := report.Certificates[len(report.Certificates)-1]
		if c.Verdict != tt.want || report.OK() != tt.ok || tt.want == audit.Unknown && !strings.Contains(c.Rule, "is not shown, so two people may have been one") {
			t.Errorf("%s: %s (%s), OK %t", tt.name, c.Verdict, c.Rule, report.OK())
		}
	}
	// Once somebody is erased, as two people sign for, nobody can know any more.
	b.pass(367 * 24 * time.Hour)
	f.force(recordtest.Draft{Facts: b.w.Erase(b.m, b.w.Chris, b.w.Dana, b.w.Alice)})
	report := b.verify(t, b.bundle(without(b, f.entries, b.w.Alice.Person)))
	if c := report.Certificates[len(report.Certificates)-1]; c.Verdict != audit.Attested || c.Erased == 0 {
		t.Errorf("after the erasure: %s (%s), erased by %d", c.Verdict, c.Rule, c.Erased)
	}
}

// Who is erased and still readable in a bundle, was not erased.
func TestPromiseP13_WhatWasErasedIsGone(t *testing.T) {
	t.Parallel()
	b := aged(t)
	kept := b.entries()
	b.append(recordtest.Draft{Facts: b.w.Erase(b.m, b.w.Chris, b.w.Dana, b.w.Alice)})
	entries := b.entries()
	for i := range kept {
		entries[i].Opening = kept[i].Opening
	}
	r := b.verify(t, b.bundle(entries))
	if r.OK() || !strings.Contains(r.Findings[0].Rule, "was erased by leaf") || r.Findings[0].CauseKind != string(ledger.PersonErase) || r.Findings[0].Cause != b.m.Next()-1 {
		t.Errorf("%+v", r.Findings)
	}
}

// An erase leaf that may not be is named, and erases nothing.
func TestPromiseP13_ForgedErasuresAreNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		young bool // before retention is over
		bend  func(b told, f *record.PersonErase)
		rule  string
	}{
		"one signature":        {bend: func(_ told, f *record.PersonErase) { f.Signatures = f.Signatures[:1] }, rule: "needs two people"},
		"a wrong signer":       {bend: func(b told, f *record.PersonErase) { resign(b, f, b.w.Chris, b.w.Alice.Device) }, rule: "not a signatory"},
		"one human twice":      {bend: func(b told, f *record.PersonErase) { f.Signatures = append(f.Signatures[:1], f.Signatures[0]) }, rule: "each once"},
		"too early":            {young: true, rule: "too early to erase"},
		"for another person":   {bend: func(b told, f *record.PersonErase) { f.People = []canon.ID{b.w.Bob.Person} }, rule: "signed for others"},
		"too late":             {bend: func(b told, f *record.PersonErase) { f.At += canon.Micros((25 * time.Hour).Microseconds()) }, rule: "expired"},
		"somebody else's word": {bend: func(b told, f *record.PersonErase) { resign(b, f, b.key(), b.key()) }, rule: "not a signatory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := youngStory(t, func(told) {})
			if !tt.young {
				b.pass(366 * 24 * time.Hour)
			}
			f := b.forger()
			erase := b.w.Erase(b.m, b.w.Chris, b.w.Dana, b.w.Alice)
			if tt.bend != nil {
				tt.bend(b, &erase)
			}
			f.force(recordtest.Draft{Facts: erase})
			r := b.verify(t, b.bundle(without(b, f.entries, b.w.Alice.Person)))
			if len(r.Findings) != 1 || r.Findings[0].Leaf != f.next()-1 || !strings.Contains(r.Findings[0].Rule, tt.rule) || r.Erased != 0 || r.NoPerson == 0 {
				t.Errorf("%+v, %d erased", r.Findings, r.Erased)
			}
			for _, c := range r.Certificates {
				if c.Erased != 0 || c.Verdict == audit.Unjustified {
					t.Errorf("certificate %d: %s, erased by %d", c.Serial, c.Verdict, c.Erased)
				}
			}
		})
	}
}

func resign(b told, f *record.PersonErase, signers ...ssh.Signer) {
	f.Signatures = nil
	for _, s := range signers {
		f.Signatures = append(f.Signatures, b.w.Signature(s, sshcert.NamespaceErase, f.Document))
	}
	slices.Sort(f.Signatures)
}

// With closed leaves nobody can tell whether an erasure was right.
func TestPromiseP13_ErasuresBehindClosedLeavesAreUnknown(t *testing.T) {
	t.Parallel()
	b := aged(t)
	b.append(recordtest.Draft{Facts: b.w.Erase(b.m, b.w.Chris, b.w.Dana, b.w.Bob, b.w.Carol)})
	entries := b.entries()
	for i, e := range b.m.Entries {
		if e.Leaf.Kind == ledger.PersonLink {
			entries[i].Opening = record.Opening{}
		}
	}
	r := b.verify(t, b.bundle(entries))
	for _, f := range r.Findings {
		t.Errorf("leaf %d: %s", f.Leaf, f.Rule)
	}
	if r.Erased != 0 {
		t.Errorf("%d are erased by a leaf that nobody can judge", r.Erased)
	}
}
