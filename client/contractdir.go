package client

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// A contract's folder: where statements and signatures lie in it, and how much of it
// is read.
const (
	signaturesDir   = "sigs"
	signatureSuffix = ".sig"
	maxContractFile = 1 << 20
	maxStatements   = 1000 // files in sigs/
	maxNeighbours   = 1000 // folders beside it in which its parent is looked for
	maxVersions     = 1000 // in one chain
)

// contractDir is the folder of one contract version as it lies on disk.
type contractDir struct {
	path       string
	files      map[string][]byte // by name; those that are there
	statements []statementFile   // by name
}

// statementFile is one file of sigs/ with the signature beside it.
type statementFile struct {
	name      string // sigs/acme.a-lang.json
	statement []byte
	armored   []byte // nil: nobody has signed it
}

// draftFiles are what people write; the others are made from them.
var draftFiles = []string{contract.ProseFile, contract.TermsFile}

// versionFiles are the files of a version in the order in which they are read. Some
// versions lack some of them.
var versionFiles = []string{contract.ProseFile, contract.TermsFile, contract.AmendmentFile, contract.PlanFile, contract.ManifestFile}

// readContractDir reads the files of a contract version and its signatures. What
// else lies in the folder is passed over.
func readContractDir(dir string) (*contractDir, error) {
	if dir == "" {
		return nil, Usagef("name the contract's DIR")
	}
	d := &contractDir{path: dir, files: map[string][]byte{}}
	for _, name := range versionFiles {
		text, err := readAtMost(filepath.Join(dir, name), maxContractFile)
		switch {
		case errors.Is(err, fs.ErrNotExist) && slices.Contains(draftFiles, name):
			return nil, fmt.Errorf("%s has no %s; a contract is a folder with %s and %s, and `sally contract new` makes one", dir, name, contract.ProseFile, contract.TermsFile)
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		}
		d.files[name] = text
	}
	return d, d.readStatements()
}

func (d *contractDir) readStatements() error {
	entries, err := os.ReadDir(filepath.Join(d.path, signaturesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		if len(d.statements) == maxStatements {
			return fmt.Errorf("%s: more than %d statements", filepath.Join(d.path, signaturesDir), maxStatements)
		}
		file := filepath.Join(d.path, signaturesDir, entry.Name())
		s := statementFile{name: path.Join(signaturesDir, entry.Name())}
		if s.statement, err = readAtMost(file, maxContractFile); err != nil {
			return err
		}
		if s.armored, err = readAtMost(file+signatureSuffix, maxContractFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		d.statements = append(d.statements, s)
	}
	return nil
}

// digest is the version's, as its manifest is written; false without a manifest.
func (d *contractDir) digest() (canon.Digest, bool) {
	manifest, ok := d.files[contract.ManifestFile]
	return contract.ManifestDigest(manifest), ok
}

// write puts a file into the folder.
func (d *contractDir) write(name string, content []byte) error {
	file := filepath.Join(d.path, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a contract is no secret
		return err
	}
	return writeFile(file, content, 0o644)
}

// signatureState is what becomes of one signature.
type signatureState struct {
	File     string `json:"file"`
	Party    string `json:"party,omitempty"` // from here on only of a signature that holds
	Capacity string `json:"capacity,omitempty"`
	Signer   string `json:"signer,omitempty"`
	Holds    bool   `json:"holds"`
	Why      string `json:"why,omitempty"` // why it does not hold
}

// signatures judges every signature of the folder by the version's rules.
func (d *contractDir) signatures(v *contract.Version) (states []signatureState, have []contract.Signed) {
	for _, s := range d.statements {
		if s.armored == nil {
			continue
		}
		state := signatureState{File: s.name}
		signed, err := v.VerifySignature(s.statement, s.armored)
		if err != nil {
			state.Why = err.Error()
		} else {
			state.Party, state.Capacity, state.Signer, state.Holds = signed.Party, signed.Capacity, signed.Signer, true
			have = append(have, signed)
		}
		states = append(states, state)
	}
	return states, have
}

// missingLine is a line that is not signed yet.
type missingLine struct {
	Party    string   `json:"party"`
	Capacity string   `json:"capacity"`
	Need     int      `json:"need"` // how many more
	Of       []string `json:"of"`   // who still can
}

func missingLines(v *contract.Version, have []contract.Signed) []missingLine {
	var out []missingLine
	for _, m := range v.Missing(have) {
		out = append(out, missingLine{Party: m.Party, Capacity: m.Capacity, Need: m.Need, Of: m.Of})
	}
	return out
}

// everyFile is what an archive holds of the folder: the files of the version,
// signed statements and their signatures.
func (d *contractDir) everyFile() map[string][]byte {
	out := maps.Clone(d.files)
	for _, s := range d.statements {
		if s.armored != nil {
			out[s.name], out[s.name+signatureSuffix] = s.statement, s.armored
		}
	}
	return out
}
