package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// BundleOptions are the settings of [BundleShow], [BundleSign] and [BundleVerify].
type BundleOptions struct {
	Env
	File      string
	Text      bool   // BundleShow: the text that is signed, and nothing else
	Key       string // BundleSign: file of the root key
	Signature string // BundleSign: file with a signature, instead of Key
	After     string // BundleSign, BundleVerify: file with the bundle before
	Digest    string // BundleVerify: of a first bundle
	JSON      bool
}

// bundleResult is what --json prints.
type bundleResult struct {
	Digest    canon.Digest `json:"digest"`
	Number    int64        `json:"number"`
	Origin    string       `json:"origin"`
	Lineage   canon.Digest `json:"lineage"`
	Contract  canon.Digest `json:"contract"`
	MadeAt    canon.Micros `json:"made_at"`
	ExpiresAt canon.Micros `json:"expires_at"`
	LogKeys   []string     `json:"log_keys"`
	UserCAs   []string     `json:"user_cas"`
	HostCAs   []string     `json:"host_cas,omitempty"`
	KRLKeys   []string     `json:"krl_keys,omitempty"`
	Cosigners []string     `json:"cosigners,omitempty"`
	Witnesses []string     `json:"witnesses,omitempty"`
	Need      int          `json:"witnesses_need,omitempty"`
	Roots     []bundleRoot `json:"roots,omitempty"`
}

// bundleRoot is one root key of a party and whether it has signed.
type bundleRoot struct {
	Party  string `json:"party"`
	Name   string `json:"name"`
	Key    string `json:"key"` // fingerprint
	Need   int    `json:"need"`
	Signed bool   `json:"signed,omitempty"`
}

// BundleShow prints what a trust bundle says, and which of its roots have signed it.
// Whether a host takes it is BundleVerify's question.
func BundleShow(o BundleOptions) error {
	s, err := readBundle(o.File)
	if err != nil {
		return err
	}
	if o.Text {
		return o.write([]byte(s.Text))
	}
	return o.printBundle(s)
}

// BundleVerify tells whether a host takes a bundle: a first one by its digest, a
// later one after the one that it pins.
func BundleVerify(o BundleOptions) error {
	if (o.Digest == "") == (o.After == "") {
		return Usagef("name --digest for a first bundle, or --after and the bundle before for a later one")
	}
	var digest canon.Digest
	if o.Digest != "" {
		var err error
		if digest, err = canon.ParseDigest(o.Digest); err != nil {
			return Usagef("--digest: %w", err)
		}
	}
	file, err := readBundleFile(o.File)
	if err != nil {
		return err
	}
	var s trust.Signed
	if o.Digest != "" {
		s, err = trust.First(file, digest, o.Now())
	} else {
		var before trust.Signed
		if before, err = readBundle(o.After); err != nil {
			return err
		}
		s, err = trust.Next(before.Bundle, file, o.Now())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	return o.printBundle(s)
}

// BundleSign adds the signature of a root key to a bundle's file: made by ssh-keygen
// with a key that the file, an ssh-agent or a security key holds, or made before.
func BundleSign(ctx context.Context, o BundleOptions) error {
	if (o.Key == "") == (o.Signature == "") {
		return Usagef("name --key and the root key's file, or --signature and a file that ssh-keygen -Y sign -n %s has written", trust.Namespace)
	}
	s, err := readBundle(o.File)
	if err != nil {
		return err
	}
	roots := slices.Clone(s.Bundle.Roots)
	if o.After != "" {
		before, err := readBundle(o.After)
		if err != nil {
			return err
		}
		roots = append(roots, before.Bundle.Roots...)
	}
	armored, err := o.signature(ctx, s)
	if err != nil {
		return err
	}
	sig, err := rootOf(roots, armored)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(s.Signatures, func(have trust.Signature) bool { return signedBySame(have, sig) }) {
		return fmt.Errorf("%s: root %s of %s has signed it already", o.File, sig.Name, sig.Party)
	}
	s.Signatures = append(s.Signatures, sig)
	file, err := s.Marshal()
	if err != nil {
		return err
	}
	if err := writeFile(o.File, file, 0o644); err != nil {
		return err
	}
	o.say("root %s of %s has signed bundle %d of %s", sig.Name, sig.Party, s.Bundle.Number, s.Bundle.Origin)
	return nil
}

// signature makes a signature of the bundle, or reads one.
func (o BundleOptions) signature(ctx context.Context, s trust.Signed) (string, error) {
	if o.Signature != "" {
		text, err := readAtMost(o.Signature, maxPublicFile)
		if err != nil {
			return "", err
		}
		signer, err := sshcert.SignedBy(string(text))
		if err != nil {
			return "", fmt.Errorf("%s: %w", o.Signature, err)
		}
		if err := sshcert.Verify(signer, trust.Namespace, []byte(s.Text), string(text)); err != nil {
			return "", fmt.Errorf("%s: %w; sign what `sally bundle show --text %s` prints", o.Signature, err, canon.ShellWord(o.File))
		}
		return string(text), nil
	}
	k, err := readKeyFile("--key", o.Key)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(k.public.Type(), "sk-") {
		o.say("touch the security key when it blinks")
	}
	armored, err := o.keygenSign(ctx, k.publicFile, trust.Namespace, []byte(s.Text))
	if err != nil {
		return "", err
	}
	if err := sshcert.Verify(k.public, trust.Namespace, []byte(s.Text), armored); err != nil {
		return "", fmt.Errorf("what ssh-keygen signed with %s: %w", k.publicFile, err)
	}
	return armored, nil
}

// rootOf names the root whose signature it is.
func rootOf(roots []trust.Root, armored string) (trust.Signature, error) {
	signer, err := sshcert.SignedBy(armored)
	if err != nil {
		return trust.Signature{}, err
	}
	for _, r := range roots {
		for _, k := range r.Keys {
			if k.Key.Is(signer) {
				return trust.Signature{Party: r.Party, Name: k.Name, Signature: armored}, nil
			}
		}
	}
	return trust.Signature{}, fmt.Errorf("%s is no root of this bundle; a root of the bundle before signs with --after and that bundle's file", ssh.FingerprintSHA256(signer))
}

func signedBySame(a, b trust.Signature) bool {
	one, err := sshcert.SignedBy(a.Signature)
	other, err2 := sshcert.SignedBy(b.Signature)
	return err == nil && err2 == nil && bytes.Equal(one.Marshal(), other.Marshal())
}

func readBundle(path string) (trust.Signed, error) {
	file, err := readBundleFile(path)
	if err != nil {
		return trust.Signed{}, err
	}
	s, err := trust.Parse(file)
	if err != nil {
		return trust.Signed{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func readBundleFile(path string) ([]byte, error) {
	if path == "" {
		return nil, Usagef("name the bundle's FILE")
	}
	return readAtMost(path, trust.MaxEnvelope)
}

// readAtMost reads a plain file of at most so many bytes.
func readAtMost(path string, most int64) (text []byte, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe could wait for ever
		return nil, fmt.Errorf("%s is no plain file", path)
	}
	f, err := os.Open(path) //nolint:gosec // the person names it
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if text, err = io.ReadAll(io.LimitReader(f, most+1)); err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: over %d bytes", path, most)
	}
	return text, err
}
