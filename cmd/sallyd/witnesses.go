package main

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
)

// witnessesConfig says whose word a checkpoint needs.
type witnessesConfig struct {
	// Need is how many of the list must have cosigned: more than half.
	Need int `yaml:"need,omitempty"`
	// List names the witnesses.
	List []witnessConfig `yaml:"list,omitempty"`
}

// witnessConfig is one witness.
type witnessConfig struct {
	// Key is its public key, one line NAME+ID+KEY as `sally witness` prints it.
	Key string `yaml:"key"`
	// URL is where it answers: https, or http on a loopback address.
	URL string `yaml:"url"`
}

// cosigners returns the quorum and its members.
func (c witnessesConfig) cosigners() (ledger.Cosigners, []authority.Cosigner, error) {
	var quorum ledger.Cosigners
	if len(c.List) == 0 {
		if c.Need != 0 {
			return quorum, nil, fmt.Errorf("witnesses.need: %d, and there are none in witnesses.list", c.Need)
		}
		return quorum, nil, nil
	}
	list := make([]authority.Cosigner, 0, len(c.List))
	for i, w := range c.List {
		key, err := ledger.ParseCosignerKey(w.Key)
		if err != nil {
			return quorum, nil, fmt.Errorf("witnesses.list[%d].key: %w", i, err)
		}
		client, err := witness.NewClient(key, w.URL, time.Now)
		if err != nil {
			return quorum, nil, fmt.Errorf("witnesses.list[%d].%w", i, err)
		}
		quorum.Witnesses, list = append(quorum.Witnesses, key), append(list, client)
	}
	quorum.Need = c.Need
	if most := len(c.List); c.Need < 1 || c.Need > most || 2*c.Need <= most {
		return quorum, nil, fmt.Errorf("witnesses.need: %d of %d; more than half of them are needed, else two halves could be shown two ledgers", c.Need, most)
	}
	return quorum, list, nil
}
