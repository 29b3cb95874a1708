package client

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
)

// What hosts tell of a certificate, and what took it away, is its story; what they tell
// of others is not.
func TestStoryOfSessions(t *testing.T) {
	t.Parallel()
	s := &story{certificate: audit.Certificate{Serial: 8, Leaf: 7, Request: "mine"}}
	at := canon.Micros(1_795_000_000_000_000)
	s.takeSession(9, record.LoginOpen{Serial: 8, Session: "a", Host: "web-1.demo", Login: "root", OpenedAt: at})
	s.takeSession(10, record.LoginOpen{Serial: 9, Session: "b", Host: "web-2.demo", Login: "root", OpenedAt: at})
	s.takeSession(11, record.LoginOpen{Serial: 8, Session: "c", Host: "web-3.demo", Login: "ops", OpenedAt: at, Finding: record.LoginElsewhere})
	s.takeSession(12, record.LoginClose{Session: "b", How: hostcall.Left, ClosedAt: at})
	s.takeSession(13, record.LoginClose{Session: "a", How: hostcall.Revoked, ClosedAt: at + 1_000_000})
	for _, tt := range []struct {
		index  int64
		target record.Target
	}{
		{3, record.Target{Type: record.TargetCertificate, Serial: 8}}, // before it was there
		{14, record.Target{Type: record.TargetCertificate, Serial: 9}},
		{15, record.Target{Type: record.TargetGrant, ID: "another"}},
		{16, record.Target{Type: record.TargetCertificate, Serial: 8}},
		{17, record.Target{Type: record.TargetGrant, ID: "mine"}}, // taken away already
	} {
		s.takeRevocation(tt.index, record.AccessRevoke{Target: tt.target})
	}
	if s.endedAt != 16 || s.ended != "the certificate was revoked" {
		t.Errorf("it ended by leaf %d, %q", s.endedAt, s.ended)
	}
	p := &page{e: newWorld(t).Env, s: s}
	p.sessions()
	const want = `
Logins on hosts
  2026-11-18 11:06:40Z: root on web-1.demo  [leaf 9]
  2026-11-18 11:06:41Z: the host ended it, since the certificate was revoked  [leaf 13]
  2026-11-18 11:06:40Z: ops on web-3.demo, which the ledger can't explain (elsewhere)  [leaf 11]
  no end of it is shown
`
	if got := p.b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := s.sessionResults(); len(got) != 2 || got[0].EndLeaf != 13 || got[0].How != hostcall.Revoked || got[1].EndLeaf != 0 {
		t.Errorf("for programs: %+v", got)
	}
	for _, how := range []hostcall.How{hostcall.Left, hostcall.Over, hostcall.Released, hostcall.Revoked, hostcall.Lost} {
		if words := howWords(how); strings.HasPrefix(words, "it ended:") {
			t.Errorf("%s has no words", how)
		}
	}
}
