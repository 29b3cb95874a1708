package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificate writes a TLS certificate for a host and its key.
func certificate(t *testing.T, dir, host string, from, until time.Time, mode os.FileMode) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		write(t, filepath.Join(dir, name), string(pem.EncodeToMemory(block)))
	}
	if err := os.Chmod(filepath.Join(dir, "tls.key"), mode); err != nil {
		t.Fatal(err)
	}
}

// TestCheckReadsCertificates: for whom and until when the TLS certificate is, and
// whose its key is.
func TestCheckReadsCertificates(t *testing.T) {
	t.Parallel()
	now, day := time.Now(), 24*time.Hour
	for _, tt := range []struct {
		name        string
		host        string
		from, until time.Time
		mode        os.FileMode
		change      func(dir string) error
		want        string
	}{
		{"good", "ca.example", now.Add(-day), now.Add(80 * day), 0o600, nil, "✓ tls: the certificate is for ca.example, until 20"},
		{"soon over", "ca.example", now.Add(-day), now.Add(13 * day), 0o600, nil, "? tls: the certificate for ca.example ends at 20"},
		{"over", "ca.example", now.Add(-2 * day), now.Add(-day), 0o600, nil, "✗ tls: the certificate ended at 20"},
		{"not yet", "ca.example", now.Add(day), now.Add(2 * day), 0o600, nil, "✗ tls: the certificate is not valid before 20"},
		{"another host", "www.example", now.Add(-day), now.Add(80 * day), 0o600, nil, "✗ tls: the certificate is not for ca.example, the host of url\n"},
		{"a key for all", "ca.example", now.Add(-day), now.Add(80 * day), 0o644, nil, "tls.key has mode 644; others can read it, so make it 0600\n"},
		{"another's key", "ca.example", now.Add(-day), now.Add(80 * day), 0o600, func(dir string) error {
			other := t.TempDir()
			certificate(t, other, "ca.example", now, now.Add(day), 0o600)
			return os.Rename(filepath.Join(other, "tls.key"), filepath.Join(dir, "tls.key"))
		}, "private key does not match public key\n"},
		{"no certificate in it", "ca.example", now.Add(-day), now.Add(80 * day), 0o600, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("none"), 0o600)
		}, "✗ tls: tls."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "ca")
			sallyd(t, "init", dir, "--origin", "x.example")
			text := "url: https://ca.example\nlisten: 127.0.0.1:8443\ntls: {certificate: tls.crt, key: tls.key}\n"
			write(t, filepath.Join(dir, configFile), text)
			certificate(t, dir, tt.host, tt.from, tt.until, tt.mode)
			if tt.change != nil {
				if err := tt.change(dir); err != nil {
					t.Fatal(err)
				}
			}
			says(t, findings(t, dir, false), tt.want)
		})
	}
}
