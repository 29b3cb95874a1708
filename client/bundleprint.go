package client

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ledger/trust"
)

// printBundle prints what a bundle says.
func (o BundleOptions) printBundle(s trust.Signed) error {
	r, err := resultOf(s)
	if err != nil {
		return err
	}
	if o.JSON {
		return o.printJSON(r)
	}
	lines := []string{
		fmt.Sprintf("bundle      %d of %s", r.Number, r.Origin),
		"digest      " + r.Digest.String(),
		"lineage     " + r.Lineage.String(),
		"contract    " + r.Contract.String(),
		"made        " + stamp(r.MadeAt),
		"until       " + stamp(r.ExpiresAt),
	}
	lines = append(lines, listed("log key", r.LogKeys)...)
	lines = append(lines, listed("user CA", r.UserCAs)...)
	lines = append(lines, listed("host CA", r.HostCAs)...)
	lines = append(lines, listed("KRL key", r.KRLKeys)...)
	lines = append(lines, listed("cosigner", r.Cosigners)...)
	lines = append(lines, listed("witness", r.Witnesses)...)
	if r.Need > 0 {
		lines = append(lines, fmt.Sprintf("            %d of them must have cosigned", r.Need))
	}
	for _, root := range r.Roots {
		signed := "has not signed"
		if root.Signed {
			signed = "has signed"
		}
		lines = append(lines, fmt.Sprintf("root        %s of %s, %s, %s (%d needed)", root.Name, root.Party, root.Key, signed, root.Need))
	}
	return o.print(lines...)
}

func listed(what string, list []string) []string {
	lines := make([]string, 0, len(list))
	for _, entry := range list {
		lines = append(lines, fmt.Sprintf("%-12s%s", what, entry))
	}
	return lines
}

func resultOf(s trust.Signed) (bundleResult, error) {
	b := s.Bundle
	r := bundleResult{
		Digest: s.Digest(), Number: b.Number, Origin: b.Origin, Lineage: b.Lineage, Contract: b.Contract, MadeAt: b.MadeAt, ExpiresAt: b.ExpiresAt,
		LogKeys: b.LogKeys, Cosigners: b.Cosigners,
	}
	if b.Witnesses != nil {
		r.Witnesses, r.Need = b.Witnesses.Keys, b.Witnesses.Need
	}
	for _, list := range []struct {
		into *[]string
		keys []trust.Key
	}{{&r.UserCAs, b.UserCAs}, {&r.HostCAs, b.HostCAs}, {&r.KRLKeys, b.KRLKeys}} {
		for _, k := range list.keys {
			fingerprint, err := fingerprintOf(k)
			if err != nil {
				return bundleResult{}, err
			}
			*list.into = append(*list.into, fingerprint)
		}
	}
	for _, root := range b.Roots {
		signed := " " + strings.Join(s.SignedFor(root), " ") + " "
		for _, k := range root.Keys {
			fingerprint, err := fingerprintOf(k.Key)
			if err != nil {
				return bundleResult{}, err
			}
			r.Roots = append(r.Roots, bundleRoot{Party: root.Party, Name: k.Name, Key: fingerprint, Need: root.Need, Signed: strings.Contains(signed, " "+k.Name+" ")})
		}
	}
	return r, nil
}

func fingerprintOf(k trust.Key) (string, error) {
	public, err := k.Public()
	if err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(public), nil
}
