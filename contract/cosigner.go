package contract

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

const (
	// maxCosigners leaves room for witnesses in a proof of 16 KB.
	maxCosigners = 8
	// algCosignature is Ed25519 with a timestamp in C2SP tlog-cosignature.
	algCosignature  = 4
	maxCosignerName = 200
)

// cosignerName is what package ledger takes for the name of a cosigner, too.
var cosignerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:_~/-]*$`)

var errCosignerKey = errors.New("expected the key of a cosigner, NAME+ID+KEY, as `sally cosign` prints it")

// checkCosignerKey refuses what is not the one text form of a cosigner's vkey.
// Package ledger reads the same form and is the oracle in the tests; it can't be
// used here, where nothing may be linked with the network.
func checkCosignerKey(vkey string) error {
	name, rest, _ := strings.Cut(vkey, "+")
	id, text, ok := strings.Cut(rest, "+")
	if !ok || len(name) > maxCosignerName || !cosignerName.MatchString(name) {
		return errCosignerKey
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(key) != text || len(key) != 1+ed25519.PublicKeySize || key[0] != algCosignature {
		return errCosignerKey
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	if want, err := hex.DecodeString(id); err != nil || hex.EncodeToString(want) != id || !bytes.Equal(want, sum[:4]) {
		return errors.New("the id in the cosigner's key does not belong to it; copy the line that `sally cosign` prints")
	}
	return nil
}

// CosignerKeys returns the keys of the cosigners, as vkeys.
func (t *Terms) CosignerKeys() []string {
	keys := make([]string, len(t.Cosigners))
	for i, c := range t.Cosigners {
		keys[i] = c.Key
	}
	return keys
}

func (r *reader) cosigner(e entry) Cosigner {
	o := r.object(e.value, "party", "key")
	c := Cosigner{ID: e.id, Party: r.id(o.need("party"))}
	n := o.need("key")
	c.Key = r.scalar(n, "the key of a cosigner, NAME+ID+KEY")
	if r.err == nil {
		if err := checkCosignerKey(c.Key); err != nil {
			r.fail(n, "%v", err)
		}
	}
	return c
}

// checkCosigners demands that each cosigner is a party's and has a name of its
// own: by the name the server is told where it answers.
func (r *reader) checkCosigners(t *Terms) {
	parties := make([]string, len(t.Parties))
	for i, p := range t.Parties {
		parties[i] = p.ID
	}
	if len(t.Cosigners) > maxCosigners {
		r.failAt("cosigners", "%d cosigners; at most %d", len(t.Cosigners), maxCosigners)
	}
	named := make(map[string]string)
	for _, c := range t.Cosigners {
		path := "cosigners." + c.ID
		if !slices.Contains(parties, c.Party) {
			r.failAt(path+".party", "no party %q in parties, %s", c.Party, strictyaml.Hint(c.Party, parties))
		}
		if first, twice := named[c.Name()]; twice {
			r.failAt(path+".key", "cosigners.%s is named %s already; each cosigner has a name of its own", first, c.Name())
		}
		named[c.Name()] = c.ID
	}
}
