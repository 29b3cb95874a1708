package killloop_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// diskSize is enough for a new ledger and soon full.
const diskSize = 8 << 20

// fullDisk is a loop whose sallyd has its folder on a small disk.
type fullDisk struct {
	*loop
	disk *lab.SmallDisk
	// What Alice has asked, and nobody has decided: to be denied and to be
	// cancelled while the disk is full, and afterwards.
	deny, cancel [2]*ask
}

// newFullDisk sets everything up while there is room.
func newFullDisk(t *testing.T, c site.Config) *fullDisk {
	t.Helper()
	s := openEmpty(t, c)
	disk, err := lab.NewSmallDisk(t.Context(), s.ServerDir(), diskSize)
	must(t, err)
	t.Cleanup(func() { must(t, disk.Close()) })
	must(t, s.SetUp(t.Context()))
	engine := "sqlite"
	if c.Postgres {
		engine = "postgres"
	}
	f := &fullDisk{loop: newLoop(t, s, plan{engine: engine}, 1), disk: disk}
	must(t, s.Alice.LogIn(t.Context()))
	for _, list := range []*[2]*ask{&f.deny, &f.cancel} {
		for i := range list {
			list[i] = f.file(t)
		}
	}
	must(t, f.issuer[0].cycle(f.ctx))
	return f
}

// file has Alice ask.
func (f *fullDisk) file(t *testing.T) *ask {
	t.Helper()
	a, err := f.tryFile()
	must(t, err)
	return a
}

func (f *fullDisk) tryFile() (*ask, error) {
	by := f.people.account.Load()
	if err := f.people.newAsk(f.ctx, by); err != nil {
		return nil, err
	}
	a := f.people.ask
	f.people.ask = nil
	var filed api.Request
	if err := by.call(f.ctx, "/v1/requests", a.body, &filed); err != nil {
		return nil, err
	}
	f.book.filed(filed)
	return a, nil
}

// denies is what Bob sees who denies a request on its page.
func (f *fullDisk) denies(t *testing.T, a *ask) (status int, text string) {
	t.Helper()
	path := "/requests/" + string(a.id)
	page, err := f.people.bob.Get(f.ctx, f.URL()+path)
	must(t, err)
	if page.Status != http.StatusOK || page.URL.Path != path {
		t.Fatalf("Bob's page of the request: status %d at %s: %s", page.Status, page.URL, page.Text())
	}
	after, err := f.people.bob.Submit(f.ctx, page, path+"/decisions", map[string]string{"words": "not this time"}, string(approval.Deny))
	must(t, err)
	if after.Status == http.StatusOK {
		f.book.decided(a.id, approval.Deny)
	}
	return after.Status, after.Text()
}

// cancels is what Alice sees who cancels a request in her terminal.
func (f *fullDisk) cancels(t *testing.T, a *ask) lab.Result {
	t.Helper()
	r, err := f.Alice.Run(f.ctx, "sally", "cancel", string(a.id))
	must(t, err)
	return r
}

// isRetryable demands that an error is the problem document of what may be tried
// again, with those words.
func isRetryable(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: it was done", what)
	}
	_, text, ok := strings.Cut(err.Error(), "status 503: ")
	var p api.Problem
	if !ok || json.Unmarshal([]byte(text), &p) != nil || !strings.HasSuffix(p.Type, "/unavailable") {
		t.Fatalf("%s: %v", what, err)
	}
	for _, w := range words {
		if strings.Contains(p.Detail, w) {
			return
		}
	}
	t.Errorf("%s: it says %q", what, p.Detail)
}

// ready returns what /readyz says of a part, once that is as wanted.
func (f *fullDisk) ready(t *testing.T, status int, part, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, 30*time.Second)
	defer cancel()
	must(t, lab.Poll(ctx, "part "+part+" to be "+want, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL()+"/readyz", nil)
		if err != nil {
			return false, err
		}
		resp, err := newClient().Do(req)
		if err != nil {
			return false, err
		}
		var out api.Readiness
		if err := errors.Join(json.NewDecoder(resp.Body).Decode(&out), resp.Body.Close()); err != nil {
			return false, err
		}
		for _, p := range out.Parts {
			if p.Part == part {
				return p.Status == want && resp.StatusCode == status, nil
			}
		}
		return false, errors.New("no such part")
	}))
}

// markIs demands that the mark file is whole and nothing half-written lies about.
func (f *fullDisk) markIs(t *testing.T, want []byte) {
	t.Helper()
	have := readFile(t, f.ServerDir(), "mark")
	if _, err := f.book.policy.OpenCheckpoint(have); err != nil {
		t.Errorf("the mark file: %v", err)
	}
	if want != nil && string(have) != string(want) {
		t.Error("the mark file was changed without room for it")
	}
	left, err := filepath.Glob(filepath.Join(f.ServerDir(), ".mark-*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("half-written marks: %v", left)
	}
}

// sound demands, after a restart, that nothing was lost or written twice, by what
// clients were answered and by sallyd's own judgement.
func (f *fullDisk) sound(t *testing.T) {
	t.Helper()
	must(t, f.StopServing())
	keepPort(t, f.URL())
	must(t, f.Serve(f.ctx))
	f.book.catchUp(f.ctx, f.people.account.Load())
	must(t, f.StopServing())
	f.book.checkMark(f.ctx, f.ServerDir(), f.data)
	f.book.compareDatabase(f.ctx, f.data)
	r, err := f.Operator.Run(f.ctx, "sallyd", "ledger", "fsck", "--dir", f.ServerDir())
	must(t, err)
	if r.Code != 0 || !strings.HasPrefix(r.Stdout, "ok ") {
		t.Errorf("fsck: exit code %d: %s", r.Code, r.Output)
	}
}

// words of a server that can't write. The mark comes first: it needs a new file,
// the database's log has some room of its own.
const (
	noMark     = "the server can't note how far it has signed, so nothing is signed"
	noDatabase = "the database is not available; what you asked for was not done"
)

// TestPromiseP14_DiskFull fills the disk on which sallyd has everything, until
// nothing can be written. Whoever asks is told so and that they may try again;
// with room again everything goes on, without a restart, and nothing is lost.
func TestPromiseP14_DiskFull(t *testing.T) {
	t.Parallel()
	f := newFullDisk(t, site.Config{})
	mark := readFile(t, f.ServerDir(), "mark")
	must(t, f.disk.Fill())

	isRetryable(t, "a certificate", f.issuer[0].cycle(f.ctx), noMark, noDatabase)
	var err error
	for n := 0; err == nil; n++ { // the log's own room is used up by this
		if n > 10000 {
			t.Fatal("the disk never filled up")
		}
		_, err = f.tryFile()
	}
	isRetryable(t, "a request", err, noDatabase)
	isRetryable(t, "a certificate", f.issuer[1].cycle(f.ctx), noDatabase)
	isRetryable(t, "a login", f.people.logInAlice(f.ctx), noDatabase)
	if status, text := f.denies(t, f.deny[0]); status != http.StatusServiceUnavailable || !strings.Contains(text, "what you asked for was not done") {
		t.Errorf("a denial: %d %s", status, text)
	}
	if r := f.cancels(t, f.cancel[0]); r.Code != 6 || !strings.Contains(r.Output, noDatabase+"; try again, a retry is safe") {
		t.Errorf("a cancellation: exit code %d: %s", r.Code, r.Output)
	}
	f.ready(t, http.StatusServiceUnavailable, "database", api.PartFailed)
	f.markIs(t, mark)
	if _, err := f.people.account.Load().send(f.ctx, "/v1/ledger/entries?limit=5", nil); err != nil {
		t.Errorf("reading goes on: %v", err)
	}

	must(t, f.disk.Free())
	for _, a := range f.deny {
		if status, text := f.denies(t, a); status != http.StatusOK {
			t.Errorf("a denial with room again: %d %s", status, text)
		}
	}
	for _, a := range f.cancel {
		if r := f.cancels(t, a); r.Code != 0 {
			t.Errorf("a cancellation with room again: exit code %d: %s", r.Code, r.Output)
		}
	}
	f.file(t)
	must(t, f.people.logInAlice(f.ctx))
	for i := range 2 {
		must(t, f.issuer[i].cycle(f.ctx)) // the call that was refused, with the same key
	}
	f.ready(t, http.StatusOK, "database", api.PartOK)
	f.markIs(t, nil)
	f.sound(t)
}

// TestPromiseP14_NoRoomForTheMark leaves the database its room, which is in
// PostgreSQL, and takes away the mark file's. Nothing is signed then; what takes
// access away is done.
func TestPromiseP14_NoRoomForTheMark(t *testing.T) {
	t.Parallel()
	f := newFullDisk(t, site.Config{Postgres: true})
	mark := readFile(t, f.ServerDir(), "mark")
	must(t, f.disk.Fill())

	isRetryable(t, "a certificate", f.issuer[0].cycle(f.ctx), noMark)
	if status, text := f.denies(t, f.deny[0]); status != http.StatusOK {
		t.Errorf("a denial: %d %s", status, text)
	}
	if r := f.cancels(t, f.cancel[0]); r.Code != 0 {
		t.Errorf("a cancellation: exit code %d: %s", r.Code, r.Output)
	}
	isRetryable(t, "a certificate", f.issuer[1].cycle(f.ctx), noMark)
	f.ready(t, http.StatusServiceUnavailable, "ledger", api.PartFailed)
	f.ready(t, http.StatusServiceUnavailable, "database", api.PartOK)
	f.markIs(t, mark)

	must(t, f.disk.Free())
	for i := range 2 {
		must(t, f.issuer[i].cycle(f.ctx))
	}
	f.ready(t, http.StatusOK, "ledger", api.PartOK)
	f.markIs(t, nil)
	if after := readFile(t, f.ServerDir(), "mark"); string(after) == string(mark) {
		t.Error("the mark stands where it stood")
	}
	f.sound(t)
}
