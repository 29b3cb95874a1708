package host_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/sshcert"
)

// FuzzCheck gives a host any bytes for a certificate, and any user: it lets in the
// one that was issued, as ops, and nothing else.
func FuzzCheck(f *testing.F) {
	w := world(f)
	good := w.Issue(template(f, w)).Marshal()
	v := verifier(f, w, nil)
	f.Add(good, "ops")
	f.Add(good, "root")
	f.Add(good, "ops@web-1.demo")
	for _, tt := range forgeries() {
		f.Add(tt.make(f, w).Marshal(), "ops")
	}
	for _, tt := range wires(f, w) {
		f.Add(tt.wire, "ops")
	}
	for _, tt := range changes() {
		c := template(f, w)
		tt.change(w, c)
		f.Add(w.Sign(c, w.CA).Marshal(), "ops")
	}
	f.Fuzz(func(t *testing.T, wire []byte, user string) {
		verdict := v.Check(wire, user, now)
		if verdict.Refused == nil && (!bytes.Equal(wire, good) || user != "ops" || verdict.Principal.String() != "ops@web-1.demo") {
			t.Fatalf("let in: %+v", verdict)
		}
		if verdict.Refused != nil && verdict.Principal != (sshcert.Principal{}) {
			t.Fatalf("refused and let in: %+v", verdict)
		}
	})
}

// FuzzPrincipals gives the command any words, as sshd would: it prints one principal
// or nothing, and logs lines of ASCII.
func FuzzPrincipals(f *testing.F) {
	w := world(f)
	good := b64(w.Issue(template(f, w)))
	at := folder(f, w)
	f.Add(good, "ops")
	f.Add(good, "--dir=/tmp")
	f.Add("", "")
	f.Add("AAAA", "ops\nrefused reason=none")
	f.Add(good+"=", "ops")
	f.Add(strings.Repeat("A", 140000), "ops")
	f.Fuzz(func(t *testing.T, certificate, user string) {
		a := ask(t, at)
		a.principals(certificate, user)
		switch out := a.out.String(); {
		case out == "" && a.log.Len() > 0:
		case out == "ops@web-1.demo\n" && user == "ops" && a.log.Len() == 0:
			if wire, err := base64.StdEncoding.DecodeString(certificate); err != nil || base64.StdEncoding.EncodeToString(wire) != good {
				t.Fatalf("let in by %q", certificate)
			}
		default:
			t.Fatalf("it prints %q, log %q", out, a.log.String())
		}
		for _, r := range a.log.String() {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Fatalf("the log holds %U", r)
			}
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, c := range []host.Config{full(f), world(f).Config()} {
		text, err := c.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(bytes.Replace(text, []byte(`"mode"`), []byte(`"mode":"observe","mode"`), 1))
	}
	f.Add([]byte(`{"v":"sallyport.host/v1"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := host.ParseConfig(text)
		if err != nil {
			return
		}
		if again, err := c.Marshal(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("read %q, written %q, %v", text, again, err)
		}
	})
}

// FuzzFiles puts any text into a host's files: it lets nobody in by another than its
// own, and never falls over.
func FuzzFiles(f *testing.F) {
	w := world(f)
	good := b64(w.Issue(template(f, w)))
	c, b := w.Config(), w.Bundle()
	config, err := c.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	at := folder(f, w)
	f.Add(config, w.BundleFile(b), w.SignedKRL(now))
	f.Add([]byte("{}"), w.BundleFile(b), []byte{})
	f.Add(config, bytes.Replace(w.BundleFile(b), []byte(`\"number\":1`), []byte(`\"number\":2`), 1), w.SignedKRL(now))
	f.Fuzz(func(t *testing.T, config, bundle, krl []byte) {
		for name, text := range map[string][]byte{host.ConfigFile: config, host.BundleFile: bundle, host.SignedFile: krl} {
			if err := os.WriteFile(filepath.Join(at.Path, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a := ask(t, at)
		a.principals(good, "ops")
		if strings.Contains(a.log.String(), "reason=panic") {
			t.Fatal(a.log.String())
		}
		if a.out.Len() > 0 {
			v, err := host.Load(at)
			if err != nil || v.Config().Lineage != w.Lineage {
				t.Fatalf("it prints %q by files that can't be read: %v", a.out.String(), err)
			}
		}
	})
}
