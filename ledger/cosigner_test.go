package ledger_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

var cosignedAt = time.Unix(1795600000, 0)

// grown is a log of n leaves.
func grown(tb testing.TB, n int) *ledgertest.Log {
	tb.Helper()
	log := ledgertest.New(tb, origin, "cosigned")
	for i := range n {
		log.AppendHash([32]byte{byte(i), 1})
	}
	return log
}

func cosign(tb testing.TB, s *ledger.CosignerSigner, c ledger.Checkpoint) ledger.Cosignature {
	tb.Helper()
	line, err := s.Cosign(c, cosignedAt)
	if err != nil {
		tb.Fatal(err)
	}
	return ledger.Cosignature{Key: s.Key(), Line: line, At: cosignedAt}
}

func TestCosignerKeys(t *testing.T) {
	t.Parallel()
	private, public, err := ledger.NewCosignerKey(bytes.NewReader(bytes.Repeat([]byte{7}, 32)), "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewCosignerSigner(private)
	if err != nil || signer.PublicKey() != public {
		t.Fatalf("NewCosignerSigner = %v, %v", signer, err)
	}
	if text := signer.String() + signer.GoString(); strings.Contains(text, private) || strings.Contains(text, "PRIVATE") {
		t.Errorf("printing the signer prints its key: %s", text)
	}
	key, err := ledger.ParseCosignerKey(public)
	if err != nil || key.String() != public || key.Name() != "witness.example/w1" {
		t.Fatalf("ParseCosignerKey = %v, %v", key, err)
	}
	for _, tt := range []struct{ name, vkey string }{
		{"empty", ""},
		{"a log key", ledgertest.New(t, origin, "x").PublicKey()},
		{"another name", strings.Replace(public, "w1", "w2", 1)},
		{"a changed key", public[:len(public)-3] + "AA="},
		{"upper-case id", strings.Replace(public, strings.Split(public, "+")[1], strings.ToUpper(strings.Split(public, "+")[1]), 1)},
		{"white space", public + "\n"},
		{"a terminal escape", "w\x1b[31m+" + strings.SplitN(public, "+", 2)[1]},
		{"a long name", strings.Repeat("w", 201) + "+" + strings.SplitN(public, "+", 2)[1]},
	} {
		t.Run("public "+tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := ledger.ParseCosignerKey(tt.vkey); !errors.Is(err, ledger.ErrCosigner) {
				t.Errorf("ParseCosignerKey(%q) = %v, want ErrCosigner", tt.vkey, err)
			}
		})
	}
	log := ledgertest.New(t, origin, "x")
	for _, tt := range []struct{ name, private string }{
		{"empty", ""},
		{"a log key", log.PrivateKey()},
		{"another name", strings.Replace(private, "w1", "w2", 1)},
		{"cut short", private[:len(private)-4]},
		{"without its prefix", strings.TrimPrefix(private, "PRIVATE+KEY+")},
	} {
		t.Run("private "+tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ledger.NewCosignerSigner(tt.private)
			if !errors.Is(err, ledger.ErrCosigner) {
				t.Errorf("%v, want ErrCosigner", err)
			}
			if err != nil && len(tt.private) > 40 && strings.Contains(err.Error(), tt.private[len(tt.private)-20:]) {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
	for _, name := range []string{"", "w 1", "w+1", "-w", "w\n", "wé"} {
		if _, _, err := ledger.NewCosignerKey(bytes.NewReader(make([]byte, 32)), name); !errors.Is(err, ledger.ErrCosigner) {
			t.Errorf("a key named %q: %v, want ErrCosigner", name, err)
		}
	}
}

// TestCosignaturesAreTorchwoods holds our signer, whose time is an argument, to
// the library's verifier, and our verifier to the library's signer.
func TestCosignaturesAreTorchwoods(t *testing.T) {
	t.Parallel()
	log, w := grown(t, 5), ledgertest.Cosigner(t, "witness.example/w1")
	c := log.Head(5)
	s := cosign(t, w, c)
	v, err := torchwood.NewCosignatureVerifier(w.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open([]byte(string(c.Unsigned())+"\n"+s.Line), note.VerifierList(v))
	if err != nil {
		t.Fatalf("torchwood does not take our cosignature: %v", err)
	}
	if at, err := torchwood.CosignatureTimestamp(opened.Sigs[0]); err != nil || at != cosignedAt.Unix() {
		t.Errorf("torchwood reads the time %d, %v", at, err)
	}
	if at, err := w.Key().Verify(c, s.Line); err != nil || !at.Equal(cosignedAt) {
		t.Errorf("Verify = %v, %v", at, err)
	}
}

func TestCosignatureRefusals(t *testing.T) {
	t.Parallel()
	log, w := grown(t, 5), ledgertest.Cosigner(t, "witness.example/w1")
	c := log.Head(5)
	line := cosign(t, w, c).Line
	other := cosign(t, ledgertest.Cosigner(t, "witness.example/w2"), c).Line
	for _, tt := range []struct {
		name string
		c    ledger.Checkpoint
		line string
	}{
		{"another size", log.Head(4), line},
		{"another root", ledger.Checkpoint{Origin: c.Origin, Size: c.Size, Root: log.Head(4).Root}, line},
		{"another cosigner", c, other},
		{"two lines", c, line + other},
		{"no line", c, ""},
		{"no newline", c, strings.TrimSuffix(line, "\n")},
		{"a changed byte", c, line[:len(line)-6] + "AAAA" + line[len(line)-2:]},
		{"the log's own signature", c, string(log.Checkpoint(5))[len(c.Unsigned())+1:]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if at, err := w.Key().Verify(tt.c, tt.line); !errors.Is(err, ledger.ErrCosignature) {
				t.Errorf("Verify = %v, %v, want ErrCosignature", at, err)
			}
		})
	}
	if _, err := w.Cosign(c, time.Unix(-1, 0)); !errors.Is(err, ledger.ErrCosignature) {
		t.Errorf("a time before 1970: %v", err)
	}
	if _, err := w.Cosign(ledger.Checkpoint{Origin: "No Origin", Size: 1}, cosignedAt); err == nil {
		t.Error("a malformed checkpoint was cosigned")
	}
	if _, err := (ledger.CosignerKey{}).Verify(c, line); !errors.Is(err, ledger.ErrCosigner) {
		t.Errorf("the zero key: %v", err)
	}
}

func TestQuorums(t *testing.T) {
	t.Parallel()
	log := grown(t, 9)
	c, signed := log.Head(9), log.Checkpoint(9)
	keys := make(map[string]*ledger.CosignerSigner)
	for _, name := range []string{"party", "other", "w1", "w2", "w3"} {
		keys[name] = ledgertest.Cosigner(t, name)
	}
	of := func(names ...string) (out []ledger.CosignerKey) {
		for _, n := range names {
			out = append(out, keys[n].Key())
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		quorum ledger.Cosigners
		signed []string
		want   bool
	}{
		{"nobody asked, nobody signed", ledger.Cosigners{}, nil, true},
		{"one of one", ledger.Cosigners{Need: 1, Witnesses: of("w1")}, []string{"w1"}, true},
		{"none of one", ledger.Cosigners{Need: 1, Witnesses: of("w1")}, nil, false},
		{"another's word", ledger.Cosigners{Need: 1, Witnesses: of("w1")}, []string{"w2"}, false},
		{"two of three", ledger.Cosigners{Need: 2, Witnesses: of("w1", "w2", "w3")}, []string{"w3", "w1"}, true},
		{"one of three", ledger.Cosigners{Need: 2, Witnesses: of("w1", "w2", "w3")}, []string{"w2"}, false},
		{"the party", ledger.Cosigners{All: of("party")}, []string{"party"}, true},
		{"a witness is no party", ledger.Cosigners{All: of("party")}, []string{"w1", "w2", "w3"}, false},
		{"all parties", ledger.Cosigners{All: of("party", "other")}, []string{"party"}, false},
		{"parties and witnesses", ledger.Cosigners{All: of("party"), Need: 2, Witnesses: of("w1", "w2", "w3")}, []string{"party", "w1", "w2"}, true},
		{"witnesses without the party", ledger.Cosigners{All: of("party"), Need: 2, Witnesses: of("w1", "w2", "w3")}, []string{"w1", "w2", "w3"}, false},
		{"the party without witnesses", ledger.Cosigners{All: of("party"), Need: 2, Witnesses: of("w1", "w2", "w3")}, []string{"party", "w1"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			policy, err := log.Policy().WithCosigners(tt.quorum)
			if err != nil {
				t.Fatal(err)
			}
			text := signed
			for _, n := range tt.signed {
				if text, err = ledger.AddCosignatures(text, cosign(t, keys[n], c)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := policy.OpenCheckpoint(text)
			if ok := err == nil && got == c; ok != tt.want {
				t.Errorf("believed = %t, want %t (%v)", ok, tt.want, err)
			}
			if err != nil && !errors.Is(err, ledger.ErrUntrusted) {
				t.Errorf("refused with %v, want ErrUntrusted", err)
			}
			// The log's own signature is asked for whoever else signed.
			own, _, _ := strings.Cut(string(text), "\n\n")
			lines := strings.SplitAfter(string(text), "\n")
			if _, err := policy.OpenCheckpoint([]byte(own + "\n\n" + strings.Join(lines[5:], ""))); err == nil {
				t.Error("believed without the log's signature")
			}
		})
	}
}

func TestQuorumRefusals(t *testing.T) {
	t.Parallel()
	log := grown(t, 1)
	w := func(name string) ledger.CosignerKey { return ledgertest.Cosigner(t, name).Key() }
	many := make([]ledger.CosignerKey, 33)
	for i := range many {
		many[i] = w("w" + strings.Repeat("x", i))
	}
	for _, tt := range []struct {
		name   string
		quorum ledger.Cosigners
	}{
		{"more than there are", ledger.Cosigners{Need: 2, Witnesses: []ledger.CosignerKey{w("w1")}}},
		{"negative", ledger.Cosigners{Need: -1}},
		{"half of them", ledger.Cosigners{Need: 1, Witnesses: []ledger.CosignerKey{w("w1"), w("w2")}}},
		{"none of them", ledger.Cosigners{Need: 0, Witnesses: []ledger.CosignerKey{w("w1")}}},
		{"the same twice", ledger.Cosigners{Need: 2, Witnesses: []ledger.CosignerKey{w("w1"), w("w1")}}},
		{"a party as its own witness", ledger.Cosigners{All: []ledger.CosignerKey{w("w1")}, Need: 1, Witnesses: []ledger.CosignerKey{w("w1")}}},
		{"no key", ledger.Cosigners{All: []ledger.CosignerKey{{}}}},
		{"too many", ledger.Cosigners{Need: 33, Witnesses: many}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := log.Policy().WithCosigners(tt.quorum); !errors.Is(err, ledger.ErrPolicy) {
				t.Errorf("%v, want ErrPolicy", err)
			}
		})
	}
	if _, err := (*ledger.Policy)(nil).WithCosigners(ledger.Cosigners{}); !errors.Is(err, ledger.ErrPolicy) {
		t.Errorf("the zero policy: %v", err)
	}
}

func TestAddCosignatures(t *testing.T) {
	t.Parallel()
	log, w1, w2 := grown(t, 3), ledgertest.Cosigner(t, "w1"), ledgertest.Cosigner(t, "w2")
	c, signed := log.Head(3), log.Checkpoint(3)
	a, b := cosign(t, w1, c), cosign(t, w2, c)
	one, err := ledger.AddCosignatures(signed, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := ledger.AddCosignatures(signed, b, a); err != nil || !bytes.Equal(one, other) {
		t.Errorf("the order in which they came shows: %v\n%s\n%s", err, one, other)
	}
	if got, err := ledger.Cosignatures(one, w2.Key(), w1.Key()); err != nil || len(got) != 2 || got[0].Line != a.Line || !got[1].At.Equal(cosignedAt) {
		t.Errorf("Cosignatures = %v, %v", got, err)
	}
	if got, err := ledger.Cosignatures(one, ledgertest.Cosigner(t, "w3").Key()); err != nil || len(got) != 0 {
		t.Errorf("a cosigner that did not sign: %v, %v", got, err)
	}
	if _, err := ledger.AddCosignatures(one, a); !errors.Is(err, ledger.ErrCheckpoint) {
		t.Errorf("the same word twice: %v", err)
	}
	wrong := cosign(t, w1, log.Head(2))
	if _, err := ledger.AddCosignatures(signed, wrong); !errors.Is(err, ledger.ErrCosignature) {
		t.Errorf("a word for another checkpoint: %v", err)
	}
	forged := strings.Replace(string(one), a.Line, wrong.Line, 1)
	if _, err := ledger.Cosignatures([]byte(forged), w1.Key()); !errors.Is(err, ledger.ErrUntrusted) {
		t.Errorf("a bad cosignature: %v", err)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s, other := ledgertest.Cosigner(t, "w.example/1"), ledgertest.Cosigner(t, "w.example/2")
	text := []byte("give me the openings")
	signature := s.Message("sallyport.test/v1", text)
	if err := s.Key().VerifyMessage("sallyport.test/v1", text, signature); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another key":    other.Key().VerifyMessage("sallyport.test/v1", text, signature),
		"another domain": s.Key().VerifyMessage("sallyport.test/v2", text, signature),
		"another text":   s.Key().VerifyMessage("sallyport.test/v1", text[1:], signature),
		"no signature":   s.Key().VerifyMessage("sallyport.test/v1", text, nil),
		"no key":         ledger.CosignerKey{}.VerifyMessage("sallyport.test/v1", text, signature),
	} {
		if !errors.Is(err, ledger.ErrMessage) {
			t.Errorf("%s: %v, want ErrMessage", name, err)
		}
	}
}
