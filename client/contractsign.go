package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// ContractSignOptions are the settings of [ContractSign].
type ContractSignOptions struct {
	ContractOptions
	As        string // party.signer
	Key       string // file of the signatory's key; empty: the ssh-agent holds it
	Signature string // file with a signature that was made elsewhere
	Digest    string // the digest that the signatory means to sign
}

// ContractSign writes a signatory's statement about a version into its folder and
// signs it: by ssh-keygen, with a key in a file, an ssh-agent or a security key, or
// by a signature that was made where the key lies. What is signed is shown first.
func ContractSign(ctx context.Context, o ContractSignOptions) error {
	party, signer, ok := strings.Cut(o.As, ".")
	if !ok || party == "" || signer == "" {
		return Usagef("--as PARTY.SIGNER: name for which party who signs, such as acme.a-lang")
	}
	if o.Key != "" && o.Signature != "" {
		return Usagef("name --key or --signature, not both")
	}
	c, err := loadChain(o.Dir, o.Parents)
	if err != nil {
		return err
	}
	v := c.version()
	if err := o.meant(v); err != nil {
		return err
	}
	statement, err := contract.NewStatement(v, party, signer)
	if err != nil {
		return err
	}
	o.tellWhatIsSigned(c, statement)
	armored, err := o.signature(ctx, v, party, signer, statement)
	if err != nil {
		return err
	}
	signed, err := v.VerifySignature(statement, armored)
	if err != nil {
		return err
	}
	file := contract.StatementPath(party, signer)
	if err := c.dir().write(file, statement); err != nil {
		return err
	}
	if err := c.dir().write(file+signatureSuffix, armored); err != nil {
		return err
	}
	o.say("signed: %s as %s of %s; the signature is %s", signed.Signer, signed.Capacity, signed.Party, filepath.Join(o.Dir, file+signatureSuffix))
	after, err := readContractDir(o.Dir)
	if err != nil {
		return err
	}
	_, have := after.signatures(v)
	missing := missingLines(v, have)
	for _, m := range missing {
		o.say("missing: %s", m.words())
	}
	if len(missing) == 0 {
		o.say("everybody who has to has signed")
	}
	return nil
}

// meant refuses a version other than the one that the signatory has read.
func (o ContractSignOptions) meant(v *contract.Version) error {
	if o.Digest == "" {
		return nil
	}
	digest, err := canon.ParseDigest(o.Digest)
	if err != nil {
		return Usagef("--digest: %w", err)
	}
	if digest != v.Digest {
		return fmt.Errorf("%s is the version %s, not %s, so nothing is signed; ask who gave you the folder", o.Dir, v.Digest, digest)
	}
	return nil
}

// tellWhatIsSigned shows the version and what it changes.
func (o ContractSignOptions) tellWhatIsSigned(c *chain, statement []byte) {
	v := c.version()
	o.say("contract %s, version %d: %s", v.Terms.ID, v.Manifest.Version, v.Terms.Title)
	o.say("digest %s", v.Digest)
	if v.Parent != nil {
		o.say("amends %s; class %s", v.Parent.Digest, classWords(v.Compared.Class, v.Compared.Constitutional))
		for _, change := range v.Compared.Changes {
			o.say("  %s", changeWords(change))
		}
	}
	o.say("the statement: %s", statement)
}

// signature makes the signature, or reads it.
func (o ContractSignOptions) signature(ctx context.Context, v *contract.Version, party, signer string, statement []byte) ([]byte, error) {
	if o.Signature != "" {
		return readAtMost(o.Signature, maxPublicFile)
	}
	if o.Key != "" {
		k, err := readKeyFile("--key", o.Key)
		if err != nil {
			return nil, err
		}
		return o.keygenContract(ctx, k.public, k.publicFile, statement)
	}
	pinned, err := pinnedKey(v, party, signer)
	if err != nil {
		return nil, err
	}
	if o.Getenv("SSH_AUTH_SOCK") == "" {
		return nil, Usagef("there is no ssh-agent; name --key and the file of the key %s", ssh.FingerprintSHA256(pinned))
	}
	// ssh-keygen asks the agent for the key of a public key file.
	dir, err := os.MkdirTemp("", "sally-sign-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a public key
	file := filepath.Join(dir, "key.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(pinned), 0o600); err != nil {
		return nil, err
	}
	armored, err := o.keygenContract(ctx, pinned, file, statement)
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w; the key that the contract pins for %s is %s", err, o.As, ssh.FingerprintSHA256(pinned))
	}
	return armored, err
}

func (o ContractSignOptions) keygenContract(ctx context.Context, public ssh.PublicKey, publicFile string, statement []byte) ([]byte, error) {
	if strings.HasPrefix(public.Type(), "sk-") {
		o.say("touch the security key when it blinks")
	}
	armored, err := o.keygenSign(ctx, publicFile, sshcert.NamespaceContract, statement)
	return []byte(armored), err
}

// pinnedKey is the key with which a signatory of the version signs: the version's
// own for version 1, the version before's for an amendment.
func pinnedKey(v *contract.Version, party, signer string) (ssh.PublicKey, error) {
	terms := signingTerms(v)
	for _, line := range terms.Signatories {
		for _, k := range line.Of {
			if line.Party == party && k.Name == signer {
				return k.PublicKey, nil
			}
		}
	}
	return nil, errors.New("the contract pins no key for them; name --key")
}

// signingTerms are the terms whose signatories sign a version.
func signingTerms(v *contract.Version) *contract.Terms {
	if v.Parent != nil {
		return v.Parent.Terms
	}
	return v.Terms
}

// allowedSigners is the file by which stock ssh-keygen checks the signatures of a
// version: each signatory as party.signer, for the namespace of contracts alone.
func allowedSigners(v *contract.Version) []byte {
	var b bytes.Buffer
	for _, line := range signingTerms(v).Signatories {
		for _, k := range line.Of {
			fmt.Fprintf(&b, "%s.%s namespaces=%q %s", line.Party, k.Name, sshcert.NamespaceContract, ssh.MarshalAuthorizedKey(k.PublicKey))
		}
	}
	return b.Bytes()
}
