package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

func digest(s string) canon.Digest { return canon.Sum("sallyport.test/v1", []byte(s)) }

func issueLeaf() ledger.Leaf {
	return ledger.Leaf{
		Kind:      ledger.CertificateIssue,
		Lineage:   digest("lineage"),
		Reference: digest("tbs").String(),
		Facts:     digest("facts"),
	}
}

func submitLeaf() ledger.Leaf {
	return ledger.Leaf{
		Kind:      ledger.RequestSubmit,
		Lineage:   digest("lineage"),
		Reference: "mzxw6ytboi2dqmrvgm4tanrwge",
		Facts:     digest("facts"),
		Person:    digest("person"),
	}
}

func mustMarshal(t testing.TB, l ledger.Leaf) []byte {
	t.Helper()
	text, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLeafText(t *testing.T) {
	t.Parallel()
	l := issueLeaf()
	want := "sallyport.ledger/v1\ncertificate.issue\n" + l.Lineage.String() + "\n" + l.Reference + "\n" + l.Facts.String() + "\n-\n"
	if got := string(mustMarshal(t, l)); got != want {
		t.Errorf("Marshal = %q, want %q", got, want)
	}
	hash, err := l.Hash()
	if err != nil || hash != tlog.RecordHash([]byte(want)) {
		t.Errorf("Hash = %v, %v", hash, err)
	}
}

// refusedLeaves are texts close to a leaf. They are published as vectors too.
func refusedLeaves(t testing.TB) []namedText {
	t.Helper()
	good := string(mustMarshal(t, submitLeaf()))
	issue := string(mustMarshal(t, issueLeaf()))
	lines := strings.Split(good, "\n")
	with := func(line int, text string) string {
		changed := append([]string(nil), lines...)
		changed[line-1] = text
		return strings.Join(changed, "\n")
	}
	zero := strings.Repeat("A", 43)
	lineage := lines[2]
	return []namedText{
		{"nothing", ""},
		{"no newline at the end", strings.TrimSuffix(good, "\n")},
		{"a seventh line", good + "-\n"},
		{"an empty line more", good + "\n"},
		{"a line missing", strings.Join(lines[:5], "\n") + "\n"},
		{"carriage returns", strings.ReplaceAll(good, "\n", "\r\n")},
		{"byte order mark", "\ufeff" + good},
		{"space at the start", " " + good},
		{"other version", with(1, "sallyport.ledger/v2")},
		{"header in upper case", with(1, "Sallyport.ledger/v1")},
		{"kind in upper case", with(2, "request.Submit")},
		{"kind of one word", with(2, "request")},
		{"kind of three words", with(2, "request.submit.twice")},
		{"kind with a digit", with(2, "request.submit2")},
		{"kind with a space", with(2, "request.submit ")},
		{"kind too long", with(2, "request."+strings.Repeat("a", 57))},
		{"empty kind", with(2, "")},
		{"empty lineage", with(3, "")},
		{"lineage padded", with(3, lineage+"=")},
		{"lineage in standard base64", with(3, strings.Repeat("+", 42)+"A")},
		{"lineage too short", with(3, lineage[:42])},
		{"lineage with unused bits set", with(3, strings.Repeat("A", 42)+"B")},
		{"lineage zero and spelled out", with(3, zero)},
		{"two dashes for no lineage", with(3, "--")},
		{"no reference", with(4, "-")},
		{"empty reference", with(4, "")},
		{"id in upper case", with(4, strings.ToUpper(lines[3]))},
		{"id with a digit outside base32", with(4, "1"+lines[3][1:])},
		{"id with unused bits set", with(4, lines[3][:25]+"b")},
		{"id too long", with(4, lines[3]+"a")},
		{"zero digest as reference", with(4, zero)},
		{"a name as reference", with(4, "alice@example.com")},
		{"no facts", with(5, "-")},
		{"facts zero", with(5, zero)},
		{"facts in hex", with(5, strings.Repeat("ab", 32))},
		{"empty person", with(6, "")},
		{"person zero and spelled out", with(6, zero)},
		{"not UTF-8", with(2, "request.\xff")},
		{"a NUL", good[:30] + "\x00" + good[31:]},
		{"too long", good + strings.Repeat("a", 512)},
		{"certificate.issue with an id", strings.Replace(issue, issueLeaf().Reference, lines[3], 1)},
		{"certificate.issue without lineage", strings.Replace(issue, lineage, "-", 1)},
		{"certificate.issue with a person part", strings.TrimSuffix(issue, "-\n") + lines[5] + "\n"},
	}
}

func TestParseLeafRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range refusedLeaves(t) {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			if l, err := ledger.ParseLeaf([]byte(tt.Text)); !errors.Is(err, ledger.ErrLeaf) {
				t.Errorf("ParseLeaf(%q) = %+v, %v, want ErrLeaf", tt.Text, l, err)
			}
		})
	}
}

func TestLeafMarshalRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*ledger.Leaf)
	}{
		{"no kind", func(l *ledger.Leaf) { l.Kind = "" }},
		{"kind with a newline", func(l *ledger.Leaf) { l.Kind = "request.submit\n" }},
		{"no reference", func(l *ledger.Leaf) { l.Reference = "" }},
		{"reference with a newline", func(l *ledger.Leaf) { l.Reference += "\n-" }},
		{"no facts", func(l *ledger.Leaf) { l.Facts = canon.Digest{} }},
		{"certificate with an id", func(l *ledger.Leaf) { l.Kind, l.Person = ledger.CertificateIssue, canon.Digest{} }},
		{"certificate without lineage", func(l *ledger.Leaf) { *l = issueLeaf(); l.Lineage = canon.Digest{} }},
		{"certificate with a person part", func(l *ledger.Leaf) { *l = issueLeaf(); l.Person = digest("p") }},
	} {
		l := submitLeaf()
		tt.change(&l)
		if text, err := l.Marshal(); !errors.Is(err, ledger.ErrLeaf) {
			t.Errorf("%s: Marshal = %q, %v, want ErrLeaf", tt.name, text, err)
		}
		if _, err := l.Hash(); !errors.Is(err, ledger.ErrLeaf) {
			t.Errorf("%s: Hash = %v, want ErrLeaf", tt.name, err)
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, k := range []ledger.Kind{
		"ledger.open", "contract.propose", "contract.sign", "host.join", "person.login", "person.snapshot", "person.link", "person.read",
		"request.submit", "request.decide", "request.expire", "request.cancel", "certificate.issue",
	} {
		if got, err := ledger.ParseKind(string(k)); err != nil || got != k || !k.Known() {
			t.Errorf("%s: %v, %v, known %t", k, got, err, k.Known())
		}
	}
	// A kind of a later version keeps its place in the tree, but means nothing yet.
	l := submitLeaf()
	l.Kind = "moon.landing"
	got, err := ledger.ParseLeaf(mustMarshal(t, l))
	if err != nil || got != l || got.Kind.Known() {
		t.Errorf("unknown kind: %+v, %v, known %t", got, err, got.Kind.Known())
	}
}

func TestLeavesReadBackAndDiffer(t *testing.T) {
	t.Parallel()
	drawDigest := rapid.Custom(func(t *rapid.T) canon.Digest {
		return canon.Digest(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "bytes"))
	})
	rapid.Check(t, func(t *rapid.T) {
		l := ledger.Leaf{
			Kind:    ledger.Kind(rapid.StringMatching(`[a-z]{1,9}\.[a-z]{1,9}`).Draw(t, "kind")),
			Lineage: drawDigest.Draw(t, "lineage"),
			Facts:   drawDigest.Draw(t, "facts"),
			Person:  drawDigest.Draw(t, "person"),
		}
		if rapid.Bool().Draw(t, "by id") {
			id, err := canon.NewID(bytes.NewReader(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")))
			if err != nil {
				t.Fatal(err)
			}
			l.Reference = string(id)
		} else {
			l.Reference = drawDigest.Draw(t, "reference").String()
		}
		text, err := l.Marshal()
		if err != nil {
			return
		}
		got, err := ledger.ParseLeaf(text)
		if err != nil || got != l {
			t.Fatalf("ParseLeaf(%q) = %+v, %v", text, got, err)
		}
		bit := rapid.IntRange(0, 8*len(text)-1).Draw(t, "bit")
		text[bit/8] ^= 1 << (bit % 8)
		other, err := ledger.ParseLeaf(text)
		if err == nil && other == l {
			t.Fatalf("two texts of one leaf: %q", text)
		}
	})
}

func TestCommitments(t *testing.T) {
	t.Parallel()
	salt, err := ledger.NewSalt(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ledger.NewSalt(bytes.NewReader(bytes.Repeat([]byte{8}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"at":1}`)
	facts := ledger.FactsCommitment(salt, text)
	if facts == ledger.PersonCommitment(salt, text) || facts == ledger.FactsCommitment(other, text) ||
		facts == ledger.FactsCommitment(salt, []byte(`{"at":2}`)) || facts != ledger.FactsCommitment(salt, text) {
		t.Error("a commitment must depend on its domain, salt and text, and on nothing else")
	}
}

func TestSalts(t *testing.T) {
	t.Parallel()
	salt, err := ledger.NewSalt(bytes.NewReader(bytes.Repeat([]byte{0xfb}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	type opening struct {
		Salt ledger.Salt `json:"salt,omitzero"`
	}
	text, err := json.Marshal(opening{salt})
	if err != nil || string(text) != `{"salt":"`+salt.String()+`"}` || len(salt.String()) != 43 {
		t.Errorf("%s, %v", text, err)
	}
	var back opening
	if err := json.Unmarshal(text, &back); err != nil || back.Salt != salt {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"salt":"short"}`), &back); !errors.Is(err, ledger.ErrSalt) {
		t.Errorf("a short salt was read: %v", err)
	}
	if text, err := json.Marshal(opening{}); err != nil || string(text) != `{}` {
		t.Errorf("no salt: %s, %v", text, err)
	}
	if _, err := (ledger.Salt{}).MarshalText(); !errors.Is(err, ledger.ErrSalt) {
		t.Errorf("zero salt written: %v", err)
	}
	for _, s := range []string{"", salt.String() + "=", salt.String()[:42], strings.Repeat("A", 43), salt.String()[:42] + "B", "+" + salt.String()[1:]} {
		if _, err := ledger.ParseSalt(s); !errors.Is(err, ledger.ErrSalt) {
			t.Errorf("ParseSalt(%q) = %v, want ErrSalt", s, err)
		}
	}
	if _, err := ledger.NewSalt(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a salt from too little randomness")
	}
	if _, err := ledger.NewSalt(bytes.NewReader(make([]byte, 32))); !errors.Is(err, ledger.ErrSalt) {
		t.Errorf("a salt of zeros: %v", err)
	}
	broken := errors.New("no entropy")
	if _, err := ledger.NewSalt(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("NewSalt = %v, want the reader's error", err)
	}
}

func FuzzParseLeaf(f *testing.F) {
	f.Add(mustMarshal(f, issueLeaf()))
	f.Add(mustMarshal(f, submitLeaf()))
	for _, tt := range refusedLeaves(f) {
		f.Add([]byte(tt.Text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ledger.ParseLeaf(text)
		if err != nil {
			if !errors.Is(err, ledger.ErrLeaf) {
				t.Fatalf("%v is not ErrLeaf", err)
			}
			return
		}
		if again := mustMarshal(t, l); !bytes.Equal(again, text) {
			t.Fatalf("%q reads as %q", text, again)
		}
	})
}
