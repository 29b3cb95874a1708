package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// kept is a Copy that a test can bend.
type kept struct {
	checkpoint []byte
	leaves     []CopyLeaf
	second     []CopyLeaf // what is read the second time; nil: the same
	reads      int
}

func (k *kept) copy() Copy {
	return Copy{Checkpoint: k.checkpoint, Leaves: func() iter.Seq2[CopyLeaf, error] {
		list := k.leaves
		if k.reads++; k.reads > 1 && k.second != nil {
			list = k.second
		}
		return func(yield func(CopyLeaf, error) bool) {
			for _, l := range list {
				if !yield(l, nil) {
					return
				}
			}
		}
	}}
}

// mirror copies the whole ledger with everything that it hides.
func (w *world) mirror() *kept {
	w.t.Helper()
	note, err := w.a.Checkpoint(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	k := &kept{checkpoint: note}
	err = w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		list, err := r.EntriesFrom(0, 10000)
		for _, e := range list {
			l := CopyLeaf{Index: e.Index, Text: e.Text, Opening: record.Opening{
				FactsSalt: e.Opening.FactsSalt, Facts: e.Opening.Facts, PersonSalt: e.Opening.PersonSalt, Person: e.Opening.Person,
			}}
			if e.Leaf.Kind == ledger.CertificateIssue {
				cert, err := r.SignedCertificate(ledger.Serial(e.Index))
				if err != nil && !isNotFound(err) {
					return err
				}
				l.Certificate = cert
			}
			k.leaves = append(k.leaves, l)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// lost is a world whose database was put back to an old backup, with the mark as it
// was last, and a copy of what was there.
type lost struct {
	*world
	backup  func() *store.Store // opens the backup anew
	copy    *kept
	size    int64 // of the backup
	rows    []string
	session store.Session
}

func newLost(t *testing.T) *lost {
	t.Helper()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	if _, err := alice.issue(alice.granted(bob, 0), newKey(t)); err != nil {
		t.Fatal(err)
	}
	l := &lost{world: w, size: w.size(), session: alice.session}
	n := 0
	saved := w.vacuum("backup.db")
	l.backup = func() *store.Store {
		t.Helper()
		n++
		return w.opened(saved(fmt.Sprintf("restored-%d.db", n)))
	}
	// What will be lost: somebody new, a grant with certificates, a void one, a denial.
	carol := w.logIn("carol", []string{"engineers"})
	grant := carol.granted(bob, 300)
	if _, err := carol.issue(grant, newKey(t)); err != nil {
		t.Fatal(err)
	}
	w.a.ca = watched{w.config.CA, func([]byte) error { return errBroken }}
	if _, err := carol.issue(grant, newKey(t)); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	w.a.ca = w.config.CA
	for range 300 { // more than a batch
		w.pass(time.Millisecond)
		w.logIn("dave", []string{"engineers"})
	}
	w.pass(time.Minute) // certificates are over
	l.copy = w.mirror()
	l.rows = w.stateRows(w.config.Store)
	return l
}

// stateRows is every row of the fold and every list entry, sorted.
func (w *world) stateRows(s *store.Store) []string {
	w.t.Helper()
	var out []string
	err := s.Read(w.t.Context(), func(r *store.Reader) error {
		return errors.Join(
			r.EachStateRow(func(row store.StateRow) error {
				out = append(out, fmt.Sprintf("%s %s %d %s", row.Key.Table, row.Key.ID, row.Leaf, row.Body))
				return nil
			}),
			r.EachIndexRow(func(row store.IndexRow) error {
				out = append(out, fmt.Sprintf("%s %s %s=%s %d", row.Key.Table, row.Key.ID, row.Name, row.Value, row.Leaf))
				return nil
			}))
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// opened opens a database beside the world's own.
func (w *world) opened(path string) *store.Store {
	w.t.Helper()
	engine, err := sqlite.Open(w.t.Context(), path)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := store.New(store.Config{Engine: engine, Now: w.clock, Rand: w.config.Rand})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() }) // may be closed by the test already
	return s
}

// adopt takes the copy up in a database.
func (l *lost) adopt(ctx context.Context, s *store.Store, k *kept) (Adopted, error) {
	c := l.config
	c.Store = s
	return Adopt(ctx, c, k.copy())
}

// entries are all leaves of a database with what they hide.
func entries(t *testing.T, s *store.Store) (out []store.Entry) {
	t.Helper()
	if err := s.Read(t.Context(), func(r *store.Reader) (err error) {
		out, err = r.EntriesFrom(0, 10000)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPromiseP11_ALostTailIsAdopted restores an old backup and gives it back what
// it lost: leaf for leaf, opening for opening, row for row, certificate for
// certificate. Signing goes on, and nobody who was logged in before is.
func TestPromiseP11_ALostTailIsAdopted(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	want := entries(t, l.config.Store)
	s := l.backup()
	c := l.config
	c.Store = s
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), "`sallyd ledger adopt`") {
		t.Fatalf("before: %v, want ErrHalted", err)
	}
	done, err := l.adopt(t.Context(), s, l.copy)
	if err != nil {
		t.Fatal(err)
	}
	if done.Had != l.size || done.Has != int64(len(want)) || done.Certificates != 1 {
		t.Errorf("it did %+v; the backup has %d leaves, the ledger %d", done, l.size, len(want))
	}
	have := entries(t, s)
	for i := range want {
		if h, w := have[i], want[i]; !bytes.Equal(h.Text, w.Text) || h.At != w.At || h.Opening.FactsSalt != w.Opening.FactsSalt || !bytes.Equal(h.Opening.Facts, w.Opening.Facts) ||
			h.Opening.PersonSalt != w.Opening.PersonSalt || !bytes.Equal(h.Opening.Person, w.Opening.Person) || h.Opening.PersonID != w.Opening.PersonID {
			t.Fatalf("leaf %d (%s) is not as it was", i, w.Leaf.Kind)
		}
	}
	if rows := l.stateRows(s); !slices.Equal(rows, l.rows) {
		t.Error("the rows are not what they were")
	}
	if err := s.Read(t.Context(), func(r *store.Reader) error {
		if n, err := r.CountSessions(store.CLI, 0); err != nil || n != 0 {
			t.Errorf("%d sessions of the backup are left, %v", n, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	again, err := l.adopt(t.Context(), s, l.copy)
	if err != nil || again.Had != again.Has || again.Certificates != 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
	if l.a, err = Open(t.Context(), c); err != nil {
		t.Fatalf("after it: %v", err)
	}
	l.config.Store = s
	carol, bob := l.logIn("carol", []string{"engineers"}), l.logIn("bob", []string{"leads"})
	if _, err := carol.issue(carol.granted(bob, 300), newKey(t)); err != nil {
		t.Errorf("issuing goes on: %v", err)
	}
	if carol.session.Person != personOf(t, want, "sub-carol") {
		t.Error("carol is another person now")
	}
}

// personOf finds the person of a subject among the logins.
func personOf(t *testing.T, list []store.Entry, subject string) any {
	t.Helper()
	for _, e := range list {
		if e.Leaf.Kind == ledger.PersonLogin && strings.Contains(string(e.Opening.Person), subject) {
			return e.Opening.PersonID
		}
	}
	t.Fatalf("no login of %s", subject)
	return nil
}

// TestPromiseP11_AdoptingCanBeInterrupted ends it in the middle: what is there then
// is a beginning of the same ledger that nobody signs over, and the next time goes
// on from there.
func TestPromiseP11_AdoptingCanBeInterrupted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		mark bool // the backup's own mark was put back with it
	}{{"with the newest mark", false}, {"with the backup's mark", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			interrupted(t, tt.mark)
		})
	}
}

func interrupted(t *testing.T, older bool) {
	t.Helper()
	l := newLost(t)
	s := l.backup()
	if older {
		mark := &memoryMark{}
		mark.set(l.signedAt(t, l.size))
		l.config.Mark = mark
	}
	ctx, cancel := context.WithCancel(t.Context())
	broken := *l.copy
	k := Copy{Checkpoint: broken.checkpoint, Leaves: func() iter.Seq2[CopyLeaf, error] {
		broken.reads++
		second := broken.reads > 1
		return func(yield func(CopyLeaf, error) bool) {
			for i, leaf := range broken.leaves {
				if second && int64(i) == l.size+adoptBatch+3 {
					cancel()
				}
				if !yield(leaf, nil) {
					return
				}
			}
		}
	}}
	c := l.config
	c.Store = s
	if _, err := Adopt(ctx, c, k); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if have := len(entries(t, s)); int64(have) != l.size+adoptBatch {
		t.Fatalf("%d leaves after one batch on %d", have, l.size)
	}
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrHalted) {
		t.Errorf("half of it: %v, want ErrHalted", err)
	}
	if _, err := l.adopt(t.Context(), s, l.copy); err != nil {
		t.Fatal(err)
	}
	if rows := l.stateRows(s); !slices.Equal(rows, l.rows) {
		t.Error("the rows are not what they were")
	}
}

// TestPromiseP11_OnlyTheLedgerIsAdopted bends the copy in every way: nothing of it
// is written, and the refusal says what is wrong.
func TestPromiseP11_OnlyTheLedgerIsAdopted(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	at := func(kind ledger.Kind) int64 {
		for _, leaf := range l.copy.leaves[l.size:] {
			if parsed, err := ledger.ParseLeaf(leaf.Text); err == nil && parsed.Kind == kind {
				return leaf.Index
			}
		}
		t.Fatalf("no %s was lost", kind)
		return 0
	}
	login, decide, issue := at(ledger.PersonLogin), at(ledger.RequestDecide), at(ledger.CertificateIssue)
	for _, tt := range []struct {
		name string
		bend func(k *kept)
		want error
		text string
	}{
		{"too short", func(k *kept) {
			k.checkpoint, k.leaves = l.signedAt(t, l.size+2), k.leaves[:l.size+2]
		}, ErrCopy, "find a newer one"},
		{"without the last leaf", func(k *kept) { k.leaves = k.leaves[:len(k.leaves)-1] }, ErrCopy, "its checkpoint signs"},
		{"a leaf twice", func(k *kept) { k.leaves = slices.Insert(k.leaves, int(login), k.leaves[login]) }, ErrCopy, "belongs"},
		{"another leaf", func(k *kept) { k.leaves[login].Text = k.leaves[login+1].Text }, record.ErrOpening, ""},
		{"other facts", func(k *kept) {
			k.leaves[decide].Opening.Facts = bytes.Replace(k.leaves[decide].Opening.Facts, []byte("approve"), []byte("deny"), 1)
		}, record.ErrOpening, ""},
		{"another salt", func(k *kept) { k.leaves[decide].Opening.FactsSalt[0]++ }, record.ErrOpening, ""},
		{"another person part", func(k *kept) {
			k.leaves[login].Opening.Person = bytes.Replace(k.leaves[login].Opening.Person, []byte("carol"), []byte("mallo"), 1)
		}, record.ErrOpening, ""},
		{"closed facts", func(k *kept) { k.leaves[decide].Opening = record.Opening{} }, ErrCopy, fmt.Sprintf("it does not show the facts of leaf %d (request.decide)", decide)},
		{"a closed person part", func(k *kept) { k.leaves[login].Opening.Person = nil }, ErrCopy, fmt.Sprintf("the person part of leaf %d (person.login)", login)},
		{"another certificate", func(k *kept) { k.leaves[issue].Certificate = k.leaves[l.issued(t)].Certificate }, ErrCopy, "its certificate is the one of leaf"},
		{"a broken certificate", func(k *kept) {
			k.leaves[issue].Certificate = bytes.Clone(k.leaves[issue].Certificate)
			k.leaves[issue].Certificate[len(k.leaves[issue].Certificate)-1]++
		}, nil, "its certificate"},
		{"a checkpoint of nobody", func(k *kept) {
			k.checkpoint = bytes.Replace(k.checkpoint, []byte(testOrigin), []byte("other.example"), 1)
		}, nil, "the copy's checkpoint"},
		{"another one the second time", func(k *kept) {
			k.second = slices.Clone(k.leaves)
			k.second[login].Text = k.leaves[login+1].Text
			k.second[login].Opening = k.leaves[login+1].Opening
		}, ErrCopy, "changed while it was read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := l.backup()
			k := &kept{checkpoint: l.copy.checkpoint, leaves: slices.Clone(l.copy.leaves)}
			tt.bend(k)
			_, err := l.adopt(t.Context(), s, k)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v, want %v with %q", err, tt.want, tt.text)
			}
			if have := len(entries(t, s)); int64(have) != l.size {
				t.Errorf("%d leaves were written", int64(have)-l.size)
			}
		})
	}
}

// issued is the index of a certificate that the backup has.
func (l *lost) issued(t *testing.T) int64 {
	t.Helper()
	for _, leaf := range l.copy.leaves[:l.size] {
		if leaf.Certificate != nil {
			return leaf.Index
		}
	}
	t.Fatal("the backup has no certificate")
	return 0
}

// signedAt is what the log signs over the first leaves.
func (l *lost) signedAt(t *testing.T, size int64) []byte {
	t.Helper()
	var tree ledger.Tree
	for _, leaf := range l.copy.leaves[:size] {
		parsed, err := ledger.ParseLeaf(leaf.Text)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := parsed.Hash()
		if err != nil {
			t.Fatal(err)
		}
		if tree, _, err = tree.Append(hash); err != nil {
			t.Fatal(err)
		}
	}
	return l.sign(t, l.config.Log, tree)
}

func (*lost) sign(t *testing.T, log *ledger.LogSigner, tree ledger.Tree) []byte {
	t.Helper()
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	note, err := log.Sign(ledger.Checkpoint{Origin: log.Origin(), Size: tree.Size, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return note
}
