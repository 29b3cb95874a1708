package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/clischema"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

// told is the bundle that package audit has as a vector, with what an auditor of
// it knows.
type told struct {
	bundle  string // path
	text    []byte
	pin     Pin
	pinFile string
	options AuditOptions
}

func newTold(t *testing.T) told {
	t.Helper()
	dir := filepath.Join("..", "audit", "testdata")
	b := told{bundle: filepath.Join(dir, "bundle.jsonl"), pinFile: filepath.Join(t.TempDir(), "pin.txt")}
	var err error
	if b.text, err = os.ReadFile(b.bundle); err != nil {
		t.Fatal(err)
	}
	var v struct {
		LogKey    string   `json:"log_key"`
		UserCA    string   `json:"user_ca"`
		Contracts []string `json:"contracts"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "verdicts.json"))
	if err := errors.Join(err, json.Unmarshal(text, &v)); err != nil {
		t.Fatal(err)
	}
	wire, err := canon.ParseB64(v.UserCA)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.ParsePublicKey(wire)
	if err != nil {
		t.Fatal(err)
	}
	b.pin = Pin{Origin: "ledger.example/test", LogKey: v.LogKey, CA: ca}
	b.write(t, b.pinFile, []byte(b.pin.String()))
	b.options = AuditOptions{Pin: b.pinFile, Contracts: v.Contracts}
	return b
}

func (b told) write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// changed is the bundle with one replacement, in a file of its own.
func (b told) changed(t *testing.T, from, to string) string {
	t.Helper()
	if !bytes.Contains(b.text, []byte(from)) {
		t.Fatalf("the bundle has no %q", from)
	}
	path := filepath.Join(t.TempDir(), "bundle.jsonl")
	b.write(t, path, bytes.Replace(b.text, []byte(from), []byte(to), 1))
	return path
}

// closed is the bundle without what leaf i hides, and without the certificates.
func (b told) closed(t *testing.T, i int) string {
	t.Helper()
	var out bytes.Buffer
	r, err := audit.NewReader(bytes.NewReader(b.text))
	if err != nil {
		t.Fatal(err)
	}
	w, err := audit.NewWriter(&out, r.Head())
	for range r.Head().Size {
		e, readErr := r.Next()
		if e.Index == int64(i) {
			e = audit.Entry{Index: e.Index, Text: e.Text}
		}
		if err := errors.Join(err, readErr, w.Leaf(e)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = r.Next() // the last line
	if _, err := w.Close([]byte(r.End().Checkpoint)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "closed.jsonl")
	b.write(t, path, out.Bytes())
	return path
}

// sentence is what an error says, if there is one.
func sentence(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func TestAuditVerifyTellsEachVerdict(t *testing.T) {
	t.Parallel()
	b := newTold(t)
	for _, tt := range []struct {
		name, bundle string
		waive        []string
		code         int
		out          []string
		err          string
	}{
		{"whole", b.bundle, nil, ExitOK, []string{
			"✓ certificate 24  attested  root@web-1.demo root@web-2.demo  until 2026-12-01 08:02:25Z\n",
			"✓ certificate 25  attested  root@web-1.demo root@web-2.demo  until 2026-12-01 08:02:25Z; void by leaf 25\n",
			"\nledger       ledger.example/test, 43 leaves, root ", ", under a checkpoint that the pinned log key signed\n",
			"\ncontract     acme version 1, ", ", signed by chris for acme, dana for acme, in force from 2026-12-01 08:00:00Z; its version 1 is one that you named\n",
			"\ncertificates 3: 0 proved, 3 attested, 0 unknown, 0 unjustified; of these 1 void, and 0 without a signed one\n",
		}, ""},
		{"a closed leaf", b.closed(t, 9), nil, ExitFailed, []string{
			"? certificate 24  unknown  root@web-1.demo root@web-2.demo  until 2026-12-01 08:02:25Z; leaf 9 (person.snapshot): its facts are not shown\n",
			"\nclosed       1 leaf whose facts the bundle does not show\n",
		}, "the ledger does not pass: 3 of 3 certificates; ask whoever runs it, and keep the bundle"},
		{"waived", b.closed(t, 9), []string{"leaf:9"}, ExitOK, []string{"? certificate 24  unknown, waived  "}, ""},
		{"a waiver too many", b.bundle, []string{"leaf:9"}, ExitOK, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := AuditVerifyOptions{Env: w.Env, AuditOptions: b.options, Bundle: tt.bundle}
			o.Waive = tt.waive
			wantExit(t, AuditVerify(t.Context(), o), tt.code, sentence(tt.err)...)
			for _, want := range tt.out {
				if !strings.Contains(w.stdout(), want) {
					t.Errorf("no %q in\n%s", want, w.stdout())
				}
			}
			j := newWorld(t)
			o.Env, o.JSON = j.Env, true
			wantExit(t, AuditVerify(t.Context(), o), tt.code, sentence(tt.err)...)
			wantSchema(t, "audit verify", j.stdout())
			if idle := strings.Contains(w.stderr(), "--waive leaf:9: there is nothing unknown by that name"); idle != (tt.name == "a waiver too many") {
				t.Errorf("on standard error: %s", w.stderr())
			}
		})
	}
}

// wantSchema holds a result to what docs/cli.schema.json says of the verb.
func wantSchema(t *testing.T, verb, text string) {
	t.Helper()
	schema, err := clischema.Load("../docs/cli.schema.json")
	if err == nil {
		err = schema.Check(verb, []byte(text))
	}
	if err != nil {
		t.Error(err)
	}
}

func TestAuditVerifyJSON(t *testing.T) {
	t.Parallel()
	b, w := newTold(t), newWorld(t)
	o := AuditVerifyOptions{Env: w.Env, AuditOptions: b.options, Bundle: b.bundle}
	o.JSON = true
	if err := AuditVerify(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantSchema(t, "audit verify", w.stdout())
	var out auditResult
	if err := json.Unmarshal([]byte(w.stdout()), &out); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, p := range out.Report.Certificates[0].Parts {
		parts = append(parts, string(p.Name)+" "+string(p.Verdict))
		if p.By == "" {
			t.Errorf("%s: nobody vouches for it", p.Name)
		}
	}
	if want := "contract proved, request attested, decision attested, decision attested, decision attested, certificate proved"; !out.OK || strings.Join(parts, ", ") != want {
		t.Errorf("ok = %t, parts %v, want %s", out.OK, parts, want)
	}
}

func TestAuditVerifyRefuses(t *testing.T) {
	t.Parallel()
	b := newTold(t)
	other := filepath.Join(t.TempDir(), "other.txt")
	f := newFake(t)
	b.write(t, other, []byte(f.pin.String()))
	note := filepath.Join(t.TempDir(), "note")
	b.write(t, note, f.log.Checkpoint(0))
	long := filepath.Join(t.TempDir(), "long")
	b.write(t, long, make([]byte, 20<<10))
	witness := ledgertest.Cosigner(t, "witness.example/1").PublicKey()
	with := func(bend func(*AuditVerifyOptions)) AuditVerifyOptions {
		o := AuditVerifyOptions{AuditOptions: b.options, Bundle: b.bundle}
		bend(&o)
		return o
	}
	for _, tt := range []struct {
		name string
		o    AuditVerifyOptions
		code int
		want string
	}{
		{"no keys", with(func(o *AuditVerifyOptions) { o.Pin = "" }), ExitUsage, "say whose ledger it is: --pin FILE, or --log-key VKEY"},
		{"both", with(func(o *AuditVerifyOptions) { o.LogKeys = []string{b.pin.LogKey} }), ExitUsage, "--pin and --log-key: one of them"},
		{"a log key that is none", with(func(o *AuditVerifyOptions) { o.Pin, o.LogKeys = "", []string{"x"} }), ExitUsage, "--log-key: "},
		{"no contract", with(func(o *AuditVerifyOptions) { o.Contracts = nil }), ExitUsage, "--contract DIGEST: name version 1 of each contract"},
		{"a contract that is no digest", with(func(o *AuditVerifyOptions) { o.Contracts = []string{"acme"} }), ExitUsage, `--contract "acme": the digest of a contract's version 1`},
		{"the zero digest", with(func(o *AuditVerifyOptions) { o.Contracts = []string{strings.Repeat("A", 43)} }), ExitUsage, "--contract"},
		{"a witness that is none", with(func(o *AuditVerifyOptions) { o.Witnesses = []string{"x"} }), ExitUsage, `--witness: "x": not a cosigner's key`},
		{"a cosigner that is none", with(func(o *AuditVerifyOptions) { o.Cosigners = []string{b.pin.LogKey} }), ExitUsage, "--cosigner: "},
		{"a witness that is a party, too", with(func(o *AuditVerifyOptions) {
			o.Cosigners, o.Witnesses = []string{witness}, []string{witness}
		}), ExitUsage, "--cosigner, --witness: not a ledger policy: two cosigners are named witness.example/1"},
		{"a witness that did not confirm", with(func(o *AuditVerifyOptions) { o.Witnesses = []string{witness} }), ExitFailed, "have confirmed this ledger: 0 of 1; nothing in it counts"},
		{"a waiver of everything", with(func(o *AuditVerifyOptions) { o.Waive = []string{"all"} }), ExitUsage, `--waive: waiver "all": `},
		{"no pin file", with(func(o *AuditVerifyOptions) { o.Pin = "nowhere" }), ExitFailed, "reading the pin file"},
		{"no checkpoint file", with(func(o *AuditVerifyOptions) { o.Checkpoint = "nowhere" }), ExitFailed, "--checkpoint: "},
		{"a checkpoint that is none", with(func(o *AuditVerifyOptions) { o.Checkpoint = b.pinFile }), ExitFailed, "not a checkpoint"},
		{"a checkpoint of another ledger", with(func(o *AuditVerifyOptions) { o.Checkpoint = note }), ExitFailed, "not the log's origin"},
		{"a checkpoint without end", with(func(o *AuditVerifyOptions) { o.Checkpoint = long }), ExitFailed, "at most 16384 are read"},
		{"no bundle", with(func(o *AuditVerifyOptions) { o.Bundle = "nowhere" }), ExitFailed, "there is no bundle nowhere"},
		{"a folder", with(func(o *AuditVerifyOptions) { o.Bundle = t.TempDir() }), ExitFailed, "reading the bundle"},
		{"something else", with(func(o *AuditVerifyOptions) { o.Bundle = b.pinFile }), ExitFailed, "line 1: not a whole export bundle"},
		{"another ledger", with(func(o *AuditVerifyOptions) { o.Pin = other }), ExitFailed, "the bundle is not of the ledger that you pinned; nothing in it counts"},
		{
			"a changed fact", with(func(o *AuditVerifyOptions) { o.Bundle = b.changed(t, `"port":22`, `"port":23`) }), ExitFailed,
			"line 6: the facts: it is not what the leaf commits to; nothing in it counts",
		},
		{
			"a changed leaf", with(func(o *AuditVerifyOptions) { o.Bundle = b.changed(t, `\nhost.join\n`, `\nhost.left\n`) }), ExitFailed,
			"the 43 leaves do not have the root that the checkpoint signs; nothing in it counts",
		},
		{
			"a changed checkpoint", with(func(o *AuditVerifyOptions) {
				o.Bundle = b.changed(t, `"checkpoint":"ledger.example/test\n43`, `"checkpoint":"ledger.example/test\n44`)
			}), ExitFailed,
			"does not verify; nothing in it counts",
		},
		{"cut off", with(func(o *AuditVerifyOptions) {
			o.Bundle = filepath.Join(t.TempDir(), "cut.jsonl")
			b.write(t, o.Bundle, b.text[:len(b.text)/2])
		}), ExitFailed, "not a whole export bundle: the file ends here"},
		{"another contract", with(func(o *AuditVerifyOptions) { o.Contracts = []string{canon.Sum("x").String()} }), ExitFailed, "the ledger does not pass: 3 of 3 certificates, and 2 findings"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.o.Env = w.Env
			wantExit(t, AuditVerify(t.Context(), tt.o), tt.code, tt.want)
		})
	}
	w := newWorld(t)
	o := AuditVerifyOptions{Env: w.withEnv("SALLY_PIN", b.pinFile), AuditOptions: b.options, Bundle: b.bundle}
	o.Pin = ""
	wantExit(t, AuditVerify(t.Context(), o), ExitOK)
}

func TestAuditExplainTellsTheStory(t *testing.T) {
	t.Parallel()
	b := newTold(t)
	for _, tt := range []struct {
		name, serial, bundle string
		code                 int
		want                 []string
	}{
		{"attested", "24", b.bundle, ExitOK, []string{
			"✓ certificate 24 of ledger.example/test: attested\n  for root@web-1.demo, root@web-2.demo, from 2026-12-01 08:00:23Z to 2026-12-01 08:02:25Z\n  of Alice <alice@acme.example> (person ",
			"\nContract acme version 1\n  digest ", "  [leaf 1, proved]\n  signed by chris as owner of acme  [leaf 2]\n",
			"\n  | §2 Administrators\n  | \n  | Two leads and an owner agree.\n",
			" asked for root on web-1.demo, web-2.demo for 10m0s, as admin  [leaf 19, attested]\n  | INC-42 checkout latency\n",
			"  in a login through https://login.acme.example, groups engineers, as said at 2026-12-01 08:00:00Z  [leaf 6]\n",
			"to which the ID token of the login in leaf 6 is bound",
			"Bob <bob@acme.example> (person ", " approved it for 6m40s at most, in stage lead  [leaf 20, attested]\n  | seen the ticket\n",
			": erased person ", " (leaf 42) approved it for ", "in stage owner  [leaf 22, attested]",
			"\nCertificate\n  2026-12-01 08:00:25Z: recorded for key SHA256:", "[leaf 23, proved]\n  made again from the grant, byte for byte",
			"\nLogins on hosts\n  no host has reported one\n",
		}},
		{"void", "25", b.bundle, ExitOK, []string{"✓ certificate 25 of", "  void: it was never signed  [leaf 25]\n"}},
		{"unknown", "24", b.closed(t, 9), ExitFailed, []string{
			"? certificate 24 of ledger.example/test: unknown\n  because of leaf 9 (person.snapshot): its facts are not shown\n", "Bob <bob@acme.example>",
		}},
		{"without the contract", "24", b.closed(t, 1), ExitFailed, []string{"\n  its text is not shown\n"}},
		{"without the request", "24", b.closed(t, 19), ExitFailed, []string{"\n  it is not shown, or was never made\n", "not shown: 1 leaf of this contract; some may belong here"}},
		{"without her login", "24", b.closed(t, 6), ExitFailed, []string{"in a login that is not shown  [leaf 6]"}},
		{"without itself", "24", b.closed(t, 23), ExitFailed, []string{"? certificate 24 of", "Contract whose version is not shown"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wantExit(t, AuditExplain(t.Context(), AuditExplainOptions{Env: w.Env, AuditOptions: b.options, Serial: tt.serial, Bundle: tt.bundle}), tt.code)
			for _, want := range tt.want {
				if !strings.Contains(w.stdout(), want) {
					t.Errorf("no %q in\n%s", want, w.stdout())
				}
			}
			j := newWorld(t)
			o := AuditExplainOptions{Env: j.Env, AuditOptions: b.options, Serial: tt.serial, Bundle: tt.bundle}
			o.JSON = true
			wantExit(t, AuditExplain(t.Context(), o), tt.code)
			wantSchema(t, "audit explain", j.stdout())
		})
	}
}

func TestAuditExplainRefuses(t *testing.T) {
	t.Parallel()
	b := newTold(t)
	for _, tt := range []struct {
		name, serial string
		bend         func(*AuditExplainOptions)
		code         int
		want         string
	}{
		{"no number", "x", func(*AuditExplainOptions) {}, ExitUsage, `SERIAL "x": a number from 1`},
		{"zero", "0", func(*AuditExplainOptions) {}, ExitUsage, "a number from 1"},
		{"another spelling", "024", func(*AuditExplainOptions) {}, ExitUsage, "a number from 1"},
		{"another kind", "23", func(*AuditExplainOptions) {}, ExitFailed, "there is no certificate 23: leaf 22 is of another kind"},
		{"beyond", "44", func(*AuditExplainOptions) {}, ExitFailed, "there is no certificate 44: the bundle has 43 leaves"},
		{"without bundle and login", "24", func(o *AuditExplainOptions) { o.Bundle, o.Pin = "", "" }, ExitLogin, "log in first"},
		{"the server's, by another pin", "24", func(o *AuditExplainOptions) { o.Bundle = "" }, ExitUsage, "go with --bundle FILE"},
		{"of a pipe", "24", func(o *AuditExplainOptions) { o.Bundle = "/dev/null" }, ExitUsage, "give a file and no pipe"},
		{"of a changed bundle", "24", func(o *AuditExplainOptions) { o.Bundle = b.changed(t, `"port":22`, `"port":23`) }, ExitFailed, "nothing in it counts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := AuditExplainOptions{Env: newWorld(t).Env, AuditOptions: b.options, Serial: tt.serial, Bundle: b.bundle}
			tt.bend(&o)
			wantExit(t, AuditExplain(t.Context(), o), tt.code, tt.want)
		})
	}
}

// exporting is somebody who is logged in at a server that answers exports with h.
func (b told) exporting(t *testing.T, h http.HandlerFunc) *world {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ledger/export", h)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	err = saveLogin(w.root, authority{server: at, pin: b.pin, issuer: "acme/lab"}, session{
		Server: server.URL, Origin: b.pin.Origin, Person: newID(t), Who: "Alice", ExpiresAt: canon.At(time.Now().Add(time.Hour)),
		Bearer: strings.Repeat("b", 43), DeviceKey: string(pem.EncodeToMemory(block)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLedgerExportChecksWhatItGets(t *testing.T) {
	t.Parallel()
	b := newTold(t)
	whole := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b.text) }
	broken := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(b.text[:len(b.text)/2])
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		code   int
		want   string
		kept   bool
	}{
		{"whole", whole, ExitOK, "", true},
		{"broken off", broken, ExitUnreachable, "does not answer", false},
		{"too short", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b.text[:len(b.text)/2]) }, ExitFailed, "is kept, show it to whoever gave you the pin file", true},
		{"changed", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Replace(b.text, []byte(`"port":22`), []byte(`"port":23`), 1))
		}, ExitFailed, "the server's export is not what the pinned ledger holds: line 6", true},
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"type":"/problems/unavailable","title":"not available now","status":503,"detail":"others are exporting the ledger"}`))
		}, ExitUnreachable, "others are exporting the ledger", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := b.exporting(t, tt.answer)
			out := filepath.Join(t.TempDir(), "ledger.jsonl")
			wantExit(t, LedgerExport(t.Context(), LedgerExportOptions{Env: w.Env, Out: out}), tt.code, sentence(tt.want)...)
			info, err := os.Stat(out)
			if kept := err == nil; kept != tt.kept || kept && info.Mode().Perm() != 0o600 {
				t.Errorf("the file: %v, %v", info, err)
			}
			if tt.code == ExitOK && !strings.Contains(w.stdout(), out+"\n43 leaves of ledger.example/test under a checkpoint that the pinned log key signed; you are shown the facts of 43, the person parts of ") {
				t.Errorf("it says %s", w.stdout())
			}
		})
	}
	w := b.exporting(t, whole)
	there := filepath.Join(t.TempDir(), "there")
	b.write(t, there, []byte("evidence"))
	wantExit(t, LedgerExport(t.Context(), LedgerExportOptions{Env: w.Env, Out: there}), ExitFailed, "is there already; an export replaces nothing")
	wantExit(t, LedgerExport(t.Context(), LedgerExportOptions{Env: w.Env}), ExitUsage, "--out FILE")
	wantExit(t, LedgerExport(t.Context(), LedgerExportOptions{Env: newWorld(t).Env, Out: there + "2"}), ExitLogin, "log in first")
	if text, err := os.ReadFile(there); err != nil || string(text) != "evidence" {
		t.Errorf("the file that was there: %q, %v", text, err)
	}
	// The story, of what the server shows.
	o := AuditExplainOptions{Env: w.Env, AuditOptions: AuditOptions{Contracts: b.options.Contracts}, Serial: "24"}
	wantExit(t, AuditExplain(t.Context(), o), ExitOK)
	if !strings.Contains(w.stdout(), "✓ certificate 24 of ledger.example/test: attested") {
		t.Errorf("it says %s", w.stdout())
	}
	left, err := filepath.Glob(filepath.Join(w.root, "*", ".explain-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
