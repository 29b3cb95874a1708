package authority

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

type reader = store.Reader

// listed reads the serials in the newest list.
func (w *world) listed() []uint64 {
	w.t.Helper()
	list, err := w.a.Revocations(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return serialsOf(w.t, list, w.config.CA.PublicKey())
}

func serialsOf(t interface {
	Helper()
	Fatalf(string, ...any)
}, list RevocationList, ca ssh.PublicKey,
) []uint64 {
	t.Helper()
	l, err := krl.Parse(list.KRL)
	if err != nil {
		t.Fatalf("the list: %v", err)
	}
	if l.Number != uint64(list.Number) || len(l.Issued) > 1 || len(l.Keys)+len(l.Hashes) > 0 {
		t.Fatalf("the list is %+v, of number %d", l, list.Number)
	}
	var out []uint64
	for _, i := range l.Issued {
		if string(i.CA.Marshal()) != string(ca.Marshal()) {
			t.Fatalf("it is about certificates by another key")
		}
		for _, r := range i.Serials {
			for s := r.First; s <= r.Last; s++ {
				out = append(out, s)
			}
		}
	}
	return out
}

// In a random story the list has exactly the serials that a plain map has: every one
// that was taken away and is not over, at the time of the leaf that its number names.
// It is the same whether it was made leaf by leaf or at a start, and its number never
// falls.
func TestPromiseP09_ListModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stories := 0
	rapid.Check(t, func(rt *rapid.T) {
		stories++
		w := recordtest.New(rt, fmt.Sprint(rapid.Uint64().Draw(rt, "seed")))
		clock := recordtest.Start().Time()
		engine, err := sqlite.Open(t.Context(), filepath.Join(dir, fmt.Sprint(stories)))
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = engine.Close() }()
		s, err := store.New(store.Config{Engine: engine, Now: func() time.Time { return clock }, Rand: w.Rand()})
		if err != nil {
			rt.Fatal(err)
		}
		must := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		must(s.Write(t.Context(), func(tx *store.Tx) error { w.Setup(storetest.Ledger{Tx: tx}); return nil }))
		dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "dice"), 1)) // rapid's own numbers are mostly small, and revoking stands last
		story := w.NewStory(func(_ string, n int) int { return dice.IntN(n) })
		m := listModel{ends: make(map[uint64]canon.Micros), gone: make(map[uint64]bool)}
		var running revocations
		for range rapid.IntRange(20, 60).Draw(rt, "steps") {
			clock = clock.Add(time.Microsecond + time.Duration(dice.IntN(60))*time.Second)
			_ = s.Write(t.Context(), func(tx *store.Tx) error {
				switch l := (storetest.Ledger{Tx: tx}); dice.IntN(3) {
				case 0:
					return story.GetIn(l)
				case 1:
					return story.Takes(l)
				default:
					return story.Step(l)
				}
			})
			must(s.Read(t.Context(), func(r *store.Reader) error {
				if err := m.read(r); err != nil {
					return err
				}
				if rapid.IntRange(0, 2).Draw(rt, "nobody asks") == 0 {
					return nil
				}
				had := running.list.Number
				if err := running.catchUp(r, w.CA.PublicKey()); err != nil {
					return err
				}
				var fresh revocations
				if err := fresh.catchUp(r, w.CA.PublicKey()); err != nil {
					return err
				}
				if running.list.Number < had || running.list.Number != m.number || fresh.list.Number != m.number || string(fresh.list.KRL) != string(running.list.KRL) {
					rt.Fatalf("number %d, at a start %d, had %d, want %d", running.list.Number, fresh.list.Number, had, m.number)
				}
				if got := serialsOf(rt, running.list, w.CA.PublicKey()); !slices.Equal(got, m.list()) {
					rt.Fatalf("list %d has %v, want %v", running.list.Number, got, m.list())
				}
				return nil
			}))
		}
	})
}

// listModel reads leaves one by one, and all of them.
type listModel struct {
	next   int64
	number int64
	at     canon.Micros            // of the leaf that the number names
	ends   map[uint64]canon.Micros // of the grants
	gone   map[uint64]bool
}

func (m *listModel) read(r *store.Reader) error {
	if m.number == 0 {
		m.number = 1
	}
	entries, err := r.EntriesFrom(m.next, 1000)
	if err != nil {
		return err
	}
	for _, e := range entries {
		m.next = e.Index + 1
		facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		if err != nil {
			return err
		}
		switch f := facts.(type) {
		case record.CertificateIssue:
			if m.ends[f.Serial], err = grantEnd(f); err != nil {
				return err
			}
			continue
		case record.CertificateVoid:
			m.gone[f.Serial] = true
		case record.PersonLock, record.AccessRevoke:
			if err := m.take(r, facts); err != nil {
				return err
			}
		default:
			continue
		}
		m.number, m.at = e.Index+1, e.At
	}
	return nil
}

// grantEnd is what a host reads in the certificate: until then it lets sessions run.
func grantEnd(f record.CertificateIssue) (canon.Micros, error) {
	tbs, err := canon.ParseB64(f.TBS)
	if err != nil {
		return 0, err
	}
	cert, err := sshcert.ParseTBS(tbs)
	if err != nil {
		return 0, err
	}
	id, err := sshcert.ParseKeyID(cert.KeyId)
	return canon.At(id.End), err
}

// take asks of each certificate what somebody would who reads the page about it.
func (m *listModel) take(r *store.Reader, facts record.Facts) error {
	for serial := range m.ends {
		row, err := record.Certificate(r, serial)
		if err != nil {
			return err
		}
		q, err := record.Request(r, row.Grant)
		if err != nil {
			return err
		}
		switch f := facts.(type) {
		case record.PersonLock:
			m.gone[serial] = m.gone[serial] || row.Person == f.Person
		case record.AccessRevoke:
			t := f.Target
			m.gone[serial] = m.gone[serial] || t.Serial == serial || t.ID != "" && (t.ID == q.ID || t.ID == q.By) || t.Role == q.Role ||
				slices.Contains(q.Hosts, t.Host)
		}
	}
	return nil
}

func (m *listModel) list() []uint64 {
	var out []uint64
	for _, serial := range slices.Sorted(maps.Keys(m.gone)) {
		if m.gone[serial] && m.at.Time().Before(m.ends[serial].Time().Add(time.Minute)) {
			out = append(out, serial)
		}
	}
	return out
}

// Whoever waits hears of another list; a leaf that takes nothing away makes none.
func TestRevocationsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	first, err := w.a.Revocations(t.Context())
	if err != nil || first.Number != 1 || len(w.listed()) != 0 {
		t.Fatalf("the first list: %+v, %v", first, err)
	}
	changed := w.a.RevocationsChanged()
	grant := alice.granted(bob, 0)
	if again, err := w.a.Revocations(t.Context()); err != nil || again.Number != 1 || &again.KRL[0] != &first.KRL[0] {
		t.Errorf("after a grant: %+v, %v", again, err)
	}
	select {
	case <-changed:
		t.Error("a grant changes the list")
	default:
	}
	revoked, err := alice.revoke(grantTarget(grant))
	if err != nil {
		t.Fatal(err)
	}
	list, err := w.a.Revocations(t.Context())
	if err != nil || list.Number != revoked.Index+1 {
		t.Errorf("after a revocation: number %d, %v, want %d", list.Number, err, revoked.Index+1)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody is told of another list")
	}
}

// What is said about a list is signed by the key that the ledger names, is good for
// a while and is said anew before that.
func TestPromiseP09_ListsAreSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.a.SignedRevocations(t.Context(), w.v.Lineage()); !errors.Is(err, ErrNoHostKeys) {
		t.Errorf("without a key: %v, want ErrNoHostKeys", err)
	}
	key := newKey(t)
	w.a.hosts = hostKeys{w.config.CA, key}
	if _, err := w.a.SignedRevocations(t.Context(), canon.Sum("x")); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("for no contract: %v, want ErrNotFound", err)
	}
	signed, err := w.a.SignedRevocations(t.Context(), w.v.Lineage())
	if err != nil {
		t.Fatal(err)
	}
	if err := sshcert.Verify(key.PublicKey(), trust.KRLNamespace, []byte(signed.Statement), signed.Signature); err != nil {
		t.Error(err)
	}
	said, err := trust.ParseKRL(signed.Statement)
	if err != nil {
		t.Fatal(err)
	}
	want := trust.KRL{
		V: trust.KRLVersion, Origin: testOrigin, Lineage: w.v.Lineage(), Number: signed.Number, MadeAt: canon.At(w.clock()), NextAt: canon.At(w.clock().Add(listLife)),
		Size: signed.Number, SHA256: sha256.Sum256(signed.KRL), Bytes: int64(len(signed.KRL)),
	}
	if said != want || said.Covers(signed.KRL) != nil {
		t.Errorf("it says %+v, want %+v", said, want)
	}
	w.pass(listFresh - 1)
	if again, err := w.a.SignedRevocations(t.Context(), w.v.Lineage()); err != nil || again.Statement != signed.Statement {
		t.Errorf("a moment later it says %s, %v", again.Statement, err)
	}
	w.pass(1)
	again, err := w.a.SignedRevocations(t.Context(), w.v.Lineage())
	if err != nil || again.Statement == signed.Statement || again.Number != signed.Number {
		t.Errorf("later it says %s, %v", again.Statement, err)
	}
}

// BenchmarkSignedRevocations is what a host costs that asks for the list and has it:
// 500 of them ask about 17 times a second.
func BenchmarkSignedRevocations(b *testing.B) {
	w := newWorldOf(b, testStart, "15m")
	w.a.hosts = hostKeys{w.config.CA, newKey(b)}
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	for range 100 {
		if _, err := alice.issue(grant, newKey(b)); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := alice.revoke(grantTarget(grant)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.a.SignedRevocations(b.Context(), w.v.Lineage()); err != nil {
			b.Fatal(err)
		}
	}
}
