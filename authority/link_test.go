package authority

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

func TestLinkPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, carol := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"}), w.logIn("carol", []string{"leads"})
	q, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	a, b := alice.session.Person, bob.session.Person
	for _, tt := range []struct {
		name       string
		one, other canon.ID
		because    string
		want       error
	}{
		{"no reason", a, b, " ", ErrField},
		{"a reason with an override mark", a, b, "a\u202eb", ErrField},
		{"a reason that is too long", a, b, strings.Repeat("x", MaxText+1), ErrField},
		{"one person twice", a, a, "why", ErrField},
		{"nobody", a, "mzxw6ytboi2dqmrvgm4tanrwge", "why", record.ErrNotFound},
	} {
		if _, err := w.a.LinkPeople(t.Context(), tt.one, tt.other, tt.because); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if w.size() != size {
		t.Errorf("%d leaves were added", w.size()-size)
	}
	all, err := w.a.LinkPeople(t.Context(), b, a, " one badge, two accounts ")
	if err != nil || len(all) != 2 || !slices.Contains(all, a) || !slices.Contains(all, b) || !slices.IsSorted(all) {
		t.Fatalf("%v, %v", all, err)
	}
	if _, err := w.a.LinkPeople(t.Context(), a, b, "again"); !errors.Is(err, record.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if _, err := bob.decide(q, approval.Approve, 0); !errors.Is(err, approval.ErrSelfApproval) {
		t.Errorf("the other account decides: %v", err)
	}
	if _, err := carol.decide(q, approval.Approve, 0); err != nil {
		t.Errorf("somebody else decides: %v", err)
	}
	if _, err := alice.issue(q, newKey(t)); err != nil {
		t.Errorf("and the certificate: %v", err)
	}
}
