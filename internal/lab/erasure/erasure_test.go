// Package erasure_test owns one question: of somebody who was erased, is there a
// byte left? An unmistakable person goes through everything that a person does, in
// a real installation over either database, and is erased by two people with stock
// ssh-keygen. Then every file that sallyd has, exports, logs and a backup that is
// put back are searched for every text that was theirs.
package erasure_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// The person, and what they write.
const (
	who    = "zq-flosser"
	name   = "Zephyrine Quastenflosser"
	reason = "Quastenbericht: my heirloom database of newts is full"
	answer = "for you, dear Zephyrine, Quastenworte of mine"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// story is an installation with a person who is to be erased.
type story struct {
	*site.Site
	t      *testing.T
	ctx    context.Context
	person *site.Person
	id     string
	path   string // of the request's page
	logs   []string
	bundle string // exported last
	sealed [][]byte
	canaries
}

// silent hears a story that is searched anyway.
type silent struct{}

// Typed hears nothing.
func (silent) Typed(string, string) {}

// Answered hears nothing.
func (silent) Answered(string) {}

func TestPromiseP13_CanariesSQLite(t *testing.T) {
	t.Parallel()
	tell(t, false)
}

func TestPromiseP13_CanariesPostgres(t *testing.T) {
	t.Parallel()
	tell(t, true)
}

func tell(t *testing.T, postgres bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	s := open(t, ctx, postgres)
	s.play()
	s.checkBefore()
	s.remember()
	s.erase()
	s.checkAfter()
	s.restore()
}

// second is the other signatory's key file.
func (s *story) second() string { return s.Owner.Home("second") }

func open(t *testing.T, ctx context.Context, postgres bool) *story {
	t.Helper()
	bin := t.TempDir()
	must(t, site.Build(ctx, bin))
	key := filepath.Join(t.TempDir(), "second")
	r, err := lab.Run(ctx, lab.Command{Path: "/usr/bin/ssh-keygen", Args: []string{"-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key}})
	must(t, err)
	must(t, site.Exit(r, 0, "ssh-keygen"))
	s := &story{t: t, ctx: ctx}
	s.Site, err = site.Open(ctx, site.Config{
		Bin: bin, Tell: silent{}, Postgres: postgres, Others: []site.Other{{Who: who, Name: name, Groups: []string{"engineers"}}}, Settings: "log_level: debug",
		Plan: site.Plan{CertTTL: 10 * time.Second, Templates: templates(t, key+".pub")},
	})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, log := range s.Logs(20) {
				t.Logf("--- log of %s\n%s", log.Name, log.Text)
			}
		}
		must(t, s.Close())
	})
	for _, file := range []string{"", ".pub"} {
		text, err := os.ReadFile(key + file)
		must(t, err)
		must(t, os.WriteFile(s.second()+file, text, 0o600))
	}
	must(t, s.SetUp(ctx))
	s.person = s.Others[who]
	account, err := s.IDP.Account(who)
	must(t, err)
	s.canaries = newCanaries(who, name, account.Email, account.Subject, reason, answer)
	return s
}

// templates is the demo's contract with a second signatory, which keeps people
// for ten seconds.
func templates(t *testing.T, publicKey string) fs.FS {
	t.Helper()
	out := fstest.MapFS{}
	key, err := os.ReadFile(publicKey)
	must(t, err)
	for _, file := range []string{"contract.md.tmpl", "terms.yaml.tmpl"} {
		text, err := os.ReadFile(filepath.Join("..", "site", "contract", file))
		must(t, err)
		out["contract/"+file] = &fstest.MapFile{Data: text}
	}
	terms := out["contract/terms.yaml.tmpl"]
	changed := strings.Replace(string(terms.Data), "    of:\n", "    of:\n      second: \""+strings.TrimSpace(string(key))+"\"\n", 1) +
		"retention: {clause: \"§2\", period: 10s}\n"
	if !strings.Contains(changed, "second:") {
		t.Fatal("the demo's contract has no signatories to join")
	}
	terms.Data = []byte(changed)
	return out
}

// sally is what the person types; it has to end with the exit code.
func (s *story) sally(code int, argv ...string) string {
	s.t.Helper()
	r, err := s.person.Run(s.ctx, append([]string{"sally"}, argv...)...)
	must(s.t, err)
	must(s.t, site.Exit(r, code, "sally "+strings.Join(argv, " ")))
	return r.Output
}

// sallyd is what the operator types.
func (s *story) sallyd(code int, argv ...string) string {
	s.t.Helper()
	r, err := s.Operator.Run(s.ctx, append([]string{"sallyd", "--dir", s.ServerDir()}, argv...)...)
	must(s.t, err)
	must(s.t, site.Exit(r, code, "sallyd "+strings.Join(argv, " ")))
	return r.Output
}

var (
	pagePath = regexp.MustCompile(`/requests/[a-z2-7]{26}`)
	serialOf = regexp.MustCompile(`certificate (\d+)`)
	personID = regexp.MustCompile(`"person":\s*"([a-z2-7]{26})"`)
)

// play goes through everything that a person does: logging in on the terminal and
// in a browser, asking, being answered, a certificate and its use, a renewal, a
// cancellation.
func (s *story) play() {
	s.t.Helper()
	must(s.t, s.person.LogIn(s.ctx))
	_, err := s.person.SignIn(s.ctx, "/")
	must(s.t, err)
	_, err = s.Bob.SignIn(s.ctx, "/")
	must(s.t, err)
	found := personID.FindStringSubmatch(s.sally(0, "whoami", "--json"))
	if found == nil {
		s.t.Fatal("sally whoami says no id")
	}
	s.id = found[1]
	s.path = pagePath.FindString(s.sally(0, "request", s.Principal(site.Web1), "--for", "30s", "--because", reason, "--no-wait"))
	page, err := s.Bob.OpenPage(s.ctx, s.path)
	must(s.t, err)
	if !strings.Contains(page.Text(), name) || !strings.Contains(page.Text(), reason) {
		s.t.Errorf("the page does not show who asks, and why: %s", page.Text())
	}
	_, err = s.Bob.Submit(s.ctx, page, s.path+"/decisions", map[string]string{"words": answer}, "approve")
	must(s.t, err)
	s.sally(0, "ssh", s.Principal(site.Web1), "--key-file", "--", "id -un")
	s.oldClaims()
	other := pagePath.FindString(s.sally(0, "request", s.Principal(site.Web2), "--for", "30s", "--because", reason, "--no-wait"))
	s.sally(0, "cancel", strings.TrimPrefix(other, "/requests/"))
}

// oldClaims has the next request renew the login.
func (s *story) oldClaims() {
	s.t.Helper()
	file := s.person.Home(".local", "state", "sallyport", site.Origin, "session.json")
	text, err := os.ReadFile(file)
	must(s.t, err)
	var kept struct {
		ClaimsAt canon.Micros `json:"claims_at"`
	}
	must(s.t, json.Unmarshal(text, &kept))
	must(s.t, os.WriteFile(file, regexp.MustCompile(`"fresh_until_at":\s*\d+`).ReplaceAll(text, []byte(`"fresh_until_at": 1`)), 0o600))
	must(s.t, lab.Poll(s.ctx, "the next second", func() (bool, error) { return time.Now().Unix() > kept.ClaimsAt.Time().Unix()+1, nil }))
}

// export exports the ledger as the operator does, with everything in it.
func (s *story) export(file string) []byte {
	s.t.Helper()
	s.bundle = filepath.Join(s.t.TempDir(), file)
	s.sallyd(0, "ledger", "export", "--out", s.bundle)
	text, err := os.ReadFile(s.bundle)
	must(s.t, err)
	return text
}

// checkBefore: what is looked for later is there now.
func (s *story) checkBefore() {
	s.t.Helper()
	found := strings.Join(s.in(s.export("before.jsonl")), "\n")
	for text := range s.canaries {
		if !strings.Contains(found, text+" (plain)") {
			s.t.Errorf("the story has no %q", text)
		}
	}
	if !strings.Contains(found, "(base64") {
		s.t.Error("no ID token is in the export")
	}
}

// erase has two people ask for it, and the operator do it: not while it is too
// early, nor beside the server, nor for one of them.
func (s *story) erase() {
	s.t.Helper()
	document := s.Operator.Home("erase.json")
	argv := []string{"person", "erase-document", s.id, "--ground", "request", "--out", document}
	if out := s.sallyd(1, argv...); !strings.Contains(out, "too early to erase this person") {
		s.t.Errorf("while it goes on: %s", out)
	}
	must(s.t, lab.Poll(s.ctx, "the retention to end", func() (bool, error) {
		r, err := s.Operator.Run(s.ctx, append([]string{"sallyd", "--dir", s.ServerDir()}, argv...)...)
		if err == nil && r.Code != 0 && !strings.Contains(r.Output, "too early") {
			err = fmt.Errorf("erase-document: %s", r.Output)
		}
		return err == nil && r.Code == 0, err
	}))
	text, err := os.ReadFile(document)
	must(s.t, err)
	erase := []string{"person", "erase", s.id, "--document", document}
	for i, key := range []string{s.SignatoryKey(), s.second()} {
		copied := s.Owner.Home(fmt.Sprintf("erase%d.json", i))
		must(s.t, os.WriteFile(copied, text, 0o600))
		_, err := s.Owner.Must(s.ctx, "sh", "-c", `ssh-keygen -Y sign -n sallyport-erase -f "$0" < "$1" > "$1.sig"`, key, copied)
		must(s.t, err)
		erase = append(erase, "--signed", copied+".sig")
	}
	if out := s.sallyd(1, erase...); !strings.Contains(out, "is in use by another sallyd; stop `sallyd serve` first") {
		s.t.Errorf("beside the server: %s", out)
	}
	s.logs = append(s.logs, s.ServerLog())
	must(s.t, s.StopServing())
	s.backUp()
	if out := s.sallyd(1, erase[:len(erase)-2]...); !strings.Contains(out, "1 of those who sign contract") {
		s.t.Errorf("signed by one: %s", out)
	}
	if out := s.sallyd(0, erase...); !strings.Contains(out, "erased      "+s.id) {
		s.t.Errorf("%s", out)
	}
}

// checkAfter: the server runs, proofs and replay hold, the person is an id; and
// none of their texts is anywhere.
func (s *story) checkAfter() {
	s.t.Helper()
	must(s.t, s.Serve(s.ctx))
	page, err := s.Bob.OpenPage(s.ctx, s.path)
	must(s.t, err)
	if !strings.Contains(page.Text(), "erased person "+s.id) {
		s.t.Errorf("the page says: %s", page.Text())
	}
	if found := s.in([]byte(page.Body)); len(found) > 0 {
		s.t.Errorf("the page has %q", found)
	}
	s.sally(4, "whoami") // the session is gone
	if found := s.in(s.export("after.jsonl")); len(found) > 0 {
		s.t.Errorf("the export has %q", found)
	}
	if out := s.sallyd(0, "ledger", "fsck"); !strings.HasPrefix(out, "ok ") {
		s.t.Errorf("fsck: %s", out)
	}
	s.audit()
	s.logs = append(s.logs, s.ServerLog())
	must(s.t, s.StopServing())
	s.search()
	s.checkForgotten()
	// The account is somebody new's.
	must(s.t, s.Serve(s.ctx))
	must(s.t, s.person.LogIn(s.ctx))
	if out := s.sally(0, "whoami", "--json"); strings.Contains(out, s.id) {
		s.t.Errorf("the account brings the person back: %s", out)
	}
	must(s.t, s.StopServing())
}

// audit verifies the export without the server.
func (s *story) audit() {
	s.t.Helper()
	var manifest struct{ Contract string }
	text, err := os.ReadFile(filepath.Join(s.ContractDir(), "sigs", "acme.c-owner.json"))
	must(s.t, err)
	must(s.t, json.Unmarshal(text, &manifest))
	r, err := s.Auditor.Must(s.ctx, "sally", "audit", "verify", s.bundle, "--pin", s.PinFile(), "--contract", manifest.Contract)
	must(s.t, err)
	if !strings.Contains(r.Stdout, "person erased by leaf ") || !strings.Contains(r.Stdout, " 0 unknown, 0 unjustified") || !strings.Contains(r.Stdout, "\nerased ") {
		s.t.Errorf("audit: %s", r.Stdout)
	}
	serial := serialOf.FindStringSubmatch(r.Stdout)
	if serial == nil {
		s.t.Fatalf("the audit names no certificate: %s", r.Stdout)
	}
	r, err = s.Auditor.Must(s.ctx, "sally", "audit", "explain", serial[1], "--bundle", s.bundle, "--pin", s.PinFile(), "--contract", manifest.Contract)
	must(s.t, err)
	if !strings.Contains(r.Stdout, "erased person "+s.id) || !strings.Contains(r.Stdout, "Bob Example") || len(s.in([]byte(r.Stdout))) > 0 {
		s.t.Errorf("explain: %s", r.Stdout)
	}
}

// search looks into every file of the server, its logs, and the database's.
func (s *story) search() {
	s.t.Helper()
	for _, found := range s.below(s.t, s.ServerDir()) {
		s.t.Errorf("still there: %s", found)
	}
	for _, log := range s.logs {
		text, err := os.ReadFile(log)
		must(s.t, err)
		for _, found := range s.in(text) {
			s.t.Errorf("the log %s has %s", log, found)
		}
	}
	if s.Postgres != nil {
		for _, found := range s.below(s.t, s.Dir.Path("postgres")) {
			s.t.Errorf("still there: %s", found)
		}
	}
}

// backUp copies the folder of a server that stands still.
func (s *story) backUp() {
	s.t.Helper()
	must(s.t, os.CopyFS(s.Dir.Path("backup"), os.DirFS(s.ServerDir())))
}

// restore puts the backup's database back: the server does not start over it, and
// what was erased is in none of its files as clear text.
func (s *story) restore() {
	s.t.Helper()
	if s.Postgres != nil {
		return // its backups are PostgreSQL's
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		must(s.t, os.RemoveAll(filepath.Join(s.ServerDir(), "ledger.db"+end)))
		text, err := os.ReadFile(filepath.Join(s.Dir.Path("backup"), "ledger.db"+end))
		if err == nil {
			err = os.WriteFile(filepath.Join(s.ServerDir(), "ledger.db"+end), text, 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
	}
	task, err := s.Launch(s.ctx)
	must(s.t, err)
	out, err := task.End(s.ctx, 1, "sallyd serve")
	must(s.t, err)
	if !strings.Contains(out, "this database is not the one that was signed for") {
		s.t.Errorf("over the backup: %s", out)
	}
	s.search()
}
