package trust_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

func TestABundleIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := bundle(t)
	got, err := trust.ParseBundle(text(t, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("ParseBundle = %+v, %v, want %+v", got, err, want)
	}
	least := trust.Bundle{
		V: trust.Version, Origin: want.Origin, Lineage: want.Lineage, Contract: want.Contract, Number: 1, MadeAt: want.MadeAt, ExpiresAt: want.ExpiresAt,
		LogKeys: want.LogKeys[:1], UserCAs: want.UserCAs,
	}
	if got, err := trust.ParseBundle(text(t, least)); err != nil || !reflect.DeepEqual(got, least) {
		t.Errorf("ParseBundle = %+v, %v, want %+v", got, err, least)
	}
	signed, err := trust.Parse(file(t, want, everybody...))
	if err != nil || signed.Text != text(t, want) || len(signed.Signatures) != 3 || !reflect.DeepEqual(signed.Bundle, want) {
		t.Errorf("Parse = %+v, %v", signed, err)
	}
	if got := signed.SignedFor(want.Roots[0]); !reflect.DeepEqual(got, []string{"ada", "cleo"}) {
		t.Errorf("SignedFor = %v", got)
	}
	if want.SignsUsers(signer(t, "host CA").PublicKey()) || !want.SignsUsers(signer(t, "user CA").PublicKey()) {
		t.Error("another key signs for users, or the right one does not")
	}
}

func TestPromiseP08_BundlesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*trust.Bundle)
		want   string
	}{
		{"no origin", func(b *trust.Bundle) { b.Origin = "" }, "not canonical"},
		{"an origin in upper case", func(b *trust.Bundle) { b.Origin = "Ledger.example" }, "origin"},
		{"no lineage", func(b *trust.Bundle) { b.Lineage = canon.Digest{} }, "lineage or contract is zero"},
		{"no contract", func(b *trust.Bundle) { b.Contract = canon.Digest{} }, "lineage or contract is zero"},
		{"number 0", func(b *trust.Bundle) { b.Number = 0 }, "numbered from 1"},
		{"made never", func(b *trust.Bundle) { b.MadeAt = 0 }, "it expires before it was made"},
		{"expires when it was made", func(b *trust.Bundle) { b.ExpiresAt = b.MadeAt }, "it expires before it was made"},
		{"no log key", func(b *trust.Bundle) { b.LogKeys = nil }, "not canonical"},
		{"three log keys", func(b *trust.Bundle) {
			b.LogKeys = append(b.LogKeys, ledgertest.New(t, origin, "third").PublicKey())
		}, "3 log keys, at most 2"},
		{"a log key twice", func(b *trust.Bundle) { b.LogKeys[1] = b.LogKeys[0] }, "two log keys with the id"},
		{"another log's key", func(b *trust.Bundle) { b.LogKeys[0] = ledgertest.New(t, "other.example", "x").PublicKey() }, "it is named"},
		{"no user CA", func(b *trust.Bundle) { b.UserCAs = nil }, "not canonical"},
		{"five user CAs", func(b *trust.Bundle) {
			b.UserCAs = []trust.Key{key(t, "1"), key(t, "2"), key(t, "3"), key(t, "4"), key(t, "5")}
		}, "more than 4 keys of a kind"},
		{"one key for users and hosts", func(b *trust.Bundle) { b.HostCAs = b.UserCAs }, "a key stands twice"},
		{"one key for users and revocations", func(b *trust.Bundle) { b.KRLKeys = b.UserCAs }, "a key stands twice"},
		{"a root that is an authority", func(b *trust.Bundle) { b.Roots[0].Keys[0].Key = b.UserCAs[0] }, "a key stands twice"},
		{"one key under two names", func(b *trust.Bundle) { b.Roots[0].Keys[1].Key = b.Roots[0].Keys[0].Key }, "a key stands twice"},
		{"one key for two parties", func(b *trust.Bundle) { b.Roots[1].Keys[0].Key = b.Roots[0].Keys[0].Key }, "a key stands twice"},
		{"lists signed by another type", func(b *trust.Bundle) { b.KRLKeys = []trust.Key{ecdsaKey(t)} }, "is not ed25519"},
		{"a log key as cosigner", func(b *trust.Bundle) { b.Cosigners = b.LogKeys[:1] }, "not a cosigner's key"},
		{"a cosigner twice", func(b *trust.Bundle) { b.Cosigners = append(b.Cosigners, b.Cosigners[0]) }, "two cosigners are named"},
		{"half of the witnesses", func(b *trust.Bundle) { b.Witnesses.Keys = b.Witnesses.Keys[:2]; b.Witnesses.Need = 1 }, "more than half are needed"},
		{"more witnesses than there are", func(b *trust.Bundle) { b.Witnesses.Need = 4 }, "4 of 3 witnesses"},
		{"no witness needed", func(b *trust.Bundle) { b.Witnesses.Need = 0 }, "0 of 3 witnesses"},
		{"witnesses without keys", func(b *trust.Bundle) { b.Witnesses.Keys = nil }, "not canonical"},
		{"parties out of order", func(b *trust.Bundle) { b.Roots[0], b.Roots[1] = b.Roots[1], b.Roots[0] }, "in the order of their ids"},
		{"a party twice", func(b *trust.Bundle) { b.Roots[1].Party = "acme" }, "in the order of their ids"},
		{"a party's name", func(b *trust.Bundle) { b.Roots[0].Party = "Acme Corp\u202e" }, "not an id of a contract"},
		{"no root needed", func(b *trust.Bundle) { b.Roots[0].Need = 0 }, "0 of 3 roots"},
		{"more roots than there are", func(b *trust.Bundle) { b.Roots[0].Need = 4 }, "4 of 3 roots"},
		{"names out of order", func(b *trust.Bundle) { b.Roots[0].Keys[0].Name = "zoe" }, "once each and in order"},
		{"a name twice", func(b *trust.Bundle) { b.Roots[0].Keys[1].Name = "ada" }, "once each and in order"},
		{"too many parties", func(b *trust.Bundle) {
			b.Roots = nil
			for i := range 17 {
				b.Roots = append(b.Roots, root(t, "p"+string(rune('a'+i)), 1, "x"))
			}
		}, "roots of 17 parties, at most 16"},
		{"too many roots", func(b *trust.Bundle) {
			var names []string
			for i := range 17 {
				names = append(names, "n"+string(rune('a'+i)))
			}
			b.Roots = []trust.Root{root(t, "acme", 1, names...)}
		}, "17 roots, at most 16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := bundle(t)
			tt.change(&b)
			if got, err := trust.Make(b); !errors.Is(err, trust.ErrBundle) && !errors.Is(err, ledger.ErrPolicy) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Make = %q, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}

func ecdsaKey(t testing.TB) trust.Key {
	t.Helper()
	k, err := trust.KeyOf(sshcerttest.Signer(t, ssh.KeyAlgoECDSA256).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTextsThatAreRefused changes the text of a good bundle.
func TestTextsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := text(t, bundle(t))
	for name, bad := range map[string]string{
		"nothing":                 "",
		"null":                    "null",
		"a list":                  "[" + good + "]",
		"white space":             " " + good,
		"a line end":              good + "\n",
		"two of them":             good + good,
		"cut off":                 good[:len(good)/2],
		"an unknown member":       strings.Replace(good, `"contract":`, `"aaa":1,"contract":`, 1),
		"a member twice":          strings.Replace(good, `"number":1`, `"number":1,"number":1`, 1),
		"another version":         strings.Replace(good, trust.Version, "sallyport.bundle/v2", 1),
		"no version":              strings.Replace(good, `"v":"`+trust.Version+`",`, "", 1),
		"no number":               strings.Replace(good, `"number":1,`, "", 1),
		"a number with a point":   strings.Replace(good, `"number":1`, `"number":1.0`, 1),
		"no need":                 strings.Replace(good, `"need":2,"party"`, `"party"`, 1),
		"a certificate for a key": strings.Replace(good, string(key(t, "user CA")), "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t", 1),
		"a padded key":            strings.Replace(good, string(key(t, "user CA")), string(key(t, "user CA"))+"=", 1),
		"too long":                good + strings.Repeat(" ", trust.MaxText),
	} {
		if got, err := trust.ParseBundle(bad); !errors.Is(err, trust.ErrBundle) {
			t.Errorf("%s: ParseBundle = %+v, %v", name, got, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing":            nil,
		"the bundle alone":   []byte(good),
		"an unknown member":  bytes.Replace(file(t, bundle(t)), []byte(`{"bundle"`), []byte(`{"aaa":1,"bundle"`), 1),
		"no bundle":          []byte(`{"signatures":[{"name":"ada","party":"acme","signature":"x"}]}`),
		"a nameless one":     bytes.Replace(file(t, bundle(t), "acme/ada"), []byte(`"name":"ada",`), nil, 1),
		"too long":           bytes.Repeat([]byte(" "), trust.MaxEnvelope+1),
		"too many":           []byte(`{"bundle":"x","signatures":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a","party":"b","signature":"c"},`, 513), ",") + `]}`),
		"a bundle like that": []byte(`{"bundle":"{}"}`),
	} {
		if got, err := trust.Parse(bad); !errors.Is(err, trust.ErrBundle) {
			t.Errorf("%s: Parse = %+v, %v", name, got, err)
		}
	}
}

func TestPromiseP08_TheFirstBundleIsTakenByItsDigest(t *testing.T) {
	t.Parallel()
	good := file(t, bundle(t))
	digest := trust.Digest(text(t, bundle(t)))
	if got, err := trust.First(good, digest, now); err != nil || got.Digest() != digest {
		t.Fatalf("First = %+v, %v", got, err)
	}
	if got, err := trust.First(file(t, bundle(t), everybody...), digest, now); err != nil || len(got.Signatures) != 3 {
		t.Errorf("with signatures: %+v, %v", got, err)
	}
	other := bundle(t)
	other.UserCAs = []trust.Key{key(t, "thief")}
	for _, tt := range []struct {
		name string
		file []byte
		at   time.Time
		want error
	}{
		{"another bundle", file(t, other, everybody...), now, trust.ErrOther},
		{"expired", good, bundle(t).ExpiresAt.Time(), trust.ErrExpired},
		{"no bundle", []byte("{}"), now, trust.ErrBundle},
	} {
		if got, err := trust.First(tt.file, digest, tt.at); !errors.Is(err, tt.want) {
			t.Errorf("%s: First = %+v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestPromiseP08_TheNextBundleIsSignedByTheRoots(t *testing.T) {
	t.Parallel()
	current := bundle(t)
	newCA := func(b *trust.Bundle) { b.UserCAs = append(b.UserCAs, key(t, "next user CA")) }
	withRoots := func(roots ...trust.Root) func(*trust.Bundle) {
		return func(b *trust.Bundle) { b.Roots = roots }
	}
	acme, bank := current.Roots[0], current.Roots[1]
	next := following(current, newCA)
	for _, tt := range []struct {
		name   string
		change func(*trust.Bundle)
		who    []string
		at     time.Time
		want   error
	}{
		{"signed by enough", newCA, everybody, now, nil},
		{"signed by all", newCA, []string{"acme/ada", "acme/ben", "acme/cleo", "bank/dora"}, now, nil},
		{"nobody", newCA, nil, now, trust.ErrUnsigned},
		{"one party only", newCA, []string{"acme/ada", "acme/cleo"}, now, trust.ErrUnsigned},
		{"one of two", newCA, []string{"acme/ada", "bank/dora"}, now, trust.ErrUnsigned},
		{"one twice", newCA, []string{"acme/ada", "acme/ada", "bank/dora"}, now, trust.ErrUnsigned},
		{"a stranger", newCA, append([]string{"acme/eve"}, everybody...), now, trust.ErrSigner},
		{"another key under a root's name", newCA, []string{"acme/ada/2", "acme/cleo", "bank/dora"}, now, trust.ErrSigner},
		{"one party's root for another", newCA, []string{"acme/ada", "acme/cleo", "bank/ada"}, now, trust.ErrSigner},
		{"expired", newCA, everybody, next.ExpiresAt.Time(), trust.ErrExpired},
		{"the same number", func(b *trust.Bundle) { b.Number-- }, everybody, now, trust.ErrNumber},
		{"an older number", func(b *trust.Bundle) { b.Number = 1 }, everybody, now, trust.ErrNumber},
		{"a number left out", func(b *trust.Bundle) { b.Number++ }, everybody, now, trust.ErrNumber},
		{"made before", func(b *trust.Bundle) { b.MadeAt = current.MadeAt - 1 }, everybody, now, trust.ErrNumber},
		{"another lineage", func(b *trust.Bundle) { b.Lineage = canon.Digest(example("other")) }, everybody, now, trust.ErrOther},
		{"another ledger", func(b *trust.Bundle) {
			b.Origin, b.LogKeys = "other.example", []string{ledgertest.New(t, "other.example", "x").PublicKey()}
		}, everybody, now, trust.ErrOther},

		{"a root is replaced", withRoots(root(t, "acme", 2, "ada", "ben", "zoe"), bank), []string{"acme/ada", "acme/ben", "bank/dora"}, now, nil},
		{"a new root signs for itself, not for the old", withRoots(root(t, "acme", 2, "ada", "ben", "zoe"), bank), []string{"acme/ada", "acme/zoe", "bank/dora"}, now, trust.ErrUnsigned},
		{"old and new roots, each enough", withRoots(root(t, "acme", 2, "yan", "zoe"), bank), []string{"acme/ada", "acme/ben", "acme/yan", "acme/zoe", "bank/dora"}, now, nil},
		{"new roots that did not sign", withRoots(root(t, "acme", 2, "yan", "zoe"), bank), []string{"acme/ada", "acme/ben", "acme/cleo", "bank/dora"}, now, trust.ErrUnsigned},
		{"a root's key is replaced under its name", withRoots(root(t, "acme", 2, "ada/2", "ben"), bank), []string{"acme/ada", "acme/ada/2", "acme/ben", "bank/dora"}, now, nil},
		{"a party more, which agrees", withRoots(acme, bank, root(t, "city", 1, "finn")), append([]string{"city/finn"}, everybody...), now, nil},
		{"a party more, unasked", withRoots(acme, bank, root(t, "city", 1, "finn")), everybody, now, trust.ErrUnsigned},
		{"a party less, which agrees", withRoots(acme), everybody, now, nil},
		{"a party less, unasked", withRoots(acme), []string{"acme/ada", "acme/cleo"}, now, trust.ErrUnsigned},
		{"fewer needed, signed by as many as before", withRoots(root(t, "acme", 1, "ada", "ben", "cleo"), bank), []string{"acme/ada", "bank/dora"}, now, trust.ErrUnsigned},
		{"more needed, signed by as many as before", withRoots(root(t, "acme", 3, "ada", "ben", "cleo"), bank), everybody, now, trust.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := following(bundle(t), tt.change)
			got, err := trust.Next(bundle(t), file(t, b, tt.who...), tt.at)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("Next = %+v, %v, want %v", got, err, tt.want)
			}
			if err == nil && !reflect.DeepEqual(got.Bundle, b) || err != nil && got.Text != "" {
				t.Errorf("Next = %+v", got)
			}
		})
	}
}

func TestPromiseP08_SignaturesForSomethingElseDoNotCount(t *testing.T) {
	t.Parallel()
	current := bundle(t)
	next := text(t, following(current, nil))
	for name, sig := range map[string]trust.Signature{
		"another namespace": inNamespace(t, sshcert.NamespaceContract, next, "bank/dora"),
		"another bundle":    by(t, text(t, current), "bank/dora"),
		"no signature":      {Party: "bank", Name: "dora", Signature: "x"},
	} {
		s := trust.Signed{Text: next, Signatures: []trust.Signature{by(t, next, "acme/ada"), by(t, next, "acme/cleo"), sig}}
		file, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := trust.Next(current, file, now); !errors.Is(err, trust.ErrSigner) {
			t.Errorf("%s: Next = %+v, %v", name, got, err)
		}
	}
}

func TestABundleWithoutRootsIsTheLast(t *testing.T) {
	t.Parallel()
	rootless := bundle(t)
	rootless.Roots = nil
	if got, err := trust.Next(rootless, file(t, following(rootless, nil)), now); !errors.Is(err, trust.ErrNoRoots) {
		t.Errorf("Next = %+v, %v", got, err)
	}
}

// TestAHostThatWasAwayFollows: what lies between may have expired, what is taken may
// not, and no link is left out.
func TestAHostThatWasAwayFollows(t *testing.T) {
	t.Parallel()
	first := bundle(t)
	first.ExpiresAt = canon.At(now.Add(-2 * time.Minute))
	second := following(first, func(b *trust.Bundle) { b.ExpiresAt = canon.At(now.Add(-time.Minute)) })
	third := following(second, func(b *trust.Bundle) { b.ExpiresAt = canon.At(now.Add(time.Hour)) })
	files := [][]byte{file(t, second, everybody...), file(t, third, everybody...)}
	if got, err := trust.Last(first, files, now); err != nil || got.Bundle.Number != 3 {
		t.Errorf("Last = %+v, %v", got, err)
	}
	for _, tt := range []struct {
		name  string
		files [][]byte
		want  error
	}{
		{"none", nil, trust.ErrBundle},
		{"the last has expired", files[:1], trust.ErrExpired},
		{"a link is left out", files[1:], trust.ErrNumber},
		{"a link is unsigned", [][]byte{file(t, second), files[1]}, trust.ErrUnsigned},
	} {
		if got, err := trust.Last(first, tt.files, now); !errors.Is(err, tt.want) {
			t.Errorf("%s: Last = %+v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// TestPromiseP08_ThePolicyAsksForCosigners: a checkpoint needs one of the log keys,
// each party cosigner and enough witnesses.
func TestPromiseP08_ThePolicyAsksForCosigners(t *testing.T) {
	t.Parallel()
	policy, err := bundle(t).Policy()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		log  string
		by   []string
		good bool
	}{
		{"all", "log", []string{"cosigner.acme.example", "w1.example", "w2.example", "w3.example"}, true},
		{"enough", "log", []string{"cosigner.acme.example", "w1.example", "w3.example"}, true},
		{"the next log key", "next log", []string{"cosigner.acme.example", "w1.example", "w3.example"}, true},
		{"another log key", "thief", []string{"cosigner.acme.example", "w1.example", "w3.example"}, false},
		{"no cosigner", "log", []string{"w1.example", "w2.example", "w3.example"}, false},
		{"one witness", "log", []string{"cosigner.acme.example", "w2.example"}, false},
		{"nobody", "log", nil, false},
	} {
		log := ledgertest.New(t, origin, tt.log)
		log.AppendHash([32]byte{1})
		var list []ledger.Cosignature
		for _, name := range tt.by {
			s := ledgertest.Cosigner(t, name)
			line, err := s.Cosign(log.Head(1), now)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, ledger.Cosignature{Key: s.Key(), Line: line})
		}
		signed, err := ledger.AddCosignatures(log.Checkpoint(1), list...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.OpenCheckpoint(signed); (err == nil) != tt.good || err != nil && !errors.Is(err, ledger.ErrUntrusted) {
			t.Errorf("%s: OpenCheckpoint: %v", tt.name, err)
		}
	}
}
