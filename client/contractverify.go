package client

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
)

// ContractVerifyOptions are the settings of [ContractVerify].
type ContractVerifyOptions struct {
	Env
	Dirs     []string // the folders of the versions; the last one's are followed to version 1
	Version1 string   // digest of version 1
	JSON     bool
}

// chainResult is what --json prints of a chain of versions.
type chainResult struct {
	OK       bool              `json:"ok"` // every version is signed by everybody who has to, and every signature holds
	ID       string            `json:"id"`
	Lineage  canon.Digest      `json:"lineage"`
	Versions []contractVersion `json:"versions"`
}

// ContractVerify follows a contract from version 1, which the caller knows by its
// digest, to its last version: every file by its digest, every signature by the rules
// of the version before, every class computed again. It asks no server and believes
// none. It fails if a version lacks a signature, or if one does not hold.
func ContractVerify(o ContractVerifyOptions) error {
	if len(o.Dirs) == 0 {
		return Usagef("name the DIR of each version")
	}
	if o.Version1 == "" {
		return Usagef("--version1 DIGEST: name version 1 by its digest, from those who signed it and not from the server")
	}
	first, err := canon.ParseDigest(o.Version1)
	if err != nil {
		return Usagef("--version1: %w", err)
	}
	c, err := newestChain(o.Dirs)
	if err != nil {
		return err
	}
	if got := c.versions[0].Digest; got != first {
		return fmt.Errorf("version 1 in %s is %s, not %s: this is another contract", c.dirs[0].path, got, first)
	}
	for _, dir := range o.Dirs {
		if !slices.ContainsFunc(c.dirs, func(d *contractDir) bool { return sameDir(d.path, dir) }) {
			return fmt.Errorf("%s is no version before %s: the versions of a contract are one line, and of two amendments of one version only one counts", dir, c.dir().path)
		}
	}
	r := chainResult{OK: true, ID: c.version().Terms.ID, Lineage: first}
	for i, v := range c.versions {
		one := describeVersion(c.dirs[i], v)
		r.Versions = append(r.Versions, one)
		r.OK = r.OK && one.Signed && !slices.ContainsFunc(one.Signatures, func(s signatureState) bool { return !s.Holds })
	}
	if err := o.printChain(r); err != nil {
		return err
	}
	if !r.OK {
		return errors.New(r.flaw())
	}
	return nil
}

// newestChain loads the chain that ends in the folder whose version is the highest.
func newestChain(dirs []string) (*chain, error) {
	var newest *chain
	for _, dir := range dirs {
		c, err := loadChain(dir, dirs)
		if err != nil {
			return nil, err
		}
		if newest == nil || len(c.versions) > len(newest.versions) {
			newest = c
		}
	}
	return newest, nil
}

func (o ContractVerifyOptions) printChain(r chainResult) error {
	if o.JSON {
		return o.printJSON(r)
	}
	for i, one := range r.Versions {
		if i > 0 {
			if err := o.print(""); err != nil {
				return err
			}
		}
		if err := o.printPairs(append(one.pairs(), [2]string{"state", one.state()})); err != nil {
			return err
		}
	}
	return nil
}

// state says what the files alone can say about being in force.
func (r contractVersion) state() string {
	switch {
	case !r.Signed:
		return "not in force: it is not signed by everybody who has to"
	case r.NotBefore != 0:
		return "signed by everybody who has to; in force from the day on which the ledger has the last signature, not before " + stamp(r.NotBefore)
	default:
		return "signed by everybody who has to; in force from the moment at which the ledger has the last signature"
	}
}

// flaw says why a chain does not hold.
func (r chainResult) flaw() string {
	for _, v := range r.Versions {
		for _, s := range v.Signatures {
			if !s.Holds {
				return fmt.Sprintf("version %d: %s: %s", v.Version, s.File, s.Why)
			}
		}
		if len(v.Missing) > 0 {
			return fmt.Sprintf("version %d is not signed by everybody who has to: missing is %s", v.Version, v.Missing[0].words())
		}
	}
	return "the chain does not hold"
}
