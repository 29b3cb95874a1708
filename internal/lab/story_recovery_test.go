package lab_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver, for a backup beside the server

	"github.com/sallyport/sallyport/internal/lab/site"
)

// drill returns the commands of the restore drill, as docs/recovery.md has them.
func drill(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "recovery.md"))
	must(t, err)
	_, after, found := strings.Cut(string(text), "\n```sh\n")
	commands, _, whole := strings.Cut(after, "\n```\n")
	if !found || !whole || strings.Contains(after, "\n```sh\n") {
		t.Fatal("docs/recovery.md has no drill, or two")
	}
	return commands
}

// backup is what docs/recovery.md says to keep of a database.
func backup(t *testing.T, dir, to string) {
	t.Helper()
	must(t, os.MkdirAll(to, 0o700))
	db, err := sql.Open("sqlite3", filepath.Join(dir, "ledger.db"))
	must(t, err)
	_, err = db.ExecContext(t.Context(), `VACUUM INTO $1`, filepath.Join(to, "ledger.db"))
	must(t, errors.Join(err, db.Close()))
}

// entered has Alice enter a host, and Bob approve it first.
func entered(t *testing.T, ctx context.Context, s *site.Site, host string) {
	t.Helper()
	q := request(t, ctx, s, host)
	decide(t, ctx, s, q.path, "approve", "")
	expect(t, ctx, s, 0, "\n"+string(s.Account.Login)+"\n", "sally", "ssh", s.Principal(host), "--key-file", "--", "id -un")
}

// TestPromiseP11_TheRestoreDrill restores an old backup of a real installation and
// plays the drill of docs/recovery.md, word for word. Before it nothing is served;
// afterwards everything is there, and people go on.
func TestPromiseP11_TheRestoreDrill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Others: []site.Other{{Who: "dana", Name: "Dana Example", Groups: []string{"engineers"}}}})
	entered(t, ctx, s, site.Web1)
	dir, kept, mirror := s.ServerDir(), s.Dir.Path("backup"), s.Dir.Path("mirror")
	backup(t, dir, kept)
	must(t, s.Others["dana"].LogIn(ctx)) // somebody who is new since
	entered(t, ctx, s, site.Web2)
	must(t, os.MkdirAll(mirror, 0o700))
	bundle := filepath.Join(mirror, "ledger.jsonl")
	_, err := s.Operator.Must(ctx, "sallyd", "ledger", "export", "--out", bundle, "--dir", dir)
	must(t, err)
	must(t, s.StopServing())

	// Only the backup: nothing is served.
	aside := s.Dir.Path("tried")
	_, err = s.Operator.Must(ctx, "cp", "-a", dir, aside)
	must(t, err)
	for _, name := range []string{"ledger.db-wal", "ledger.db-shm"} {
		if err := os.Remove(filepath.Join(aside, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(filepath.Join(kept, "ledger.db"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(aside, "ledger.db"), old, 0o600))
	r, err := s.Operator.Run(ctx, "sallyd", "serve", "--dir", aside)
	must(t, err)
	if r.Code != 1 || !strings.Contains(r.Output, "the authority has stopped signing: this database is not the one that was signed for") ||
		!strings.Contains(r.Output, "`sallyd ledger adopt`") {
		t.Errorf("served from the backup: exit code %d: %s", r.Code, r.Output)
	}
	mirrors(t, ctx, s, aside, bundle)

	for name, value := range map[string]string{"DIR": dir, "BACKUP": kept, "MIRROR": mirror} {
		s.Operator.Setenv(name, value)
	}
	r, err = s.Operator.Run(ctx, "sh", "-eu", "-c", drill(t))
	must(t, err)
	for _, want := range []string{"adopted     leaves ", "certificates 1\n", "\nok          leaves ", "✓ mark: "} {
		if !strings.Contains(r.Output, want) {
			t.Errorf("the drill does not say %q", want)
		}
	}
	if r.Code != 0 || strings.Contains(r.Output, "✗") {
		t.Fatalf("the drill: exit code %d: %s", r.Code, r.Output)
	}

	must(t, s.Serve(ctx))
	expect(t, ctx, s, 4, "sally login", "sally", "list") // sessions have ended
	must(t, s.Alice.LogIn(ctx))
	expect(t, ctx, s, 0, "certificate.issue", "sally", "ledger", "list")
	_, err = s.Bob.SignIn(ctx, "/")
	must(t, err)
	for _, host := range []string{site.Web1, site.Web2} { // grants go on, the lost one, too
		expect(t, ctx, s, 0, string(s.Account.Login)+"\n", "sally", "ssh", s.Principal(host), "--key-file", "--", "id -un")
	}
	verified(t, ctx, s, filepath.Join(mirror, "after.jsonl"), s.PinFile(), "unjustified; of these 0 void")
}

// TestPromiseP11_TheRestoreDrillOverPostgres is the same where the ledger lies in
// PostgreSQL: the database is put back to a copy of some time before.
func TestPromiseP11_TheRestoreDrillOverPostgres(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Postgres: true})
	entered(t, ctx, s, site.Web1)
	must(t, s.StopServing())
	old, err := s.Postgres.NewDatabase(ctx, s.Database)
	must(t, err)
	must(t, s.Serve(ctx))
	entered(t, ctx, s, site.Web2)
	bundle := s.Dir.Path("ledger.jsonl")
	_, err = s.Operator.Must(ctx, "sallyd", "ledger", "export", "--out", bundle, "--dir", s.ServerDir())
	must(t, err)
	must(t, s.StopServing())

	settings := filepath.Join(s.ServerDir(), "config.yaml")
	text, err := os.ReadFile(settings)
	must(t, err)
	must(t, os.WriteFile(settings, []byte(strings.ReplaceAll(string(text), "/"+s.Database+"?", "/"+old+"?")), 0o600))
	r, err := s.Operator.Run(ctx, "sallyd", "serve", "--dir", s.ServerDir())
	must(t, err)
	if r.Code != 1 || !strings.Contains(r.Output, "`sallyd ledger adopt`") {
		t.Fatalf("served from the backup: exit code %d: %s", r.Code, r.Output)
	}
	for _, verb := range [][]string{{"adopt", bundle}, {"fsck"}} {
		r, err := s.Operator.Run(ctx, append([]string{"sallyd", "--dir", s.ServerDir(), "ledger"}, verb...)...)
		must(t, err)
		if r.Code != 0 {
			t.Fatalf("%v: exit code %d: %s", verb, r.Code, r.Output)
		}
	}
	must(t, s.Serve(ctx))
	must(t, s.Alice.LogIn(ctx))
	expect(t, ctx, s, 0, string(s.Account.Login)+"\n", "sally", "ssh", s.Principal(site.Web2), "--key-file", "--", "id -un")
	verified(t, ctx, s, s.Dir.Path("after.jsonl"), s.PinFile(), "unjustified; of these 0 void")
}

// mirrors has the copy come from an address: one that has only tiles is refused
// with what is missing there, one that has the bundle will do.
func mirrors(t *testing.T, ctx context.Context, s *site.Site, dir, bundle string) {
	t.Helper()
	mark, err := os.ReadFile(filepath.Join(dir, "mark"))
	must(t, err)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/tiles/checkpoint":
			_, _ = w.Write(mark)
		case "/ledger.jsonl":
			http.ServeFile(w, r, bundle)
		default:
			http.NotFound(w, r)
		}
	}))
	defer web.Close()
	adopt := func(address string, code int, want string) {
		t.Helper()
		r, err := s.Operator.Run(ctx, "sallyd", "ledger", "adopt", "--dir", dir, address)
		must(t, err)
		if r.Code != code || !regexp.MustCompile(want).MatchString(r.Output) {
			t.Errorf("from %s: exit code %d: %s", address, r.Code, r.Output)
		}
		left, err := filepath.Glob(filepath.Join(dir, ".adopt-*"))
		must(t, err)
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	adopt(web.URL+"/nothing", 1, `/nothing: it answers with status 404\n$`)
	adopt(web.URL+"/tiles", 1, `it has the ledger as tiles only: .* the facts, person parts and certificates of leaves \d+ to \d+ are not in them; ask for an export bundle of these\n$`)
	adopt(web.URL+"/ledger.jsonl", 0, `adopted     leaves \d+ to \d+, certificates 1\n`)
}

// verified exports the ledger and has an auditor verify it with a pin file.
func verified(t *testing.T, ctx context.Context, s *site.Site, bundle, pin, want string) {
	t.Helper()
	_, err := s.Operator.Must(ctx, "sallyd", "ledger", "export", "--out", bundle, "--dir", s.ServerDir())
	must(t, err)
	verifies(t, ctx, s, bundle, pin, want)
}

// verifies has an auditor verify a bundle.
func verifies(t *testing.T, ctx context.Context, s *site.Site, bundle, pin, want string) {
	t.Helper()
	text, err := os.ReadFile(bundle)
	must(t, err)
	lineage := regexp.MustCompile(`"lineage":"([A-Za-z0-9_-]{43})"`).FindSubmatch(text)
	if lineage == nil {
		t.Fatal("no contract in the bundle")
	}
	r, err := s.Auditor.Run(ctx, "sally", "audit", "verify", bundle, "--pin", pin, "--contract", string(lineage[1]))
	must(t, err)
	if r.Code != 0 || !strings.Contains(r.Output, want) {
		t.Errorf("sally audit verify: exit code %d: %s", r.Code, r.Output)
	}
}

// TestPromiseP11_ASuccessorGoesOn has the newest leaves of a ledger be lost for
// good. A successor begins with its contract and its hosts, names it, and is
// verified; the old one still is. Hosts let in nobody by the new one before they are
// told.
func TestPromiseP11_ASuccessorGoesOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{})
	entered(t, ctx, s, site.Web1)
	bundle := s.Dir.Path("ledger.jsonl")
	_, err := s.Operator.Must(ctx, "sallyd", "ledger", "export", "--out", bundle, "--dir", s.ServerDir())
	must(t, err)
	must(t, s.Alice.LogIn(ctx)) // that nobody has
	must(t, s.StopServing())
	old := s.Dir.Path("old")
	must(t, os.Rename(s.ServerDir(), old))

	r, err := s.Operator.Run(ctx, "sallyd", "ledger", "succeed", s.ServerDir(), "--origin", "demo-2.sallyport.test", "--listen", strings.TrimPrefix(s.URL(), "http://"),
		"--bundle", bundle, "--pin", filepath.Join(old, "pin.txt"), "--checkpoint", filepath.Join(old, "mark"))
	must(t, err)
	if r.Code != 0 || !regexp.MustCompile(`succeeds    demo\.sallyport\.test, \d+ leaves; it had signed for \d+, so 1 are lost\ncontracts   acme-demo\nhosts       web-1\.demo, web-2\.demo\nlinks       0;`).MatchString(r.Output) {
		t.Fatalf("sallyd ledger succeed: exit code %d: %s", r.Code, r.Output)
	}
	settings, err := os.ReadFile(filepath.Join(old, "config.yaml"))
	must(t, err)
	_, issuers, ok := strings.Cut(string(settings), "\nissuers:")
	if !ok {
		t.Fatal("the old settings name no issuer")
	}
	f, err := os.OpenFile(filepath.Join(s.ServerDir(), "config.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("issuers:" + issuers)
	must(t, errors.Join(err, f.Close()))
	must(t, s.ConfigureHost(ctx, site.Web1)) // sshd reads the CA key at each login
	must(t, s.Serve(ctx))
	must(t, s.Alice.LogIn(ctx))
	_, err = s.Bob.SignIn(ctx, "/")
	must(t, err)

	entered(t, ctx, s, site.Web1)
	q := request(t, ctx, s, site.Web2)
	decide(t, ctx, s, q.path, "approve", "")
	expect(t, ctx, s, 255, "Permission denied", "sally", "ssh", s.Principal(site.Web2), "--key-file", "--", "id -un")

	verified(t, ctx, s, s.Dir.Path("new.jsonl"), s.PinFile(), "succeeds     demo.sallyport.test, which signed for ")
	verifies(t, ctx, s, bundle, filepath.Join(old, "pin.txt"), "unjustified; of these 0 void")
	fsck, err := s.Operator.Run(ctx, "sallyd", "ledger", "fsck", "--dir", s.ServerDir())
	must(t, err)
	if fsck.Code != 0 {
		t.Errorf("fsck: %s", fsck.Output)
	}
}
