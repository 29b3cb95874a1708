package client

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ledger"
)

// ErrPin is wrapped by every refusal of a pin file.
var ErrPin = errors.New("not a pin file")

const (
	pinHeader = "sallyport.pin/v1"
	pinLines  = 4
	maxPin    = 4 << 10
)

// Pin is what a client was told about an authority by people, not by the
// server: everything that it believes rests on these three lines.
type Pin struct {
	// Origin is the ledger's name.
	Origin string
	// LogKey is the key that signs the ledger's checkpoints, a C2SP vkey.
	LogKey string
	// CA is the key that signs certificates; ed25519.
	CA ssh.PublicKey
}

// ParsePin reads a pin file: the line "sallyport.pin/v1", then "origin NAME",
// "log VKEY" and "ca ssh-ed25519 BASE64", each ended by a newline. It refuses
// everything that [Pin.String] would write otherwise.
func ParsePin(text []byte) (Pin, error) {
	if len(text) > maxPin {
		return Pin{}, fmt.Errorf("%w: %d bytes, at most %d", ErrPin, len(text), maxPin)
	}
	body, ended := strings.CutSuffix(string(text), "\n")
	lines := strings.Split(body, "\n")
	if !ended || len(lines) != pinLines || lines[0] != pinHeader {
		return Pin{}, fmt.Errorf("%w: want the line %q and three lines origin, log, ca, each ended by a newline", ErrPin, pinHeader)
	}
	values := make([]string, 0, pinLines-1)
	for i, name := range []string{"origin", "log", "ca"} {
		value, ok := strings.CutPrefix(lines[i+1], name+" ")
		if !ok {
			return Pin{}, fmt.Errorf("%w: line %d must start with %q", ErrPin, i+2, name)
		}
		values = append(values, value)
	}
	p := Pin{Origin: values[0], LogKey: values[1]}
	if _, err := ledger.NewPolicy(p.Origin, p.LogKey); err != nil {
		return Pin{}, fmt.Errorf("%w: %w", ErrPin, err)
	}
	ca, err := parseKeyLine(values[2])
	if err != nil || ca.Type() != ssh.KeyAlgoED25519 {
		return Pin{}, fmt.Errorf("%w: line 4 must be an ssh-ed25519 public key without a comment", ErrPin)
	}
	p.CA = ca
	return p, nil
}

// ReadPin reads the pin file at path.
func ReadPin(path string) (Pin, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the person named the file
	if err != nil {
		return Pin{}, fmt.Errorf("reading the pin file: %w", err)
	}
	p, err := ParsePin(text)
	if err != nil {
		return Pin{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// String returns the pin file.
func (p Pin) String() string {
	return fmt.Sprintf("%s\norigin %s\nlog %s\nca %s\n", pinHeader, p.Origin, p.LogKey, keyLine(p.CA))
}

// policy returns which checkpoints the pin believes.
func (p Pin) policy() (*ledger.Policy, error) {
	return ledger.NewPolicy(p.Origin, p.LogKey)
}

// keyLine writes a public key in authorized_keys form without comment.
func keyLine(key ssh.PublicKey) string {
	return string(bytes.TrimSuffix(ssh.MarshalAuthorizedKey(key), []byte("\n")))
}

// parseKeyLine reads what keyLine writes: no options, no comment, no
// certificate.
func parseKeyLine(line string) (ssh.PublicKey, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, fmt.Errorf("not a public key: %w", err)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, errors.New("a certificate, not a public key")
	}
	if keyLine(key) != line {
		return nil, errors.New("a public key with options, a comment or odd spacing")
	}
	return key, nil
}
