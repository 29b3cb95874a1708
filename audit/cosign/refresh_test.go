package cosign_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestPromiseP12_CosignerVouchesForARefresh: the login that a refresh renews is
// shown for the first time when the refresh is, in another place, and both stand.
func TestPromiseP12_CosignerVouchesForARefresh(t *testing.T) {
	t.Parallel()
	for _, judged := range []bool{true, false} {
		t.Run(fmt.Sprintf("the login was seen before: %t", judged), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "refresh")
			w.pass(time.Minute)
			at := w.m.Clock
			must(t, w.w.LogIn(w.m, w.w.Alice)) // nothing names it
			must(t, w.w.LogIn(w.m, w.w.Bob))
			w.sync()
			if judged {
				must(t, w.judge())
			}
			w.pass(10 * time.Minute)
			w.renew(w.w.Alice, at)
			w.askedFor()
			for range 2 {
				if err := w.judge(); err != nil {
					t.Fatalf("an honest refresh: %v", err)
				}
				w.open()
			}
			if len(w.alarms) > 0 {
				t.Errorf("alarms %v", w.alarms)
			}
		})
	}
}

// renew appends a refresh of u's login of a moment, and the groups in it. No nonce
// is in its ID token.
func (w *world) renew(u *recordtest.User, since canon.Micros) {
	w.t.Helper()
	since -= since % 1e6
	speak := w.w.Token
	defer func() { w.w.Token = speak }()
	w.w.Token = func(u *recordtest.User, f record.PersonLogin, rz canon.Digest) string {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(speak(u, f, rz), ".")[1])
		must(w.t, err)
		var claims map[string]any
		must(w.t, json.Unmarshal(payload, &claims))
		delete(claims, "nonce")
		claims["auth_time"] = since / 1e6
		payload, err = json.Marshal(claims)
		must(w.t, err)
		input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"ec"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
		return input + "." + canon.B64(hostile.SignEC(hostile.Keys().EC, false, 32)([]byte(input)))
	}
	login := w.w.Login(w.m, u)
	facts, ok := login.Facts.(record.PersonLogin)
	if !ok {
		w.t.Fatal("no login")
	}
	facts.Flow, facts.AuthTimeAt = record.FlowRefresh, since
	login.Facts = facts
	at := w.append(login)
	u.Claims = record.Claims{Login: at, Snapshot: w.append(recordtest.Draft{Facts: w.w.Snapshot(w.m, u, at)}), ClaimsAt: facts.ClaimsAt}
}

// renewed returns the login that a refresh renews, as the server finds it: the
// newest before it with the same device key in which the person signed in. It is
// -1 for anything else.
func (w *world) renewed(index int64, facts record.Facts) int64 {
	f, ok := facts.(record.PersonLogin)
	if !ok || f.Flow != record.FlowRefresh {
		return -1
	}
	for at := index - 1; at >= 0; at-- {
		leaf, err := ledger.ParseLeaf(w.entries[at].Text)
		must(w.t, err)
		before, err := record.ParseFacts(leaf.Kind, w.entries[at].Opening.Facts)
		must(w.t, err)
		if l, ok := before.(record.PersonLogin); ok && l.Person == f.Person && l.DeviceKey == f.DeviceKey && l.Flow == record.FlowCode {
			return at
		}
	}
	return -1
}
