package server_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/sshcert"
)

// bearing adds a bearer to each request.
type bearing struct{ bearer string }

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.bearer)
	return http.DefaultTransport.RoundTrip(r)
}

// walk reads the whole log through an independent client, which checks each leaf
// against the checkpoint, and returns how many it read.
func walk(t *testing.T, w *world, c *cli) (int64, error) {
	t.Helper()
	fetcher, err := torchwood.NewTileFetcher(w.base, torchwood.WithHTTPClient(&http.Client{Transport: bearing{c.Bearer}}))
	must(t, err)
	client, err := torchwood.NewClient(fetcher)
	must(t, err)
	note, err := fetcher.ReadEndpoint(t.Context(), "checkpoint")
	must(t, err)
	head, err := w.policy.OpenCheckpoint(note)
	must(t, err)
	read := int64(0)
	for index, leaf := range client.AllEntries(t.Context(), tlog.Tree{N: head.Size, Hash: head.Root}, 0) {
		if index != read {
			t.Fatalf("leaf %d, want %d", index, read)
		}
		if _, err := ledger.ParseLeaf(leaf); err != nil {
			t.Errorf("leaf %d: %v", index, err)
		}
		read++
	}
	if client.Err() == nil && read != head.Size {
		t.Errorf("%d leaves were read of %d", read, head.Size)
	}
	return read, client.Err()
}

// TestPromiseP11_AnIndependentClientWalksTheLog reads the tiles through
// torchwood's client, and again after a leaf was changed on disk.
func TestPromiseP11_AnIndependentClientWalksTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	for i := range 280 { // more than a tile
		_, err := w.authority.AddHost(t.Context(), authority.NewHost{
			Name: sshcert.Host(fmt.Sprintf("many-%d.demo", i)), Address: "127.0.0.1", Port: 22, Key: newKey(t).PublicKey(),
		})
		must(t, err)
	}
	if read, err := walk(t, w, alice); err != nil || read < 280 {
		t.Fatalf("%d leaves, %v", read, err)
	}
	for _, tt := range []struct {
		path   string
		status int
		want   string // Cache-Control
	}{
		{"/tile/0/000", 200, "private, max-age=31536000, immutable"},
		{"/tile/entries/000", 200, "private, max-age=31536000, immutable"},
		{"/tile/0/001.p/3", 200, "private, max-age=31536000, immutable"},
		{"/tile/0/001", 404, "no-store"},
		{"/tile/0/x001/000", 404, "no-store"},
		{"/tile/1/000.p/2", 404, "no-store"},
		{"/tile/9/000", 404, "no-store"},
		{"/tile/63/000.p/1", 404, "no-store"},
		{"/tile/0/0", 404, "no-store"},
		{"/tile/0/000.p/0", 404, "no-store"},
		{"/tile/0/000.p/256", 404, "no-store"},
		{"/tile/-1/000", 404, "no-store"},
		{"/tile/8/0/000", 404, "no-store"},
		{"/tile/entries/000/../000", 404, "no-store"},
		{"/tile/0/x999/x999/x999/x999/x999/999", 404, "no-store"},
		{"/tile/", 404, "no-store"},
	} {
		r := alice.call(tt.path, nil)
		if r.status != tt.status || r.header.Get("Cache-Control") != tt.want {
			t.Errorf("%s: %d, Cache-Control %q; want %d, %q", tt.path, r.status, r.header.Get("Cache-Control"), tt.status, tt.want)
		}
	}
	if r := w.send(http.MethodGet, "/tile/0/000", nil, nil); r.status != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", r.status)
	}
	db, err := sql.Open("sqlite3", w.database)
	must(t, err)
	_, err = db.ExecContext(t.Context(), `UPDATE leaf SET body = CAST(replace(CAST(body AS TEXT), 'host.join', 'host.jion') AS BLOB) WHERE idx = 100`)
	must(t, errors.Join(err, db.Close()))
	if _, err := walk(t, w, alice); err == nil || !strings.Contains(err.Error(), "100") {
		t.Errorf("after leaf 100 was changed: %v, want its index", err)
	}
}
