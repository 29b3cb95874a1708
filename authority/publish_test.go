package authority

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
)

// newestBundle is the trust bundle that invitations name.
func (w *world) newestBundle() trust.Signed {
	w.t.Helper()
	var out trust.Signed
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) (err error) {
		out, err = newestBundle(r, w.v.Lineage())
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// A server gives hosts no bundle that they would not take, nor one under which they
// would let nobody in.
func TestBundlesAreHeldToTheServer(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	before := w.newestBundle()
	text := w.bundleText(time.Hour, &before.Bundle)
	next, err := trust.ParseBundle(text)
	if err != nil || next.Number != 2 || before.Bundle.Number != 1 {
		t.Fatalf("bundle %d after %d, %v", next.Number, before.Bundle.Number, err)
	}
	add := func(bend func(*trust.Bundle)) error {
		b := next
		bend(&b)
		text, err := trust.Make(b)
		if err != nil {
			t.Fatal(err)
		}
		file, err := trust.Signed{Text: text}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.a.PublishBundle(t.Context(), file)
		return err
	}
	key, err := trust.KeyOf(newKey(t).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		bend func(*trust.Bundle)
		want error
	}{
		{"without roots there is no next", func(*trust.Bundle) {}, trust.ErrNoRoots},
		{"of another ledger", func(b *trust.Bundle) { b.Origin = "other.example"; b.LogKeys = []string{otherLogKey(t)} }, ErrBundleKeys},
		{"another user CA", func(b *trust.Bundle) { b.UserCAs = []trust.Key{key} }, ErrBundleKeys},
		{"without the key for revocation lists", func(b *trust.Bundle) { b.KRLKeys = nil }, ErrBundleKeys},
		{"of a lineage that is not in force", func(b *trust.Bundle) { b.Lineage = canon.Digest{1} }, record.ErrNotFound},
	} {
		if err := add(tt.bend); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	file, err := before.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.a.PublishBundle(t.Context(), file); !errors.Is(err, record.ErrExists) {
		t.Errorf("the same again: %v", err)
	}
	if w.newestBundle().Bundle.Number != 1 {
		t.Error("a refused bundle is given to hosts")
	}
}

func otherLogKey(t *testing.T) string {
	t.Helper()
	_, public, err := ledger.NewLogKey(rand.Reader, "other.example")
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestInvitationNeedsBundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.a.InviteHost(t.Context(), NewInvitation{ID: newID(t), Name: "db-1.demo", Address: "127.0.0.1", Port: 22, Secret: canon.Digest{1}, For: time.Hour})
	if !errors.Is(err, ErrNoBundle) {
		t.Errorf("%v", err)
	}
}
