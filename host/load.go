package host

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/trust"
)

// Verifier is what a host knows: its own policy and what it pins.
type Verifier struct {
	config Config
	bundle trust.Bundle
	policy *ledger.Policy
	krl    *trust.KRL // nil if there is none, or if it is not to be believed
	krlErr *Refusal   // why not
}

// NewVerifier returns the verifier of a host that pins a bundle. signedKRL is the
// content of krl.json, nil if there is no such file.
func NewVerifier(c Config, b trust.Bundle, signedKRL []byte) (*Verifier, error) {
	if b.Lineage != c.Lineage {
		return nil, refuse(Bundle, fmt.Errorf("%w: the bundle is of lineage %s, %s names %s", trust.ErrOther, b.Lineage, ConfigFile, c.Lineage))
	}
	policy, err := b.Policy()
	if err != nil {
		return nil, refuse(Bundle, err)
	}
	v := &Verifier{config: c, bundle: b, policy: policy}
	if signedKRL != nil {
		krl, err := b.OpenKRL(signedKRL)
		if err != nil {
			v.krlErr = refuse(BadKRL, err)
		} else {
			v.krl = &krl
		}
	}
	return v, nil
}

// Load reads a host's files. The error is a [*Refusal]: whoever can't load refuses
// everybody. A krl.json that is there and can't be read refuses everybody as well,
// but as the last of the checks.
func Load(f Folder) (*Verifier, error) {
	text, err := f.Read(ConfigFile, MaxConfig)
	if err != nil {
		return nil, refuse(Files, err)
	}
	config, err := ParseConfig(text)
	if err != nil {
		return nil, refuse(Policy, err)
	}
	file, err := f.Read(BundleFile, trust.MaxEnvelope)
	if err != nil {
		return nil, refuse(Files, err)
	}
	signed, err := trust.Parse(file)
	if err != nil {
		return nil, refuse(Bundle, err)
	}
	krl, krlErr := f.Read(SignedFile, trust.MaxKRLFile)
	if krlErr != nil {
		krl = nil
	}
	v, err := NewVerifier(config, signed.Bundle, krl)
	if err != nil {
		return nil, err
	}
	if krlErr != nil && !errors.Is(krlErr, fs.ErrNotExist) {
		v.krlErr = refuse(BadKRL, krlErr)
	}
	return v, nil
}

// Config is what the host's owner says about it.
func (v *Verifier) Config() Config { return v.config }

// Bundle is what the host pins.
func (v *Verifier) Bundle() trust.Bundle { return v.bundle }
