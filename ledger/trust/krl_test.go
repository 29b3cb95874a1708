package trust_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

var list = []byte("a revocation list")

func statement() trust.KRL {
	return trust.KRL{
		V: trust.KRLVersion, Origin: origin, Lineage: canon.Digest(example("lineage")), Number: 17, MadeAt: canon.At(now), NextAt: canon.At(now.Add(time.Minute)),
		Size: 17, SHA256: canon.Digest(sha256.Sum256(list)), Bytes: int64(len(list)),
	}
}

func krlFile(t testing.TB, k trust.KRL, who, namespace string) []byte {
	t.Helper()
	text, err := trust.MakeKRL(k)
	if err != nil {
		t.Fatal(err)
	}
	armored, err := sshcert.Sign(nil, signer(t, who), namespace, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	file, err := trust.SignedKRL(text, armored)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPromiseP09_ARevocationListIsSigned(t *testing.T) {
	t.Parallel()
	b := bundle(t)
	got, err := b.OpenKRL(krlFile(t, statement(), "krl", trust.KRLNamespace))
	if err != nil || got != statement() {
		t.Fatalf("OpenKRL = %+v, %v", got, err)
	}
	if err := got.Covers(list); err != nil {
		t.Error(err)
	}
	if err := got.Covers(append([]byte("A"), list[1:]...)); !errors.Is(err, trust.ErrKRLOther) {
		t.Errorf("Covers another list: %v", err)
	}
	other, ofOther := statement(), statement()
	other.Origin, ofOther.Lineage = "other.example", canon.Digest(example("other"))
	good := krlFile(t, statement(), "krl", trust.KRLNamespace)
	for _, tt := range []struct {
		name string
		file []byte
		want error
	}{
		{"nothing", nil, trust.ErrKRL},
		{"no signature", []byte(`{"statement":"{}"}`), trust.ErrKRL},
		{"an authority's key", krlFile(t, statement(), "user CA", trust.KRLNamespace), trust.ErrKRLSigner},
		{"a stranger's key", krlFile(t, statement(), "thief", trust.KRLNamespace), trust.ErrKRLSigner},
		{"another namespace", krlFile(t, statement(), "krl", trust.Namespace), trust.ErrKRLSigner},
		{"another number", bytes.Replace(good, []byte(`\"number\":17`), []byte(`\"number\":18`), 1), trust.ErrKRLSigner},
		{"another ledger", krlFile(t, other, "krl", trust.KRLNamespace), trust.ErrOther},
		{"another lineage", krlFile(t, ofOther, "krl", trust.KRLNamespace), trust.ErrOther},
		{"too long", bytes.Repeat([]byte(" "), trust.MaxKRLFile+1), trust.ErrKRL},
	} {
		if got, err := b.OpenKRL(tt.file); !errors.Is(err, tt.want) {
			t.Errorf("%s: OpenKRL = %+v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	b.KRLKeys = nil
	if got, err := b.OpenKRL(good); !errors.Is(err, trust.ErrKRLSigner) {
		t.Errorf("a bundle without such keys: %+v, %v", got, err)
	}
}

func TestStatementsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*trust.KRL){
		"no origin":           func(k *trust.KRL) { k.Origin = "" },
		"an origin of none":   func(k *trust.KRL) { k.Origin = "a b" },
		"no lineage":          func(k *trust.KRL) { k.Lineage = canon.Digest{} },
		"no digest":           func(k *trust.KRL) { k.SHA256 = canon.Digest{} },
		"number 0":            func(k *trust.KRL) { k.Number = 0 },
		"no bytes":            func(k *trust.KRL) { k.Bytes = 0 },
		"size 0":              func(k *trust.KRL) { k.Size = 0 },
		"due before":          func(k *trust.KRL) { k.NextAt = k.MadeAt },
		"made never":          func(k *trust.KRL) { k.MadeAt = 0 },
		"below all numbers":   func(k *trust.KRL) { k.Number = -1 },
		"beyond all numbers":  func(k *trust.KRL) { k.Number = 1 << 60 },
		"made before history": func(k *trust.KRL) { k.MadeAt = -1 },
	} {
		k := statement()
		change(&k)
		if got, err := trust.MakeKRL(k); !errors.Is(err, trust.ErrKRL) {
			t.Errorf("%s: MakeKRL = %q, %v", name, got, err)
		}
	}
	good, err := trust.MakeKRL(statement())
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"another version":   strings.Replace(good, "krl/v1", "krl/v2", 1),
		"no size":           strings.Replace(good, `"size":17,`, "", 1),
		"an unknown member": strings.Replace(good, `"bytes"`, `"aaa":1,"bytes"`, 1),
		"too long":          good + strings.Repeat(" ", trust.MaxKRLFile),
	} {
		if got, err := trust.ParseKRL(bad); !errors.Is(err, trust.ErrKRL) {
			t.Errorf("%s: ParseKRL = %+v, %v", name, got, err)
		}
	}
}
