package sshcert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// algorithmWebAuthn is the form in which OpenSSH has the signature of a passkey.
const algorithmWebAuthn = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"

const (
	maxClientData = 4 << 10
	maxExtensions = 1 << 10
)

// PasskeyChallenge is the challenge with which a browser has a passkey sign
// message in namespace: the bytes that an SSHSIG by any other key would be made
// over.
func PasskeyChallenge(namespace string, message []byte) []byte {
	return signedData(namespace, sshsig.HashSHA512, message)
}

// PasskeyKey returns the SSH form of a passkey's public key for a relying party,
// from its SubjectPublicKeyInfo (getPublicKey() of the browser's answer): an
// sk-ecdsa-sha2-nistp256@openssh.com key whose application is the relying party's
// id. OpenSSH has no such form for keys of other algorithms than ES256.
func PasskeyKey(rpID string, spki []byte) (ssh.PublicKey, error) {
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, errors.New("not a public key as a browser gives it (SubjectPublicKeyInfo)")
	}
	ec, ok := public.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("a passkey of another algorithm than ES256, for whose signatures OpenSSH has no form; make one with pubKeyCredParams of alg -7 only")
	}
	if !isRelyingParty(rpID) {
		return nil, fmt.Errorf("%.80q is no relying party's id, such as sallyport.example.com", rpID)
	}
	point, err := ec.Bytes()
	if err != nil {
		return nil, fmt.Errorf("not a point of the curve: %w", err)
	}
	return ssh.ParsePublicKey(ssh.Marshal(skECDSA{ssh.KeyAlgoSKECDSA256, "nistp256", point, rpID}))
}

// PasskeySignature armors what a passkey answered to a PasskeyChallenge for
// namespace as an SSHSIG, which VerifyFlags takes and stock ssh-keygen -Y verify,
// too. The arguments are response.clientDataJSON, response.authenticatorData and
// response.signature as the browser gives them. It refuses, wrapping ErrSignature,
// what VerifyFlags would.
func PasskeySignature(pub ssh.PublicKey, namespace string, clientData, authenticatorData, signature []byte) (string, error) {
	rp, err := passkeyParty(pub)
	if err != nil {
		return "", err
	}
	const flagsAt, head = sha256.Size, sha256.Size + 1 + 4
	if len(authenticatorData) < head {
		return "", fmt.Errorf("%w: its authenticator data has %d bytes, at least %d", ErrSignature, len(authenticatorData), head)
	}
	if want := sha256.Sum256([]byte(rp)); !bytes.Equal(authenticatorData[:flagsAt], want[:]) {
		return "", fmt.Errorf("%w: it was made for another relying party than %s", ErrSignature, rp)
	}
	var said struct{ Challenge, Origin string }
	if err := json.Unmarshal(clientData, &said); err != nil {
		return "", fmt.Errorf("%w: its client data is no JSON", ErrSignature)
	}
	signed, err := base64.RawURLEncoding.Strict().DecodeString(said.Challenge)
	if err != nil {
		return "", fmt.Errorf("%w: its challenge is no base64url", ErrSignature)
	}
	var data sshsigData
	if err := ssh.Unmarshal(signed, &data); err != nil || string(data.Magic[:]) != magic || data.Namespace != namespace || data.Reserved != "" || data.Hash != string(sshsig.HashSHA512) {
		return "", fmt.Errorf("%w: its challenge is not one to sign a statement with in namespace %s", ErrSignature, namespace)
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &rs); err != nil || len(rest) != 0 {
		return "", fmt.Errorf("%w: it is no ECDSA signature", ErrSignature)
	}
	rest := ssh.Marshal(webauthnRest{
		Flags: authenticatorData[flagsAt], Counter: binary.BigEndian.Uint32(authenticatorData[flagsAt+1:]),
		Origin: said.Origin, ClientData: string(clientData), Extensions: string(authenticatorData[head:]),
	})
	sig := &ssh.Signature{Format: algorithmWebAuthn, Blob: ssh.Marshal(rs), Rest: rest}
	if _, err := verifyPasskey(pub, sig, signed); err != nil {
		return "", err
	}
	return string(sshsig.Armor(&sshsig.Signature{
		Version: 1, PublicKey: pub, Namespace: namespace, HashAlgorithm: sshsig.HashSHA512, Signature: sig,
	})), nil
}

// webauthnRest is what stands behind the ECDSA signature (PROTOCOL.u2f).
type webauthnRest struct {
	Flags                          byte
	Counter                        uint32
	Origin, ClientData, Extensions string
}

// skECDSA is the wire form of a FIDO ECDSA key.
type skECDSA struct {
	Type, Curve string
	Point       []byte
	Application string
}

// passkeyParty returns the id of the relying party that a key is a passkey of.
func passkeyParty(pub ssh.PublicKey) (string, error) {
	switch pub.Type() {
	case ssh.KeyAlgoSKECDSA256:
	case ssh.KeyAlgoSKED25519:
		return "", fmt.Errorf("%w: OpenSSH has no form for the signature of an ed25519 passkey; make a passkey with ES256, its key is of type %s", ErrSignature, ssh.KeyAlgoSKECDSA256)
	default:
		return "", fmt.Errorf("%w: a %.60q key is no passkey", ErrSignature, pub.Type())
	}
	rp, ok := Application(pub)
	if !ok || !isRelyingParty(rp) {
		return "", fmt.Errorf("%w: the key is of the application %.80q, which is no website; a passkey's is the id of its relying party", ErrSignature, rp)
	}
	return rp, nil
}

// IsPasskey reports whether a key can be a passkey whose signatures OpenSSH has a
// form for: a FIDO ECDSA key whose application is the id of a relying party.
func IsPasskey(pub ssh.PublicKey) bool {
	_, err := passkeyParty(pub)
	return err == nil
}

// Application returns what a FIDO key was made for: "ssh:" and more, or the id of
// a relying party.
func Application(pub ssh.PublicKey) (string, bool) {
	switch pub.Type() {
	case ssh.KeyAlgoSKECDSA256:
		var w skECDSA
		err := ssh.Unmarshal(pub.Marshal(), &w)
		return w.Application, err == nil
	case ssh.KeyAlgoSKED25519:
		var w struct{ Type, Point, Application string }
		err := ssh.Unmarshal(pub.Marshal(), &w)
		return w.Application, err == nil
	}
	return "", false
}

// verifyPasskey checks a passkey's signature over what an SSHSIG signs.
func verifyPasskey(pub ssh.PublicKey, sig *ssh.Signature, signed []byte) (Flags, error) {
	rp, err := passkeyParty(pub)
	if err != nil {
		return Flags{}, err
	}
	var w webauthnRest
	if err := ssh.Unmarshal(sig.Rest, &w); err != nil {
		return Flags{}, fmt.Errorf("%w: it has no flags, counter, origin, client data and extensions of a passkey", ErrSignature)
	}
	if len(w.ClientData) > maxClientData || len(w.Extensions) > maxExtensions {
		return Flags{}, fmt.Errorf("%w: its client data is over %d bytes, or its extensions are over %d", ErrSignature, maxClientData, maxExtensions)
	}
	if err := checkOrigin(w.Origin, rp); err != nil {
		return Flags{}, err
	}
	if err := checkClientData(w.ClientData, w.Origin, signed); err != nil {
		return Flags{}, err
	}
	switch {
	case w.Flags&touched == 0:
		return Flags{}, fmt.Errorf("%w: the passkey was not touched for it", ErrSignature)
	case w.Flags&hasKey != 0:
		return Flags{}, fmt.Errorf("%w: it says that a new key stands in it, as only registrations have", ErrSignature)
	case (w.Flags&hasExtension != 0) != (w.Extensions != ""):
		return Flags{}, fmt.Errorf("%w: it says of its extensions what is not so", ErrSignature)
	}
	if !verifyECDSA(pub, sig.Blob, authenticated(rp, w)) {
		return Flags{}, fmt.Errorf("%w: it was made over other bytes", ErrSignature)
	}
	return Flags{Touched: true, Verified: w.Flags&verified != 0, Passkey: true}, nil
}

// authenticated is what a passkey signs (WebAuthn §6.3.3): authenticator data and
// the hash of the client data.
func authenticated(rp string, w webauthnRest) []byte {
	application, client := sha256.Sum256([]byte(rp)), sha256.Sum256([]byte(w.ClientData))
	out := append(application[:], w.Flags)
	out = binary.BigEndian.AppendUint32(out, w.Counter)
	return append(append(out, w.Extensions...), client[:]...)
}

func verifyECDSA(pub ssh.PublicKey, blob, data []byte) bool {
	var key skECDSA
	var rs struct{ R, S *big.Int }
	if ssh.Unmarshal(pub.Marshal(), &key) != nil || ssh.Unmarshal(blob, &rs) != nil || !bytes.Equal(ssh.Marshal(rs), blob) {
		return false
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.Point)
	if err != nil {
		return false
	}
	digest := sha256.Sum256(data)
	return ecdsa.Verify(public, digest[:], rs.R, rs.S)
}

// relyingParty is the form of a relying party's id: the name of a host, as browsers
// write it, and no address. Of one label there is localhost alone, as no browser lets
// a website sign for a top-level domain.
var relyingParty = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func isRelyingParty(id string) bool {
	return len(id) <= 253 && (relyingParty.MatchString(id) || id == "localhost")
}

var originPattern = regexp.MustCompile(`^(https?)://([a-z0-9.-]{1,253})(:[1-9][0-9]{0,4})?$`)

// checkOrigin demands that the website was one of the relying party's: its host is
// the relying party's id or ends in it, and it was reached by https unless it is
// the person's own machine.
func checkOrigin(origin, rp string) error {
	m := originPattern.FindStringSubmatch(origin)
	if m == nil || !isRelyingParty(m[2]) {
		return fmt.Errorf("%w: its origin %.120q is no website", ErrSignature, origin)
	}
	if host := m[2]; host != rp && !strings.HasSuffix(host, "."+rp) {
		return fmt.Errorf("%w: it was made for the website %s, which is not under %s as the key is", ErrSignature, origin, rp)
	}
	if host := m[2]; m[1] != "https" && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
		return fmt.Errorf("%w: it was made for the website %s, without TLS", ErrSignature, origin)
	}
	return nil
}

// checkClientData holds clientDataJSON to the words with which every browser
// begins it (WebAuthn §5.8.1.1), as OpenSSH does, and to being one object in which
// nothing else is said of the same: no member twice, no page inside another's.
func checkClientData(text, origin string, signed []byte) error {
	rest, ok := strings.CutPrefix(text, `{"type":"webauthn.get","challenge":"`)
	if !ok {
		return fmt.Errorf("%w: its client data does not begin with the type webauthn.get and the challenge", ErrSignature)
	}
	if rest, ok = strings.CutPrefix(rest, base64.RawURLEncoding.EncodeToString(signed)+`","origin":"`); !ok {
		return fmt.Errorf("%w: its challenge is not of these bytes in this namespace", ErrSignature)
	}
	if rest, ok = strings.CutPrefix(rest, origin+`"`); !ok || rest == "" || rest[0] != ',' && rest[0] != '}' {
		return fmt.Errorf("%w: its client data names another origin than it does itself", ErrSignature)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: its client data is no UTF-8", ErrSignature)
	}
	members, err := readObject(text)
	if err != nil {
		return fmt.Errorf("%w: its client data is no JSON object: %w", ErrSignature, err)
	}
	if cross, has := members["crossOrigin"]; has && cross != "false" {
		return fmt.Errorf("%w: it was made in a page inside another website's", ErrSignature)
	}
	if _, has := members["topOrigin"]; has {
		return fmt.Errorf("%w: it was made in a page inside another website's", ErrSignature)
	}
	return nil
}

// readObject reads one JSON object whose members all have different names, as
// name and text of each.
func readObject(text string) (map[string]string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it begins with no brace")
	}
	members := make(map[string]string)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("a member has no name")
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("%.40q stands in it twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%.40q has no value", name)
		}
		members[name] = string(value)
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, errors.New("it ends with no brace")
	}
	if d.InputOffset() != int64(len(text)) {
		return nil, errors.New("something stands behind it")
	}
	return members, nil
}
