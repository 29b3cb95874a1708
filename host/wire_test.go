package host_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// wires are texts that are no certificate in its one form, though the right authority
// signed some of them.
func wires(t testing.TB, w *hosttest.World) map[string]struct {
	wire []byte
	want host.Reason
} {
	t.Helper()
	good := w.Issue(template(t, w)).Marshal()
	type wire = struct {
		wire []byte
		want host.Reason
	}
	swap := func(from, to string) []byte { return bytes.Replace(good, []byte(from), []byte(to), 1) }
	large := template(t, w)
	large.Extensions["padding@example"] = strings.Repeat("x", sshcert.MaxCertificate)
	return map[string]wire{
		"nothing":                    {nil, host.Malformed},
		"junk":                       {[]byte("junk"), host.Malformed},
		"cut off by a byte":          {good[:len(good)-1], host.Malformed},
		"cut off in the middle":      {good[:len(good)/2], host.Malformed},
		"a byte more":                {append(slices.Clone(good), 0), host.Malformed},
		"twice":                      {append(slices.Clone(good), good...), host.Malformed},
		"a plain key":                {hosttest.Signer(t, "subject").PublicKey().Marshal(), host.Malformed},
		"over 98000 bytes":           {w.Issue(large).Marshal(), host.Size},
		"zeros":                      {make([]byte, 98000), host.Malformed},
		"a megabyte":                 {make([]byte, 1<<20), host.Size},
		"a flipped bit in its nonce": {swap(string(hosttest.Derived("nonce")[:8]), "thief..."), host.Signature},
		"options out of order":       {reordered(t, w), host.Malformed},
		"an option twice":            {twice(t, w), host.Malformed},
		"an empty text spelled out":  {handMade(t, w, ssh.Marshal(struct{ Name, Value string }{"permit-pty", "\x00\x00\x00\x00"})), host.NotCanonical},
	}
}

// handMade writes a certificate with these extensions, as they stand, and signs it.
func handMade(t testing.TB, w *hosttest.World, extensions []byte) []byte {
	t.Helper()
	c := template(t, w)
	c.Serial, c.Extensions = 6, nil
	c.Signature = &ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: make([]byte, 64)}
	plain := c.Marshal()
	ca := ssh.Marshal(struct{ Key []byte }{w.CA.PublicKey().Marshal()})
	// Empty extensions, a reserved field, then the authority's key.
	at := bytes.LastIndex(plain, append(make([]byte, 8), ca...))
	if at < 0 {
		t.Fatal("a certificate is written otherwise than thought")
	}
	body := slices.Concat(plain[:at], ssh.Marshal(struct{ Extensions []byte }{extensions}), make([]byte, 4), ca)
	signature, err := w.CA.Sign(nil, body)
	if err != nil {
		t.Fatal(err)
	}
	return append(body, ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(signature)})...)
}

func extension(name string) []byte { return ssh.Marshal(struct{ Name, Value string }{name, ""}) }

func reordered(t testing.TB, w *hosttest.World) []byte {
	t.Helper()
	return handMade(t, w, append(extension("permit-user-rc"), extension("permit-pty")...))
}

func twice(t testing.TB, w *hosttest.World) []byte {
	t.Helper()
	return handMade(t, w, append(extension("permit-pty"), extension("permit-pty")...))
}

func TestPromiseP08_BytesThatAreNoCertificate(t *testing.T) {
	t.Parallel()
	w := world(t)
	for name, tt := range wires(t, w) {
		verdict := verifier(t, w, nil).Check(tt.wire, "ops", now)
		if verdict.Refused == nil || verdict.Refused.Reason != tt.want || verdict.Stock != (sshcert.Principal{}) {
			t.Errorf("%s: Check = %+v, %v, want %s", name, verdict, verdict.Refused, tt.want)
		}
	}
	good := w.Issue(template(t, w)).Marshal()
	key := hosttest.Signer(t, "subject").PublicKey().Marshal()
	for _, point := range sshcerttest.SmallOrder() { // anybody signs with such a key
		wire := bytes.Replace(good, key[len(key)-32:], point, 1)
		if got, err := verifier(t, w, nil).Principal(wire, "ops", now); reason(t, err) != host.Malformed {
			t.Errorf("over %x: Principal = %v, %v", point, got, err)
		}
	}
}

// TestPromiseP08_EachByteCounts flips each byte of a good certificate.
func TestPromiseP08_EachByteCounts(t *testing.T) {
	t.Parallel()
	w := world(t)
	v := verifier(t, w, nil)
	good := w.Issue(template(t, w)).Marshal()
	for i := range good {
		wire := slices.Clone(good)
		wire[i] ^= 1 << (i % 8)
		if got, err := v.Principal(wire, "ops", now); err == nil {
			t.Errorf("byte %d: Principal = %v", i, got)
		}
	}
}
