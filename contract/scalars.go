package contract

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// MinRSABits is the smallest RSA key that may sign a contract.
const MinRSABits = 3072

// parsePinnedKey reads a public key as a .pub file has it: type, base64, and
// possibly a comment, which is not kept. Options of authorized_keys lines,
// certificates, DSA and short RSA keys are refused.
func parsePinnedKey(line string) (ssh.PublicKey, error) {
	const pub = "write the one line of a .pub file: type, base64, comment"
	fields := strings.SplitN(line, " ", 3)
	if len(fields) < 2 || strings.ContainsAny(line, "\r\n\t") {
		return nil, fmt.Errorf("not a public key; %s", pub)
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil {
		return nil, fmt.Errorf("not a public key: its second word is no base64; %s", pub)
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, fmt.Errorf("not a public key that we know; %s", pub)
	}
	if err := checkPinnedKey(key); err != nil {
		return nil, err
	}
	if key.Type() != fields[0] {
		return nil, fmt.Errorf("the line says %q, the key is %s", strictyaml.Clip(fields[0]), key.Type())
	}
	if string(key.Marshal()) != string(wire) {
		return nil, fmt.Errorf("the key is not written in its one canonical form; %s", pub)
	}
	return key, nil
}

// checkPinnedKey holds a key to the policy for keys that terms pin.
func checkPinnedKey(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		bits, err := rsaBits(key)
		if err == nil && bits < MinRSABits {
			return fmt.Errorf("an RSA key of %d bits; at least %d, or make one with ssh-keygen -t ed25519", bits, MinRSABits)
		}
		return err
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return errors.New("a certificate; pin the plain public key, no authority may make signatories")
	}
	return fmt.Errorf("a key of type %s; pin ed25519, ecdsa, rsa of at least %d bits or a FIDO key", key.Type(), MinRSABits)
}

// rsaBits reads the length of the modulus from the wire form (RFC 4253 §6.6).
func rsaBits(key ssh.PublicKey) (int, error) {
	var w struct {
		Name string
		E    []byte
		N    []byte
	}
	if err := ssh.Unmarshal(key.Marshal(), &w); err != nil {
		return 0, fmt.Errorf("not an RSA key: %w", err)
	}
	n := w.N
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) == 0 {
		return 0, errors.New("not an RSA key: its modulus is zero")
	}
	bits := len(n) * 8
	for top := n[0]; top&0x80 == 0; top <<= 1 {
		bits--
	}
	return bits, nil
}

var clausePattern = regexp.MustCompile(`^§[1-9][0-9]{0,3}(\.[1-9][0-9]{0,3}){0,7}$`)

func (r *reader) clause(n node) string {
	return r.match(n, "a clause", clausePattern, "a clause is § and numbers with dots, such as §4.1")
}

var claimPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]{0,127}$`)

func (r *reader) claim(n node) string {
	return r.match(n, "the name of a claim", claimPattern, "letters, digits and _ . : / -")
}

var (
	labelPattern      = idPattern
	labelValuePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

const labelValueForm = "a label's value is 1 to 63 characters of A-Z, a-z, 0-9 and . _ -, starting with a letter or digit"

func (r *reader) labelValue(n node) string {
	return r.match(n, "a label's value", labelValuePattern, labelValueForm)
}

// CheckLabel tells whether a host may carry the label key=value: an id as key,
// and a value of 1 to 63 characters A-Z, a-z, 0-9, ".", "_" and "-", starting
// with a letter or digit. Terms can select no other labels.
func CheckLabel(key, value string) error {
	if !labelPattern.MatchString(key) {
		return fmt.Errorf("label %q: %s", strictyaml.Clip(key), idForm)
	}
	if !labelValuePattern.MatchString(value) {
		return fmt.Errorf("label %s=%q: %s", key, strictyaml.Clip(value), labelValueForm)
	}
	return nil
}

const maxURL = 255

// issuerURL reads the URL of an issuer (OpenID Connect Core §2, iss): https
// without query or fragment; plain http only on loopback.
func (r *reader) issuerURL(n node) string {
	s := r.text(n, maxURL)
	if r.err != nil {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "", u.Hostname() == "", u.User != nil, u.RawQuery != "", u.ForceQuery, strings.Contains(s, "#"),
		u.Scheme != "https" && u.Scheme != "http", u.Host != strings.ToLower(u.Host), u.String() != s:
		r.fail(n, "expected an issuer's URL such as https://login.example.com/realm, found %q", strictyaml.Clip(s))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		r.fail(n, "plain http is for loopback only; use https")
	}
	return s
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
