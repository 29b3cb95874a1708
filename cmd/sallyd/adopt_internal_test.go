package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/sshcert"
)

// exported writes a bundle that shows of each leaf what show says.
func (f *toldFolder) exported(note []byte, show func(index int64) (facts, person bool)) string {
	f.t.Helper()
	var text bytes.Buffer
	must(f.t, f.s.Read(f.t.Context(), func(r *store.Reader) error {
		_, err := server.WriteBundle(f.t.Context(), r, note, &text, func(e store.Entry) (facts, person bool, err error) {
			facts, person = show(e.Index)
			return facts, person, nil
		})
		return err
	}))
	path := filepath.Join(f.t.TempDir(), "ledger.jsonl")
	must(f.t, os.WriteFile(path, text.Bytes(), 0o600))
	return path
}

func everything(int64) (facts, person bool) { return true, true }

// read adds the bundles and returns their leaves as one.
func (f *toldFolder) read(paths ...string) ([]authority.CopyLeaf, error) {
	f.t.Helper()
	b := &bundles{logKey: f.w.LogKey, dir: f.dir}
	defer func() { must(f.t, b.close()) }()
	for _, path := range paths {
		if err := b.add(f.t.Context(), path); err != nil {
			return nil, err
		}
	}
	var out []authority.CopyLeaf
	for leaf, err := range b.leaves() {
		if err != nil {
			return out, err
		}
		out = append(out, leaf)
	}
	return out, nil
}

// TestBundlesTogether: of each leaf what any of several bundles shows, with its
// certificate, and as far as the longest goes. Two histories are told from one.
func TestBundlesTogether(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	note := f.checkpoint()
	half := f.exported(note, func(i int64) (bool, bool) { return i%2 == 0, i%4 == 0 })
	other := f.exported(note, func(i int64) (bool, bool) { return i%2 == 1, true })
	persons := f.exported(note, func(i int64) (bool, bool) { return i%4 == 2, true })
	short := f.exported(note, everything)
	f.write(func(l storetest.Ledger) error {
		_, err := l.Append(recordtest.Draft{Facts: f.w.Join(l, "web-9.demo", "demo")})
		return err
	})
	whole := f.exported(f.checkpoint(), everything)
	want, err := f.read(whole)
	must(t, err)
	for _, paths := range [][]string{{half, other, persons}, {other, persons, half}} {
		have, err := f.read(paths...)
		must(t, err)
		if len(have) != len(want)-1 {
			t.Fatalf("%d leaves, want %d", len(have), len(want)-1)
		}
		for i, h := range have {
			if w := want[i]; !bytes.Equal(h.Text, w.Text) || !bytes.Equal(h.Opening.Facts, w.Opening.Facts) || !bytes.Equal(h.Opening.Person, w.Opening.Person) ||
				h.Opening.FactsSalt != w.Opening.FactsSalt || h.Opening.PersonSalt != w.Opening.PersonSalt || !bytes.Equal(h.Certificate, w.Certificate) {
				t.Errorf("leaf %d is not what the bundles show of it", i)
			}
		}
	}
	if have, err := f.read(short, whole, half); err != nil || len(have) != len(want) {
		t.Errorf("%d leaves of several lengths, %v; want %d", len(have), err, len(want))
	}

	// A twin of the ledger that goes on otherwise, signed by the same log key.
	twin := newToldFolder(t)
	twin.write(func(l storetest.Ledger) error {
		_, err := l.Append(recordtest.Draft{Facts: twin.w.Join(l, sshcert.Host("web-8.demo"), "demo")})
		return err
	})
	if _, err := f.read(whole, twin.exported(twin.checkpoint(), everything)); !errors.Is(err, ledger.ErrForked) || !strings.Contains(err.Error(), "Two ledgers") {
		t.Errorf("two histories: %v, want ErrForked", err)
	}
}
