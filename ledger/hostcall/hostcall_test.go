package hostcall_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

const (
	origin = "ledger.example/test"
	id     = canon.ID("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	at     = canon.Micros(1_796_112_000_000_000)
)

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func header() hostcall.Header {
	return hostcall.Header{Origin: origin, Host: "web-1.demo", At: at, Nonce: id}
}

// bodies is an honest body of each call.
func bodies(t testing.TB) []hostcall.Body {
	t.Helper()
	key := canon.B64(newKey(t).PublicKey().Marshal())
	return []hostcall.Body{
		hostcall.JoinBody{Invitation: id, HostKey: key},
		hostcall.CertifyBody{HostKey: key},
		hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "0.4.0", Findings: 2, Bundle: 1, KRL: 7, KRLMadeAt: at, KRLTakenAt: at, Spooled: 3},
		hostcall.EventsBody{Events: []hostcall.Event{
			{What: hostcall.Opened, Session: id, Login: "ops", Serial: 12, OpenedAt: at},
			{What: hostcall.Opened, Session: id, Login: "root", OpenedAt: at},
			{What: hostcall.Closed, Session: id, How: hostcall.Over, ClosedAt: at},
			{What: hostcall.Refused, MinuteAt: at, Counts: []hostcall.Count{{Reason: "expired", Count: 1}}},
		}},
		hostcall.EventsBody{Events: []hostcall.Event{{What: hostcall.Offline, Session: id, Login: "ops", Key: offlineKey, OpenedAt: at}}},
	}
}

// offlineKey is a key of a security key, whoever has that.
var offlineKey = canon.B64(sshcerttest.SKEd25519(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))[32:], "ssh:offline"))

// What a host signs is what the server reads, and nothing else verifies.
func TestCalls(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	for _, body := range bodies(t) {
		text, signature, err := hostcall.Sign(rand.Reader, key, header(), body)
		if err != nil {
			t.Fatalf("%s: %v", body.Call(), err)
		}
		h, read, err := hostcall.Parse(text)
		if err != nil || h != header() || read.Call() != body.Call() {
			t.Errorf("%s is read as %+v %+v, %v", text, h, read, err)
		}
		if again, err := hostcall.New(h, read); err != nil || again != text {
			t.Errorf("%s is written as %s, %v", text, again, err)
		}
		if err := hostcall.Verify(key.PublicKey(), text, signature); err != nil {
			t.Errorf("%s: %v", body.Call(), err)
		}
		for name, err := range map[string]error{
			"another key":  hostcall.Verify(other.PublicKey(), text, signature),
			"another text": hostcall.Verify(key.PublicKey(), text+" ", signature),
			"no signature": hostcall.Verify(key.PublicKey(), text, ""),
		} {
			if !errors.Is(err, hostcall.ErrCall) {
				t.Errorf("%s, %s: %v", body.Call(), name, err)
			}
		}
		device, err := sshcert.Sign(rand.Reader, key, sshcert.NamespaceDevice, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := hostcall.Verify(key.PublicKey(), text, device); !errors.Is(err, hostcall.ErrCall) {
			t.Errorf("%s, signed for something else: %v", body.Call(), err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	list := bodies(t)
	text := func(n int) string {
		s, err := hostcall.New(header(), list[n])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	join, certify, heartbeat, events, offline := text(0), text(1), text(2), text(3), text(4)
	plain := canon.B64(newKey(t).PublicKey().Marshal())
	for _, tt := range []struct{ name, text, old, with string }{
		{"nothing", "", "", ""},
		{"no object", "[]", "", ""},
		{"another version", join, "host-call/v1", "host-call/v2"},
		{"no such call", join, `"call":"join"`, `"call":"leave"`},
		{"another call's body", join, `"call":"join"`, `"call":"certify"`},
		{"no ledger", join, `"origin":"` + origin + `"`, `"origin":"x","x":1`},
		{"a member more", join, `{"at":`, `{"aa":1,"at":`},
		{"a member twice", join, `{"at":`, `{"at":1,"at":`},
		{"white space", join, `{"at":`, `{ "at":`},
		{"no host", join, `"host":"web-1.demo"`, `"host":"Web"`},
		{"a host with a line", join, `"host":"web-1.demo"`, `"host":"web\n1"`},
		{"no nonce", join, `"nonce":"` + string(id) + `"`, `"nonce":"x"`},
		{"no invitation", join, `"invitation":"` + string(id) + `"`, `"invitation":"x"`},
		{"no time", join, `{"at":1796112000000000`, `{"at":0`},
		{"no key", certify, `"host_key":"AAAA`, `"host_key":"BBBB`},
		{"another mode", heartbeat, `"mode":"require"`, `"mode":"maybe"`},
		{"a version that is text", heartbeat, `"verifier":"0.4.0"`, `"verifier":"<b>0</b>"`},
		{"less than nothing", heartbeat, `"findings":2`, `"findings":-2`},
		{"too large", heartbeat, `"verifier":"0.4.0"`, `"verifier":"` + strings.Repeat("0", 65) + `"`},
		{"no events", events, events[strings.Index(events, `"events":[`)+10 : strings.Index(events, `]},"call"`)], ""},
		{"no such event", events, `"what":"close"`, `"what":"leave"`},
		{"a login without account", events, `"login":"ops",`, ``},
		{"an account that is none", events, `"login":"ops"`, `"login":"ops,root"`},
		{"an end in another way", events, `"how":"over"`, `"how":"<i>"`},
		{"an end with an account", events, `"how":"over"`, `"how":"over","login":"ops"`},
		{"half a minute", events, `"minute_at":1796112000000000`, `"minute_at":1796112030000000`},
		{"no count", events, `"count":1`, `"count":0`},
		{"a reason that is text", events, `"reason":"expired"`, `"reason":"ex pired"`},
		{"an offline login by a key that can be copied", offline, `"key":"` + offlineKey + `"`, `"key":"` + plain + `"`},
		{"an offline login by no key", offline, `"key":"` + offlineKey + `",`, ``},
		{"an offline login without account", offline, `"login":"ops",`, ``},
		{"an offline login at no time", offline, `"opened_at":1796112000000000,`, ``},
		{"an offline login by a certificate", offline, `"session":`, `"serial":4,"session":`},
		{"a login by an offline key", offline, `"what":"offline"`, `"what":"open"`},
		{"a refusal with a session", events, `"minute_at":`, `"minute_at":1796112000000000,"session":"` + string(id) + `","x":`},
	} {
		bad := tt.text
		if tt.old != "" {
			if strings.Count(tt.text, tt.old) != 1 {
				t.Fatalf("%s: %q stands %d times in %s", tt.name, tt.old, strings.Count(tt.text, tt.old), tt.text)
			}
			bad = strings.Replace(tt.text, tt.old, tt.with, 1)
		}
		if _, _, err := hostcall.Parse(bad); !errors.Is(err, hostcall.ErrCall) {
			t.Errorf("%s: %s: %v", tt.name, bad, err)
		}
	}
	many := hostcall.EventsBody{}
	for range hostcall.MaxEvents + 1 {
		many.Events = append(many.Events, hostcall.Event{What: hostcall.Closed, Session: id, How: hostcall.Left, ClosedAt: at})
	}
	if _, err := hostcall.New(header(), many); !errors.Is(err, hostcall.ErrCall) {
		t.Errorf("%d events: %v", len(many.Events), err)
	}
	if _, _, err := hostcall.Parse(`{"at":"` + strings.Repeat("x", hostcall.MaxDocument) + `"}`); !errors.Is(err, hostcall.ErrCall) {
		t.Errorf("a long text: %v", err)
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		off time.Duration
		ok  bool
	}{{0, true}, {hostcall.Skew, true}, {-hostcall.Skew, true}, {hostcall.Skew + time.Microsecond, false}, {-hostcall.Skew - time.Microsecond, false}, {10 * time.Minute, false}} {
		err := header().Fresh(canon.At(at.Time().Add(tt.off)))
		if (err == nil) != tt.ok || (err != nil && !errors.Is(err, hostcall.ErrCall)) {
			t.Errorf("%s off: %v", tt.off, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, body := range bodies(f) {
		text, err := hostcall.New(header(), body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(`{}`)
	f.Add(`{"call":"join"}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, body, err := hostcall.Parse(text)
		if err != nil {
			if !errors.Is(err, hostcall.ErrCall) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if again, err := hostcall.New(h, body); err != nil || again != text {
			t.Errorf("%q is written as %q, %v", text, again, err)
		}
	})
}
