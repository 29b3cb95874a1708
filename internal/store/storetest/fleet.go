package storetest

import (
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// testFleet: of a host the newest word is kept, of a lineage every trust bundle, once.
func testFleet(t *testing.T, f *fixture) {
	f.setup()
	size := f.head().Tree.Size
	for _, body := range []string{`{"a":1}`, `{"a":2}`} {
		f.pass(1e9)
		f.mustWrite(func(l Ledger) error { return l.PutHeartbeat("web-2.demo", []byte(body)) })
	}
	f.mustWrite(func(l Ledger) error { return l.PutHeartbeat("web-1.demo", []byte(`{"b":1}`)) })
	f.mustRead(func(r *store.Reader) error {
		list, err := r.Heartbeats()
		if err != nil || len(list) != 2 || list[0].Host != "web-1.demo" || string(list[1].Body) != `{"a":2}` || list[1].At == 0 {
			t.Errorf("heartbeats %+v, %v", list, err)
		}
		one, err := r.Heartbeat("web-2.demo")
		if err != nil || string(one.Body) != `{"a":2}` || one.At != list[1].At {
			t.Errorf("a heartbeat %+v, %v", one, err)
		}
		_, err = r.Heartbeat("web-9.demo")
		wants(t, "a host that never said a word", err, record.ErrNotFound)
		return nil
	})
	one, other := canon.Digest{1}, canon.Digest{2}
	put := func(lineage canon.Digest, number int64, file string) error {
		return f.write(func(l Ledger) error { return l.PutBundle(lineage, number, []byte(file)) })
	}
	wants(t, "the first bundle", put(one, 1, "first"), nil)
	wants(t, "the second", put(one, 2, "second"), nil)
	wants(t, "another lineage's", put(other, 1, "other"), nil)
	wants(t, "the second again", put(one, 2, "third"), record.ErrExists)
	f.mustRead(func(r *store.Reader) error {
		for number, want := range map[int64]string{0: "second", 1: "first", 2: "second"} {
			if file, err := r.Bundle(one, number); err != nil || string(file) != want {
				t.Errorf("bundle %d is %q, %v; want %s", number, file, err, want)
			}
		}
		_, err := r.Bundle(one, 3)
		wants(t, "a bundle that there is none of", err, record.ErrNotFound)
		_, err = r.Bundle(canon.Digest{3}, 0)
		wants(t, "a lineage without bundle", err, record.ErrNotFound)
		return nil
	})
	if f.head().Tree.Size != size {
		t.Error("they are leaves")
	}
}
