package record_test

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func TestOpenSessionRefuses(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	device := w.Alice.Device
	text := marshal(t, record.SessionDoc{V: record.SessionVersion, Origin: recordtest.Origin, Server: "https://ca.acme.example", IDToken: recordtest.TokenDigest("a.b.c"), Challenge: w.Digest()})
	sig := w.Signature(device, sshcert.NamespaceDevice, text)
	if _, err := record.OpenSession(text, sig, device.PublicKey()); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(text, "session/v1", "session/v2", 1)
	ask := w.Ask(w.NewMap(), w.Alice)
	ask.Doc.Commitment = w.Digest()
	request := marshal(t, ask.Doc)
	for _, tt := range []struct{ name, text, sig string }{
		{"another text", strings.Replace(text, "ledger", "Ledger", 1), sig},
		{"another key", text, w.Signature(w.Key(), sshcert.NamespaceDevice, text)},
		{"another purpose", text, w.Signature(device, sshcert.NamespacePossession, text)},
		{"another version", other, w.Signature(device, sshcert.NamespaceDevice, other)},
		{"another document", request, w.Signature(device, sshcert.NamespaceDevice, request)},
		{"no signature", text, ""},
		{"nothing", "", w.Signature(device, sshcert.NamespaceDevice, "")},
		{"over 1 MiB", strings.Repeat(" ", 1<<20+1), sig},
	} {
		if _, err := record.OpenSession(tt.text, tt.sig, device.PublicKey()); !errors.Is(err, record.ErrDocument) {
			t.Errorf("%s: %v, want ErrDocument", tt.name, err)
		}
	}
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFresh(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		expires time.Duration
		ok      bool
	}{
		{"just expired", -time.Microsecond, false},
		{"expires now", 0, true},
		{"as clients write it", 5 * time.Minute, true},
		{"by a clock a minute ahead", 6 * time.Minute, true},
		{"by a clock further ahead", 6*time.Minute + time.Microsecond, false},
	} {
		err := record.Fresh(canon.At(now.Add(tt.expires)), now, record.DocumentLife)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, record.ErrDocument) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Facts and person parts are read back as they were written, each as its own
// kind only, and with no member missing or added.
func TestFactsHaveOneText(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	everyKind(t, w, m)
	for _, e := range m.Entries {
		f, err := record.ParseFacts(e.Leaf.Kind, e.Facts)
		if err != nil || marshal(t, f) != string(e.Facts) {
			t.Errorf("%s: read as %+v, %v", e.Leaf.Kind, f, err)
			continue
		}
		if e.Person != nil {
			p, err := record.ParsePerson(e.Leaf.Kind, e.Person)
			if err != nil || marshal(t, p) != string(e.Person) {
				t.Errorf("%s: person part read as %+v, %v", e.Leaf.Kind, p, err)
			}
		} else if _, err := record.ParsePerson(e.Leaf.Kind, []byte(`{"reason":"x"}`)); !errors.Is(err, record.ErrEvent) && e.Leaf.Kind != "request.submit" {
			t.Errorf("%s has a person part: %v", e.Leaf.Kind, err)
		}
		for _, other := range m.Entries {
			if other.Leaf.Kind == e.Leaf.Kind {
				continue
			}
			if _, err := record.ParseFacts(other.Leaf.Kind, e.Facts); !errors.Is(err, record.ErrEvent) {
				t.Errorf("the facts of %s pass as those of %s: %v", e.Leaf.Kind, other.Leaf.Kind, err)
			}
		}
		for name, text := range map[string]string{
			"a member more":    strings.Replace(string(e.Facts), `{`, `{"aaa":1,`, 1),
			"a member missing": regexp.MustCompile(`"at":[0-9]+,`).ReplaceAllString(string(e.Facts), ""),
			"white space":      string(e.Facts) + " ",
		} {
			if _, err := record.ParseFacts(e.Leaf.Kind, []byte(text)); !errors.Is(err, record.ErrEvent) {
				t.Errorf("%s, %s: %v, want ErrEvent", e.Leaf.Kind, name, err)
			}
		}
	}
	for _, kind := range []ledger.Kind{"moon.landing", ""} {
		if _, err := record.ParsePerson(kind, []byte(`{"reason":"x"}`)); !errors.Is(err, record.ErrEvent) {
			t.Errorf("person part of kind %q: %v", kind, err)
		}
		if _, err := record.ParseFacts(kind, []byte(`{"at":1}`)); !errors.Is(err, record.ErrEvent) {
			t.Errorf("facts of kind %q: %v", kind, err)
		}
	}
}

// everyKind appends a leaf of each kind that Setup has left out.
func everyKind(t testing.TB, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	silent, unwanted := w.Ask(m, w.Alice), w.Ask(m, w.Alice)
	granted := w.Granted(m, 300)
	issue, err := w.Issue(m, w.Alice, granted, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []recordtest.Draft{plain(issue), w.Submit(m, w.Alice, silent), w.Submit(m, w.Alice, unwanted)} {
		if _, err := m.Append(d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Append(plain(w.Cancel(m, w.Alice, w.Request(m, unwanted.Doc.Request)))); err != nil {
		t.Fatal(err)
	}
	row, err := record.Certificate(m, issue.Serial)
	if err != nil {
		t.Fatal(err)
	}
	for _, purpose := range []record.KeyPurpose{record.KeyHostCA, record.KeyKRL} {
		if _, err := m.Append(plain(w.AddKey(m, purpose))); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []recordtest.Draft{
		w.Lock(m, w.Carol), w.Revoke(m, w.Bob, w.Version, record.Target{Type: record.TargetGrant, ID: granted.ID}),
	} {
		if _, err := m.Append(d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Append(w.Unlock(m, w.Carol)); err != nil {
		t.Fatal(err)
	}
	audited := w.Audited()
	w.PutInForce(m, audited)
	if _, err := m.Append(plain(w.Read(m, w.Carol, audited, 6, 8))); err != nil {
		t.Fatal(err)
	}
	everyHostKind(t, w, m, issue.Serial)
	amended(t, w, m)
	m.Clock += micros(15 * time.Minute)
	for _, d := range []recordtest.Draft{plain(w.Expire(m, w.Request(m, silent.Doc.Request))), plain(w.Void(m, row)), w.Link(m, w.Alice, w.Carol)} {
		if _, err := m.Append(d); err != nil {
			t.Fatal(err)
		}
	}
	m.Clock += micros(366 * 24 * time.Hour)
	if _, err := m.Append(plain(w.Erase(m, w.Chris, w.Dana, w.Bob))); err != nil {
		t.Fatal(err)
	}
}

// everyHostKind appends a leaf of each kind about hosts.
func everyHostKind(t testing.TB, w *recordtest.World, m *recordtest.Map, serial uint64) {
	t.Helper()
	fleet, key := w.Fleet(), w.Key()
	w.PutInForce(m, fleet)
	add := func(f record.Facts) canon.Digest {
		leaf, err := m.Append(plain(f))
		if err != nil {
			t.Fatalf("%s: %v", f.Kind(), err)
		}
		return leaf
	}
	invite := w.Invite(m, w.Bob, fleet, "db-1.demo", "demo", []byte("secret"))
	add(w.Accept(m, invite, add(invite), key))
	add(w.Certify(m, "db-1.demo", key))
	change := w.ID()
	add(w.Label(m, w.Bob, fleet, "db-1.demo", change, "prod"))
	add(w.Label(m, w.Carol, fleet, "db-1.demo", change, "prod"))
	enter := w.Enter(m, w.Version, "web-1.demo", serial)
	add(w.Leave(m, enter, add(enter)))
	add(w.Enter(m, fleet, "db-1.demo", 0))
	add(w.Refuse(m, fleet, "db-1.demo"))
	add(w.Offline(m, fleet, "db-1.demo"))
	add(w.Retire(m, w.Bob, fleet, "db-1.demo"))
	add(w.Release(m, w.Bob, fleet, "db-1.demo", w.Version.Lineage()))
}

func TestServerURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://CA.Acme.Example/":        "https://ca.acme.example",
		"https://ca.acme.example:443/x?y": "https://ca.acme.example",
		"HTTPS://ca.acme.example:8443":    "https://ca.acme.example:8443",
		"http://127.0.0.1:80":             "http://127.0.0.1",
		"http://127.0.0.1:443":            "http://127.0.0.1:443",
		"http://user:pw@localhost:8080/#": "http://localhost:8080",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := record.ServerURL(u); got != want {
			t.Errorf("%s is spelled %s, want %s", in, got, want)
		}
	}
}

func TestCountWords(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]int{
		"":                            0,
		" \t ":                        0,
		"because":                     1,
		"INC-42 checkout latency":     3,
		"... -- !!":                   0,
		"... because ...":             1,
		"\u3164 \u115f \u1160 \uffa0": 0,
		"\u3164x 4":                   2,
		"日本語 を":                       2,
		"a\u00a0b\u2003c":             3,
		"👍 👍":                         0,
	} {
		if got := record.CountWords(reason); got != want {
			t.Errorf("%q has %d words, want %d", reason, got, want)
		}
	}
}
