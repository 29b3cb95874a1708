package ca

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/sshcert"
)

// The critical options that OpenSSH knows (PROTOCOL.certkeys).
const (
	optionSource  = "source-address"
	optionCommand = "force-command"
	optionVerify  = "verify-required"
)

const (
	maxSources = 64   // networks in one certificate
	maxCommand = 1000 // bytes of a forced command
)

// criticalOptions writes a grant's options as a certificate carries them: networks
// as a comma list in byte order. It refuses what a host would read in another way
// than the contract's signatories did.
func criticalOptions(o approval.Options) (map[string]string, error) {
	out := make(map[string]string)
	if len(o.SourceAddress) > maxSources {
		return nil, fmt.Errorf("%w: %d networks, at most %d", ErrTemplate, len(o.SourceAddress), maxSources)
	}
	networks := make([]string, len(o.SourceAddress))
	for i, p := range o.SourceAddress {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%w: %s is no network", ErrTemplate, p)
		}
		networks[i] = p.String()
	}
	slices.Sort(networks)
	if list := slices.Compact(networks); len(list) > 0 {
		out[optionSource] = strings.Join(list, ",")
	}
	if c := o.ForceCommand; c != "" {
		if len(c) > maxCommand || !utf8.ValidString(c) || strings.ContainsFunc(c, unicode.IsControl) {
			return nil, fmt.Errorf("%w: the command %+.80q", ErrTemplate, c)
		}
		out[optionCommand] = c
	}
	if o.VerifyRequired {
		out[optionVerify] = ""
	}
	return out, nil
}

// checkKeyType holds a certificate's key to the grant. sshd asks only FIDO keys
// whether they verified their user: over another key verify-required says nothing.
func checkKeyType(g approval.Grant, key ssh.PublicKey) error {
	if len(g.Keys) > 0 && !slices.Contains(g.Keys, key.Type()) {
		return fmt.Errorf("%w: the contract allows certificates over %s here, not over %s; make a key of that type",
			sshcert.ErrKeyPolicy, strings.Join(g.Keys, " or "), key.Type())
	}
	if g.Options.VerifyRequired && !verifiesUser(key) {
		return fmt.Errorf("%w: the contract demands a FIDO key that verifies its user, not %s; make one with ssh-keygen -t ed25519-sk -O verify-required",
			sshcert.ErrKeyPolicy, key.Type())
	}
	return nil
}

func verifiesUser(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.KeyAlgoSKECDSA256
}

// optionsMatch reports whether the certificate carries each critical option of the
// grant, exactly as wide, and no other.
func optionsMatch(have map[string]string, want approval.Options) bool {
	count := 0
	if want.VerifyRequired {
		count++
		if value, ok := have["verify-required"]; !ok || value != "" {
			return false
		}
	}
	if want.ForceCommand != "" {
		count++
		if have["force-command"] != want.ForceCommand {
			return false
		}
	}
	if len(want.SourceAddress) > 0 {
		count++
		if !networksMatch(have["source-address"], want.SourceAddress) {
			return false
		}
	}
	return len(have) == count
}

// networksMatch reports whether a list names the networks, each once, and nothing else.
func networksMatch(list string, want []netip.Prefix) bool {
	parts := strings.Split(list, ",")
	seen := make(map[netip.Prefix]bool, len(parts))
	for _, s := range parts {
		p, err := netip.ParsePrefix(s)
		if err != nil || p.String() != s || seen[p] || !slices.Contains(want, p) {
			return false
		}
		seen[p] = true
	}
	for _, p := range want {
		if !seen[p] {
			return false
		}
	}
	return slices.IsSorted(parts)
}
