package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func testEmpty(t *testing.T, f *fixture) {
	head := f.head()
	if root := tlog.Hash(sha256.Sum256(nil)).String(); head.Tree.Size != 0 || head.At != 0 || f.root(head) != root {
		t.Errorf("head of size %d at %d with root %s", head.Tree.Size, head.At, f.root(head))
	}
	if n := len(f.entries()); n != 0 {
		t.Errorf("%d entries", n)
	}
	f.mustRead(func(r *store.Reader) error {
		_, err := r.Entry(0)
		wants(t, "entry", err, record.ErrNotFound)
		_, err = r.LeafIndex(canon.Sum("x"))
		wants(t, "leaf index", err, record.ErrNotFound)
		_, err = r.Row(record.TableLog, "log")
		wants(t, "row", err, record.ErrNotFound)
		_, err = r.Version(canon.Sum("x"))
		wants(t, "version", err, record.ErrNotFound)
		_, err = r.PersonPart("x", ledger.PersonLogin)
		wants(t, "person part", err, record.ErrNotFound)
		_, _, _, err = r.Checkpoint()
		wants(t, "checkpoint", err, record.ErrNotFound)
		_, err = r.SignedCertificate(1)
		wants(t, "certificate", err, record.ErrNotFound)
		_, err = r.NewestCertificate("x", canon.Sum("x"))
		wants(t, "newest certificate", err, record.ErrNotFound)
		_, _, err = r.Session(canon.Sum("x"), store.CLI, 1)
		wants(t, "session", err, store.ErrNoSession)
		rows, err := r.List(record.TableHost, "all", "", 10)
		if err != nil || len(rows) != 0 {
			t.Errorf("list: %d rows, %v", len(rows), err)
		}
		return nil
	})
	// An empty ledger takes leaf 0 and nothing else.
	f.unchanged(func() {
		err := f.write(func(l Ledger) error { return l.facts(f.w.Propose(l, f.w.Version)) })
		wants(t, "a contract as leaf 0", err, record.ErrEvent)
	})
}

// testAppend holds each leaf to its bytes, its place and its opening.
func testAppend(t *testing.T, f *fixture) {
	f.setup()
	all := f.entries()
	if head := f.head(); head.Tree.Size != int64(len(all)) || head.At != recordtest.Start() {
		t.Fatalf("head of size %d at %d with %d entries", head.Tree.Size, head.At, len(all))
	}
	for i, e := range all {
		index := int64(len(all) - 1 - i)
		text, err := e.Leaf.Marshal()
		if err != nil || string(text) != string(e.Text) || e.Index != index || e.At != recordtest.Start() {
			t.Errorf("entry %d has index %d, time %d, text %q, %v", index, e.Index, e.At, e.Text, err)
		}
		if ledger.FactsCommitment(e.Opening.FactsSalt, e.Opening.Facts) != e.Leaf.Facts || e.Opening.FactsSalt.IsZero() {
			t.Errorf("entry %d: the facts do not open it", index)
		}
		facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		if err != nil || facts.When() != e.At || facts.Reference() != e.Leaf.Reference || facts.InLineage() != e.Leaf.Lineage {
			t.Errorf("entry %d: %s facts %+v, %v", index, e.Leaf.Kind, facts, err)
		}
		if e.Leaf.Person.IsZero() != (e.Opening.Person == nil) {
			t.Errorf("entry %d: a person part of %d bytes", index, len(e.Opening.Person))
		}
		if e.Opening.Person != nil {
			if ledger.PersonCommitment(e.Opening.PersonSalt, e.Opening.Person) != e.Leaf.Person || e.Opening.PersonSalt == e.Opening.FactsSalt {
				t.Errorf("entry %d: the person part does not open it, or has the facts' salt", index)
			}
		}
		f.mustRead(func(r *store.Reader) error {
			hash := canon.Digest(tlog.RecordHash(e.Text))
			if got, err := r.LeafIndex(hash); got != index {
				t.Errorf("leaf index of %s is %d, %v", hash, got, err)
			}
			one, err := r.Entry(index)
			if string(one.Text) != string(e.Text) || string(one.Opening.Facts) != string(e.Opening.Facts) || one.Opening.PersonID != e.Opening.PersonID {
				t.Errorf("entry %d read alone differs (%v)", index, err)
			}
			return nil
		})
	}
	f.mustRead(func(r *store.Reader) error {
		some, err := r.Entries(5, 2)
		if err != nil || len(some) != 2 || some[0].Index != 4 || some[1].Index != 3 {
			t.Errorf("two entries below 5: %d, %v", len(some), err)
		}
		host, err := record.Host(r, "web-1.demo")
		if err != nil || host.Name != "web-1.demo" || host.Port != 22 {
			t.Errorf("host row %+v, %v", host, err)
		}
		return nil
	})
}

// testLists holds lists to their order and to rows that move between them.
func testLists(t *testing.T, f *fixture) {
	f.setup()
	var first, second approval.Request
	f.mustWrite(func(l Ledger) error {
		for _, r := range []*approval.Request{&first, &second} {
			ask := f.w.Ask(l, f.w.Alice)
			if _, err := l.Append(f.w.Submit(l, f.w.Alice, ask)); err != nil {
				return err
			}
			*r = f.w.Request(l, ask.Doc.Request)
		}
		_, err := l.Append(f.w.Decide(l, f.w.Bob, first, approval.Approve, 0))
		return err
	})
	oldest := func(table record.Table, name, value string, limit int) (ids string) {
		f.mustRead(func(r *store.Reader) error {
			rows, err := r.Oldest(table, name, value, limit)
			var h record.HostRow
			for _, row := range rows {
				err = errors.Join(err, canon.Unmarshal(row, &h))
				ids += string(h.Name) + " "
			}
			return err
		})
		return ids
	}
	f.mustRead(func(r *store.Reader) error {
		leaf, err := r.Writer(record.TableHost, "web-2.demo")
		if err != nil {
			return err
		}
		e, err := r.Entry(leaf)
		if err != nil || e.Leaf.Kind != ledger.HostJoin || !strings.Contains(string(e.Opening.Facts), `"name":"web-2.demo"`) {
			t.Errorf("host web-2.demo was written by %+v, %v", e, err)
		}
		if leaf, err = r.Writer(record.TableRequest, string(first.ID)); err != nil {
			return err
		}
		if e, err := r.Entry(leaf); err != nil || e.Leaf.Kind != ledger.RequestDecide {
			t.Errorf("a request was written last by %+v, %v", e, err)
		}
		_, err = r.Writer(record.TableHost, "web-9.demo")
		wants(t, "a row that there is none of", err, record.ErrNotFound)
		return testWriters(t, f, r)
	})
	list := func(table record.Table, name, value string, limit int) string {
		var ids []string
		f.mustRead(func(r *store.Reader) error {
			rows, err := r.List(table, name, value, limit)
			for _, row := range rows {
				var q approval.Request
				var h record.HostRow
				if table == record.TableHost {
					err = errors.Join(err, canon.Unmarshal(row, &h))
					ids = append(ids, string(h.Name))
				} else {
					err = errors.Join(err, canon.Unmarshal(row, &q))
					ids = append(ids, string(q.ID))
				}
			}
			return err
		})
		return strings.Join(ids, " ")
	}
	newestFirst := string(second.ID) + " " + string(first.ID)
	for _, tt := range []struct {
		name string
		got  string
		want string
	}{
		{"hosts, newest first", list(record.TableHost, "all", "", 10), "web-2.demo web-1.demo"},
		{"hosts of the lineage", list(record.TableHost, "lineage", f.w.Version.Lineage().String(), 10), "web-2.demo web-1.demo"},
		{"hosts of another lineage", list(record.TableHost, "lineage", f.w.Other.Lineage().String(), 10), ""},
		{"limited", list(record.TableHost, "all", "", 1), "web-2.demo"},
		{"oldest first", oldest(record.TableHost, "all", "", 10), "web-1.demo web-2.demo "},
		{"oldest first, limited", oldest(record.TableHost, "all", "", 1), "web-1.demo "},
		// The first request was touched last and still stands where it began.
		{"of a requester", list(record.TableRequest, "by", string(f.w.Alice.Person), 10), newestFirst},
		{"of nobody", list(record.TableRequest, "by", string(f.w.Bob.Person), 10), ""},
		{"pending", list(record.TableRequest, "state", "pending", 10), string(second.ID)},
		{"granted", list(record.TableRequest, "state", "granted", 10), string(first.ID)},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// testWriters compares the ways from a row or a kind to leaves.
func testWriters(t *testing.T, f *fixture, r *store.Reader) error {
	proposed, err := r.First(record.TableContract, f.w.Version.Digest.String())
	if err != nil {
		return err
	}
	if e, err := r.Entry(proposed); err != nil || e.Leaf.Kind != ledger.ContractPropose {
		t.Errorf("a contract was written first by %+v, %v", e, err)
	}
	_, err = r.First(record.TableContract, "x")
	wants(t, "the first leaf of no row", err, record.ErrNotFound)
	head, err := r.Head()
	if err != nil {
		return err
	}
	hosts, err := r.Since(0, ledger.HostJoin, ledger.LedgerOpen)
	if err != nil || len(hosts) != 3 || hosts[0].Index != 0 || hosts[1].Index >= hosts[2].Index {
		t.Errorf("leaves of two kinds: %+v, %v", hosts, err)
		return err
	}
	if some, err := r.Since(hosts[2].Index, ledger.HostJoin); err != nil || len(some) != 1 {
		t.Errorf("from the newest on: %+v, %v", some, err)
	}
	if page, err := r.SincePage(0, 2, ledger.HostJoin, ledger.LedgerOpen); err != nil || len(page) != 2 || page[1].Index != hosts[1].Index {
		t.Errorf("the first two: %+v, %v", page, err)
	}
	if none, err := r.Since(head.Tree.Size, ledger.HostJoin); err != nil || len(none) != 0 {
		t.Errorf("from the end on: %+v, %v", none, err)
	}
	firsts, err := r.Firsts(record.TableHost, "all", "", hosts[2].Index+1, 1)
	if err != nil || len(firsts) != 1 || firsts[0] != hosts[2].Index {
		t.Errorf("the newest host was written by %v, %v", firsts, err)
	}
	if firsts, err = r.Firsts(record.TableHost, "all", "", hosts[2].Index, 10); err != nil || len(firsts) != 1 || firsts[0] != hosts[1].Index {
		t.Errorf("hosts before it by %v, %v", firsts, err)
	}
	keys, err := r.Keys(record.TableHost, record.Index{Name: "all"})
	if err != nil || !slices.Equal(keys, []string{"web-1.demo", "web-2.demo"}) {
		t.Errorf("the hosts are listed as %q, %v", keys, err)
	}
	if keys, err = r.Keys(record.TableHost, record.Index{Name: "all", Value: "x"}); err != nil || len(keys) != 0 {
		t.Errorf("under another value: %q, %v", keys, err)
	}
	decided, err := r.Firsts(record.TableDecision, "by", string(f.w.Bob.Person), head.Tree.Size, 10)
	if err != nil || len(decided) != 1 {
		t.Fatalf("bob's decisions are written by %v, %v", decided, err)
	}
	if e, err := r.Entry(decided[0]); err != nil || e.Leaf.Kind != ledger.RequestDecide {
		t.Errorf("bob's decision was written by %+v, %v", e, err)
	}
	stored, err := r.Stored(hosts[1].Index, 2)
	if err != nil || len(stored) != 2 || stored[0].Index != hosts[1].Index || stored[0].Kind != string(ledger.HostJoin) ||
		string(stored[0].Text) != string(hosts[1].Text) || stored[0].Hash != canon.Digest(tlog.RecordHash(hosts[1].Text)) {
		t.Errorf("stored are %+v, %v", stored, err)
	}
	return nil
}

func testPersonParts(t *testing.T, f *fixture) {
	f.setup()
	f.pass(time.Minute)
	again := *f.w.Alice
	again.Name = "alicia"
	f.mustWrite(func(l Ledger) error { return f.w.LogIn(l, &again) })
	f.mustRead(func(r *store.Reader) error {
		part, err := r.PersonPart(f.w.Alice.Person, ledger.PersonLogin)
		if login, ok := part.(record.LoginPerson); !ok || login.Name != "Alicia" {
			t.Errorf("the newest login is of %+v, %v", part, err)
		}
		_, err = r.PersonPart(f.w.Alice.Person, ledger.RequestSubmit)
		wants(t, "a kind that there is none of", err, record.ErrNotFound)
		_, err = r.PersonPart(f.w.ID(), ledger.PersonLogin)
		wants(t, "a person that there is none of", err, record.ErrNotFound)
		return nil
	})
}

// testRoot appends random batches to one ledger and compares each head with the
// tree over all leaf hashes, computed by the library alone.
func testRoot(t *testing.T, f *fixture) {
	f.setup()
	var reference hashes
	for _, e := range slices.Backward(f.entries()) {
		reference.add(t, e.Text)
	}
	n := 2 // hosts so far
	rapid.Check(t, func(rt *rapid.T) {
		batch := rapid.IntRange(0, 9).Draw(rt, "batch")
		var texts [][]byte
		err := f.write(func(l Ledger) error {
			texts = nil
			for range batch {
				n++
				a, err := l.Tx.Append(store.Draft{Facts: f.w.Join(l, sshcert.Host(fmt.Sprintf("web-%d.demo", n)), "demo")})
				if err != nil {
					return err
				}
				text, err := a.Leaf.Marshal()
				if err != nil {
					return err
				}
				texts = append(texts, text)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		for _, text := range texts {
			reference.add(t, text)
		}
		head := f.head()
		want, err := tlog.TreeHash(reference.size, &reference)
		if err != nil {
			rt.Fatal(err)
		}
		if head.Tree.Size != reference.size || f.root(head) != want.String() {
			rt.Fatalf("root %s at size %d, want %s at %d", f.root(head), head.Tree.Size, want, reference.size)
		}
		f.mustRead(func(r *store.Reader) error {
			stored, err := tlog.TreeHash(reference.size, r)
			if stored != want {
				rt.Fatalf("the stored hashes give root %s, want %s (%v)", stored, want, err)
			}
			return nil
		})
	})
}

// hashes is a tree kept by the library, to compare with.
type hashes struct {
	size   int64
	stored []tlog.Hash
}

func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h.stored[x]
	}
	return out, nil
}

func (h *hashes) root(t *testing.T) string {
	t.Helper()
	root, err := tlog.TreeHash(h.size, h)
	if err != nil {
		t.Fatal(err)
	}
	return root.String()
}

func (h *hashes) add(t *testing.T, leaf []byte) {
	t.Helper()
	more, err := tlog.StoredHashes(h.size, leaf, h)
	if err != nil {
		t.Fatal(err)
	}
	h.stored = append(h.stored, more...)
	h.size++
}

func testReadHashes(t *testing.T, f *fixture) {
	f.setup()
	var reference hashes
	for _, e := range slices.Backward(f.entries()) {
		reference.add(t, e.Text)
	}
	f.mustRead(func(r *store.Reader) error {
		for _, ask := range [][]int64{{0}, {5, 3, 4}, {2, 2, 7, 2}, {int64(len(reference.stored)) - 1, 0}} {
			got, err := r.ReadHashes(ask)
			want, _ := reference.ReadHashes(ask)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("hashes %v are %v, %v; want %v", ask, got, err, want)
			}
		}
		if got, err := r.ReadHashes(nil); err != nil || len(got) != 0 {
			t.Errorf("no hashes: %v, %v", got, err)
		}
		for _, ask := range [][]int64{{int64(len(reference.stored))}, {0, -1}, {0, 1 << 40, 0}} {
			got, err := r.ReadHashes(ask)
			if !errors.Is(err, ledger.ErrTree) {
				t.Errorf("missing hashes %v: %v, %v, want ErrTree", ask, got, err)
			}
		}
		return nil
	})
}
