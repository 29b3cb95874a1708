package record_test

import (
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestMentions holds each kind of leaf to what it is found by.
func TestMentions(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	m := w.NewMap()
	w.Setup(m)
	granted := w.Granted(m, 300)
	key := w.Key()
	issue, err := w.Issue(m, w.Alice, granted, key)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(issue))
	row, err := record.Certificate(m, issue.Serial)
	if err != nil {
		t.Fatal(err)
	}
	ask := w.Ask(m, w.Alice)
	ask.Doc.Hosts = append(ask.Doc.Hosts, "web-2.demo")
	submit := w.Submit(m, w.Alice, ask)
	before := mentionsOf(t, m, submit.Facts) // the request's row is not there yet
	appendAll(t, m, submit)
	fingerprint := func(k ssh.Signer) string { return "key=" + ssh.FingerprintSHA256(k.PublicKey()) }
	of := func(ids ...canon.ID) (out []string) {
		for _, id := range ids {
			out = append(out, "person="+string(id))
		}
		return out
	}
	asked := []string{
		"request=" + string(granted.ID), "role=operator", "login=ops", "host=web-1.demo", "contract=" + w.Version.Digest.String(),
	}
	for _, tt := range []struct {
		name  string
		facts record.Facts
		want  []string
	}{
		{"the ledger", w.Open(m), nil},
		{"a contract", w.Propose(m, w.Version), []string{"contract=" + w.Version.Digest.String()}},
		{"its signature", w.Sign(m, w.Version, "dana"), []string{"contract=" + w.Version.Digest.String()}},
		{"a host", w.Join(m, "db-1.demo", "demo"), []string{"host=db-1.demo"}},
		{"a login", w.Login(m, w.Bob).Facts, append(of(w.Bob.Person), fingerprint(w.Bob.Device))},
		{"groups", w.Snapshot(m, w.Bob, canon.Digest{1}), of(w.Bob.Person)},
		{"a link", w.Link(m, w.Bob, w.Carol).Facts, of(w.Bob.Person, w.Carol.Person)},
		{"a reading", w.Read(m, w.Carol, w.Version, 6), append(of(w.Carol.Person), "contract="+w.Version.Digest.String())},
		{"a request", submit.Facts, append(of(w.Alice.Person), "request="+string(ask.Doc.Request), "role=operator", "login=ops",
			"host=web-1.demo", "host=web-2.demo", "contract="+w.Version.Digest.String())},
		{"a decision", w.Decide(m, w.Bob, granted, "approve", 0).Facts, append(of(w.Bob.Person, w.Alice.Person), asked...)},
		{"silence", w.Expire(m, granted), append(of(w.Alice.Person), asked...)},
		{"a cancellation", w.Cancel(m, w.Alice, granted), append(of(w.Alice.Person), asked...)},
		{"a certificate", issue, append(append(of(w.Alice.Person), fingerprint(key)), asked...)},
		{"one given up", w.Void(m, row), append(append(of(w.Alice.Person), fingerprint(key)), asked...)},
	} {
		want := append(tt.want, "kind="+string(tt.facts.Kind()))
		slices.Sort(want)
		if got := mentionsOf(t, m, tt.facts); !slices.Equal(got, want) {
			t.Errorf("%s mentions\n%q, want\n%q", tt.name, got, want)
		}
	}
	if after := mentionsOf(t, m, submit.Facts); !slices.Equal(before, after) {
		t.Errorf("a request mentions %q before it is there, %q after", before, after)
	}
	names := record.MentionNames()
	for _, name := range []record.MentionName{
		record.MentionRequest, record.MentionKey, record.MentionPerson, record.MentionHost, record.MentionLogin, record.MentionRole, record.MentionContract, record.MentionKind,
	} {
		if n := slices.Index(names, name); n < 0 || slices.Contains(names[n+1:], name) {
			t.Errorf("%s does not stand once in %v", name, names)
		}
	}
}

func mentionsOf(t *testing.T, v record.View, f record.Facts) (out []string) {
	t.Helper()
	list, err := record.Mentions(v, f)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		out = append(out, string(m.Name)+"="+m.Value)
	}
	slices.Sort(out)
	return out
}

// Name and value of a mention are told apart.
func TestMentionTerms(t *testing.T) {
	t.Parallel()
	seen := map[int64]record.Mention{}
	for _, m := range []record.Mention{
		{Name: "host", Value: "a"}, {Name: "hosta", Value: ""}, {Name: "host", Value: ""}, {Name: "hos", Value: "ta"}, {Name: "login", Value: "a"},
	} {
		if other, twice := seen[m.Term()]; twice {
			t.Errorf("%+v has the term of %+v", m, other)
		}
		seen[m.Term()] = m
	}
	// The index of every database rests on this.
	if got := (record.Mention{Name: record.MentionHost, Value: "web-1.demo"}).Term(); got != 7726046020007911337 {
		t.Errorf("the term of web-1.demo is %d", got)
	}
}
