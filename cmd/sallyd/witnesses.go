package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
)

// witnessesConfig says whose word a checkpoint needs.
type witnessesConfig struct {
	// Need is how many of the witnesses must have cosigned: more than half of them, else two halves could be shown two ledgers.
	Need int `yaml:"need,omitempty" default:"no witness" range:"1..32" example:"1"`
	// Of names the witnesses. The name is for you; by what a witness's word is known is its key.
	Of map[string]witnessConfig `yaml:"of,omitempty" keys:"NAME"`
}

// witnessConfig is one witness.
type witnessConfig struct {
	// Verifier is by what a witness's word is known: the line that `sally witness` prints.
	Verifier string `yaml:"verifier" need:"true" form:"NAME+ID+KEY" example:"witness.customer.example/1+260e37ed+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"`
	// URL is where the witness answers: https, or http on a loopback address.
	URL string `yaml:"url" need:"true" form:"https://HOST[:PORT][/PATH]" example:"https://witness.customer.example"`
}

// cosigners returns the quorum and its members.
func (c witnessesConfig) cosigners() (ledger.Cosigners, []authority.Cosigner, error) {
	var quorum ledger.Cosigners
	most := len(c.Of)
	if most == 0 && c.Need == 0 {
		return quorum, nil, nil
	}
	if c.Need < 1 || c.Need > most || 2*c.Need <= most {
		return quorum, nil, badKey("witnesses.need", "%d of %d; more than half of those in witnesses.of are needed, else two halves could be shown two ledgers", c.Need, most)
	}
	list := make([]authority.Cosigner, 0, most)
	for _, name := range slices.Sorted(maps.Keys(c.Of)) {
		at := "witnesses.of." + name
		key, err := ledger.ParseCosignerKey(c.Of[name].Verifier)
		if err != nil {
			return quorum, nil, badKey(at+".verifier", "%v", err)
		}
		if slices.ContainsFunc(quorum.Witnesses, func(k ledger.CosignerKey) bool { return k.Name() == key.Name() }) {
			return quorum, nil, badKey(at+".verifier", "two witnesses are named %s; each counts once", key.Name())
		}
		client, err := witness.NewClient(key, c.Of[name].URL, time.Now)
		if err != nil {
			return quorum, nil, badKey(at+".url", "%v", err)
		}
		quorum.Witnesses, list = append(quorum.Witnesses, key), append(list, client)
	}
	quorum.Need = c.Need
	return quorum, list, nil
}

// cosignerConfig is where a cosigner answers that a contract names.
type cosignerConfig struct {
	// URL is where the cosigner answers: https, or http on a loopback address.
	URL string `yaml:"url" need:"true" form:"https://HOST[:PORT][/PATH]" example:"https://cosigner.customer.example"`
}

// cosignersConfig says where the cosigners answer that contracts name, by their
// names. Their keys stand in the contracts.
type cosignersConfig map[string]cosignerConfig

func (c cosignersConfig) check() error {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if _, err := witness.ParsePrefix(c[name].URL); err != nil {
			return badKey(strictyaml.Join(strictyaml.Join("cosigners", name), "url"), "%v", err)
		}
	}
	return nil
}

// reach returns how to ask a cosigner that a contract names.
func (c cosignersConfig) reach(key ledger.CosignerKey) (authority.Cosigner, error) {
	at, ok := c[key.Name()]
	if !ok {
		return nil, fmt.Errorf("%w: cosigner %s; put it under cosigners in %s, with its url", authority.ErrNoAddress, key.Name(), configFile)
	}
	client, err := witness.NewClient(key, at.URL, time.Now)
	if err != nil {
		return nil, err
	}
	return client, nil
}
