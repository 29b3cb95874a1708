package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

func TestParseOrigin(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"localhost", "ledger.example", "ledger.example/prod", "l.example/a/b-c_d~e.f", "1.example", "127.0.0.1/x",
		strings.Repeat("a", 63) + "/" + strings.Repeat("b", 36),
	} {
		if got, err := ledger.ParseOrigin(s); err != nil || got != s {
			t.Errorf("ParseOrigin(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "https://ledger.example", "Ledger.example", "ledger.example/", "/ledger", "ledger.example//a", "ledger.example/A",
		"ledger.example/..", "ledger.example/./a", "ledger example", "ledger.example/a b", "ledger+example", "ledger.example\n", "-a.example",
		"a-.example", "a..example", ".example", "example.", "ledger.example:443", "ledgér.example", "ledger.example/\u00a0", "a@b.example",
		"ledger.example?x", "ledger.example#x", "ledger.example/%41", "check.invalid", strings.Repeat("a", 64),
		strings.Repeat("a", 63) + "/" + strings.Repeat("b", 37),
	} {
		if got, err := ledger.ParseOrigin(s); !errors.Is(err, ledger.ErrOrigin) {
			t.Errorf("ParseOrigin(%q) = %q, %v, want ErrOrigin", s, got, err)
		}
	}
}

func TestLogKeys(t *testing.T) {
	t.Parallel()
	private, public, err := ledger.NewLogKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewLogSigner(private)
	if err != nil || signer.PublicKey() != public || signer.Origin() != origin {
		t.Fatalf("NewLogSigner = %v, %v", signer, err)
	}
	if _, _, err := ledger.NewLogKey(bytes.NewReader(make([]byte, 32)), "No Origin"); !errors.Is(err, ledger.ErrOrigin) {
		t.Errorf("a key for a bad origin: %v", err)
	}
	broken := errors.New("no entropy")
	if _, _, err := ledger.NewLogKey(iotest.ErrReader(broken), origin); !errors.Is(err, broken) {
		t.Errorf("NewLogKey = %v, want the reader's error", err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, signer); got != "log signer "+origin {
			t.Errorf("%s prints %q", format, got)
		}
	}
}

func TestNewLogSignerRefuses(t *testing.T) {
	t.Parallel()
	private, public, err := ledger.NewLogKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), origin)
	if err != nil {
		t.Fatal(err)
	}
	spaced, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), "Not-An-Origin")
	if err != nil {
		t.Fatal(err)
	}
	secret := private[strings.LastIndex(private, "+")+1:]
	for name, text := range map[string]string{
		"nothing":               "",
		"a public key":          public,
		"a newline at the end":  private + "\n",
		"a newline inside":      private[:len(private)-5] + "\n" + private[len(private)-5:],
		"key id in upper case":  upperKeyID(t, private),
		"key id of another key": strings.Replace(private, keyIDText(private), "01234567", 1),
		"renamed":               strings.Replace(private, origin, "other.example", 1),
		"not an origin":         spaced,
		"truncated":             private[:len(private)-4],
	} {
		_, err := ledger.NewLogSigner(text)
		if !errors.Is(err, ledger.ErrLogKey) {
			t.Errorf("%s: NewLogSigner = %v, want ErrLogKey", name, err)
		} else if strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// keyIDText returns the eight hex digits before the key.
func keyIDText(key string) string {
	return strings.Split(strings.TrimPrefix(key, "PRIVATE+KEY+"), "+")[1]
}

// upperKeyID spells the key's id in upper case.
func upperKeyID(t testing.TB, key string) string {
	t.Helper()
	id := keyIDText(key)
	if id == strings.ToUpper(id) {
		t.Fatalf("key id %s has no letter; draw the key from another seed", id)
	}
	return strings.Replace(key, id, strings.ToUpper(id), 1)
}

// loosen sets an unused bit of a padded base64 text at the end of s, which
// decodes to the same bytes for a reader that is not strict.
func loosen(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	end := len(strings.TrimRight(s, "=")) - 1
	return s[:end] + string(alphabet[strings.IndexByte(alphabet, s[end])+1]) + s[end+1:]
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	private, _, err := ledger.NewLogKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewLogSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		c    ledger.Checkpoint
		want error
	}{
		{"another origin", ledger.Checkpoint{Origin: "other.example", Size: 1}, ledger.ErrOrigin},
		{"no origin", ledger.Checkpoint{Size: 1}, ledger.ErrOrigin},
		{"negative size", ledger.Checkpoint{Origin: origin, Size: -1}, ledger.ErrCheckpoint},
		{"size over the limit", ledger.Checkpoint{Origin: origin, Size: ledger.MaxSize + 1}, ledger.ErrCheckpoint},
		{"root of nothing missing", ledger.Checkpoint{Origin: origin}, ledger.ErrCheckpoint},
	} {
		if signed, err := signer.Sign(tt.c); !errors.Is(err, tt.want) {
			t.Errorf("%s: Sign = %q, %v, want %v", tt.name, signed, err, tt.want)
		}
	}
}

func TestCheckpointsOpen(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 9)
	for size := range int64(10) {
		got, err := log.Policy().OpenCheckpoint(log.Checkpoint(size))
		if err != nil || got != log.Head(size) {
			t.Errorf("OpenCheckpoint at size %d = %+v, %v, want %+v", size, got, err, log.Head(size))
		}
	}
}

func TestUnknownSignaturesAreIgnored(t *testing.T) {
	t.Parallel()
	log, witness := newLog(t, "a", 3), ledgertest.New(t, "witness.example", "w")
	signed := log.Checkpoint(3)
	extra := resign(t, signed, witness.PrivateKey())
	if bytes.Equal(signed, extra) {
		t.Fatal("the witness did not sign")
	}
	if got, err := log.Policy().OpenCheckpoint(extra); err != nil || got != log.Head(3) {
		t.Errorf("OpenCheckpoint = %+v, %v", got, err)
	}
}

// resign adds the signature of a note key to a signed checkpoint.
func resign(t testing.TB, signed []byte, private string) []byte {
	t.Helper()
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, nil)
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		t.Fatalf("note.Open = %v, %v", n, err)
	}
	out, err := note.Sign(unverified.Note, signer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOneKeyOfTheLogSuffices(t *testing.T) {
	t.Parallel()
	before, after := newLog(t, "old", 3), newLog(t, "new", 3)
	both, err := ledger.NewPolicy(origin, before.PublicKey(), after.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	twice := resign(t, before.Checkpoint(3), after.PrivateKey())
	for name, signed := range map[string][]byte{"old": before.Checkpoint(3), "new": after.Checkpoint(3), "both": twice} {
		if _, err := both.OpenCheckpoint(signed); err != nil {
			t.Errorf("signed by %s: %v", name, err)
		}
	}
	if _, err := after.Policy().OpenCheckpoint(before.Checkpoint(3)); !errors.Is(err, ledger.ErrUntrusted) {
		t.Errorf("the old key alone after the rotation: %v, want ErrUntrusted", err)
	}
	// A trusted key's bad signature is never outvoted by another's good one.
	broken := breakLastSignature(t, twice)
	if _, err := both.OpenCheckpoint(broken); !errors.Is(err, ledger.ErrUntrusted) {
		t.Errorf("one good and one bad signature: %v, want ErrUntrusted", err)
	}
}

// breakLastSignature flips a bit of the last signature and keeps its key id.
func breakLastSignature(t testing.TB, signed []byte) []byte {
	t.Helper()
	text := strings.TrimSuffix(string(signed), "\n")
	at := strings.LastIndexByte(text, ' ') + 1
	raw, err := base64.StdEncoding.DecodeString(text[at:])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	return []byte(text[:at] + base64.StdEncoding.EncodeToString(raw) + "\n")
}

func TestNewPolicyRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 0)
	key := log.PublicKey()
	witness, err := torchwood.NewCosignatureSigner(origin, ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, 9)
	for i := range many {
		many[i] = ledgertest.New(t, origin, fmt.Sprint(i)).PublicKey()
	}
	for _, tt := range []struct {
		name   string
		origin string
		keys   []string
		want   error
	}{
		{"no key", origin, nil, ledger.ErrPolicy},
		{"too many keys", origin, many, ledger.ErrPolicy},
		{"one key twice", origin, []string{key, key}, ledger.ErrPolicy},
		{"bad origin", "Ledger", []string{key}, ledger.ErrOrigin},
		{"another log's key", "other.example", []string{key}, ledger.ErrLogKey},
		{"empty key", origin, []string{""}, ledger.ErrLogKey},
		{"one good key and one bad", origin, []string{key, key + "x"}, ledger.ErrLogKey},
		{"private key", origin, []string{log.PrivateKey()}, ledger.ErrLogKey},
		{"cosignature key", origin, []string{witness.Verifier().String()}, ledger.ErrLogKey},
		{"newline at the end", origin, []string{key + "\n"}, ledger.ErrLogKey},
		{"newline inside", origin, []string{key[:len(key)-5] + "\n" + key[len(key)-5:]}, ledger.ErrLogKey},
		{"key id in upper case", origin, []string{upperKeyID(t, key)}, ledger.ErrLogKey},
		{"key id of another key", origin, []string{strings.Replace(key, keyIDText(key), "01234567", 1)}, ledger.ErrLogKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if p, err := ledger.NewPolicy(tt.origin, tt.keys...); !errors.Is(err, tt.want) || p != nil {
				t.Errorf("NewPolicy = %v, %v, want %v", p, err, tt.want)
			}
		})
	}
}

func TestNoPolicyBelievesNothing(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 3)
	for name, p := range map[string]*ledger.Policy{"nil": nil, "zero": {}} {
		if _, err := p.OpenCheckpoint(log.Checkpoint(3)); !errors.Is(err, ledger.ErrPolicy) {
			t.Errorf("%s: OpenCheckpoint = %v, want ErrPolicy", name, err)
		}
		if _, err := p.VerifyProof(log.Prove(1, 3, nil), leafHash(t, 1)); !errors.Is(err, ledger.ErrPolicy) {
			t.Errorf("%s: VerifyProof = %v, want ErrPolicy", name, err)
		}
		if p.Origin() != "" {
			t.Errorf("%s: Origin = %q", name, p.Origin())
		}
	}
	if got := log.Policy().Origin(); got != origin {
		t.Errorf("Origin = %q", got)
	}
}

// sign signs any text with log's key, whatever it says.
func sign(t testing.TB, log *ledgertest.Log, text string) string {
	t.Helper()
	signer, err := note.NewSigner(log.PrivateKey())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func TestOpenCheckpointRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 3)
	good := string(log.Checkpoint(3))
	root := log.Head(3).Root.String()
	_, line, _ := strings.Cut(good, "\n\n")
	sig := strings.TrimSuffix(line[strings.LastIndex(line, " ")+1:], "\n")
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", ledger.ErrCheckpoint},
		{"no signature", strings.TrimSuffix(good, line), ledger.ErrCheckpoint},
		{"no newline at the end", strings.TrimSuffix(good, "\n"), ledger.ErrCheckpoint},
		{"an empty line more", good + "\n", ledger.ErrCheckpoint},
		{"carriage returns", strings.ReplaceAll(good, "\n", "\r\n"), ledger.ErrCheckpoint},
		{"text after the signature", good + "x\n", ledger.ErrCheckpoint},
		{"signature twice", good + line, ledger.ErrCheckpoint},
		{"signature with unused bits set", strings.Replace(good, sig, loosen(sig), 1), ledger.ErrCheckpoint},
		{"signature unpadded", strings.Replace(good, sig, strings.TrimRight(sig, "="), 1), ledger.ErrCheckpoint},
		{"signature in two lines", strings.Replace(good, sig, sig[:20]+"\n"+sig[20:], 1), ledger.ErrCheckpoint},
		{"hyphen for the dash", strings.Replace(good, "—", "-", 1), ledger.ErrCheckpoint},
		{"signature of nobody", good + "—  " + sig + "\n", ledger.ErrCheckpoint},
		{"signature line with a plus in the name", good + "— a+b " + sig + "\n", ledger.ErrCheckpoint},
		{"signature that is only a key id", good + "— w.example " + base64.StdEncoding.EncodeToString([]byte("1234")) + "\n", ledger.ErrCheckpoint},
		{"not UTF-8", good + "— \xff " + sig + "\n", ledger.ErrCheckpoint},
		{"too long", good + "— " + strings.Repeat("w", ledger.MaxText) + " " + sig + "\n", ledger.ErrCheckpoint},
		{"extension line", sign(t, log, origin+"\n3\n"+root+"\nmore\n"), ledger.ErrCheckpoint},
		{"two lines", sign(t, log, origin+"\n3\n"), ledger.ErrCheckpoint},
		{"origin in upper case", sign(t, log, strings.ToUpper(origin)+"\n3\n"+root+"\n"), ledger.ErrCheckpoint},
		{"size with a zero before it", sign(t, log, origin+"\n03\n"+root+"\n"), ledger.ErrCheckpoint},
		{"size with a sign", sign(t, log, origin+"\n+3\n"+root+"\n"), ledger.ErrCheckpoint},
		{"negative size", sign(t, log, origin+"\n-3\n"+root+"\n"), ledger.ErrCheckpoint},
		{"size over the limit", sign(t, log, origin+"\n9007199254740992\n"+root+"\n"), ledger.ErrCheckpoint},
		{"size that tlog cannot count to", sign(t, log, origin+"\n9223372036854775807\n"+root+"\n"), ledger.ErrCheckpoint},
		{"root too short", sign(t, log, origin+"\n3\n"+root[:40]+"\n"), ledger.ErrCheckpoint},
		{"root with unused bits set", sign(t, log, origin+"\n3\n"+loosen(root)+"\n"), ledger.ErrCheckpoint},
		{"root in base64url", sign(t, log, origin+"\n3\n"+strings.Repeat("_", 43)+"=\n"), ledger.ErrCheckpoint},
		{"size 0 with a root", sign(t, log, origin+"\n0\n"+root+"\n"), ledger.ErrCheckpoint},
		{"another origin by our key", sign(t, log, "other.example\n3\n"+root+"\n"), ledger.ErrOrigin},
		{"another key of our origin", string(newLog(t, "b", 3).Checkpoint(3)), ledger.ErrUntrusted},
		{"another text under our signature", strings.Replace(good, "\n3\n", "\n2\n", 1), ledger.ErrUntrusted},
		{"our signature under another name", strings.Replace(good, "— "+origin, "— other.example", 1), ledger.ErrUntrusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if c, err := log.Policy().OpenCheckpoint([]byte(tt.text)); !errors.Is(err, tt.want) {
				t.Errorf("OpenCheckpoint(%q) = %+v, %v, want %v", tt.text, c, err, tt.want)
			}
		})
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	log := newLog(f, "a", 7)
	policy := log.Policy()
	for _, size := range []int64{0, 1, 7} {
		f.Add(log.Checkpoint(size))
	}
	f.Add(resign(f, log.Checkpoint(7), ledgertest.New(f, "witness.example", "w").PrivateKey()))
	f.Add([]byte(sign(f, log, origin+"\n03\n"+log.Head(3).Root.String()+"\n")))
	var heads []ledger.Checkpoint
	for size := range int64(8) {
		heads = append(heads, log.Head(size))
	}
	f.Fuzz(func(t *testing.T, signed []byte) {
		c, err := policy.OpenCheckpoint(signed)
		// Nobody but the log can sign, so nothing but its heads opens.
		if err == nil && !slices.Contains(heads, c) {
			t.Fatalf("forged: %+v from %q", c, signed)
		}
	})
}
