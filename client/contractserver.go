package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

const contractsPath = "/v1/contracts"

// ContractListOptions are the settings of [ContractStatus] and [ContractHistory].
type ContractListOptions struct {
	Env
	ID   string // of the contract; empty: all that concern the person
	JSON bool
}

// contractListResult is what --json prints.
type contractListResult struct {
	Contracts []api.ContractVersion `json:"contracts"`
}

// ContractStatus prints the versions that are in force or can come into force, with
// who has to sign them still. It is the server's word: contract fetch and contract
// verify hold it to the signatures.
func ContractStatus(ctx context.Context, o ContractListOptions) error {
	return o.list(ctx, func(v api.ContractVersion) bool {
		return v.State == "in-force" || v.State == "scheduled" || v.State == "proposed"
	})
}

// ContractHistory prints every version that there ever was, newest first.
func ContractHistory(ctx context.Context, o ContractListOptions) error {
	return o.list(ctx, func(api.ContractVersion) bool { return true })
}

func (o ContractListOptions) list(ctx context.Context, wanted func(api.ContractVersion) bool) error {
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var all []api.ContractVersion
	if err := a.conn.get(ctx, contractsPath, nil, &all); err != nil {
		return err
	}
	list := slices.DeleteFunc(all, func(v api.ContractVersion) bool { return !wanted(v) || o.ID != "" && v.Contract.ID != o.ID })
	switch {
	case len(list) == 0 && o.ID != "":
		return fmt.Errorf("no contract %s concerns you; sally whoami shows your groups", o.ID)
	case o.JSON:
		return o.printJSON(contractListResult{append([]api.ContractVersion{}, list...)})
	case len(list) == 0:
		o.say("no contract concerns you; sally whoami shows your groups")
		return nil
	}
	t := table{heading: []string{"contract", "version", "state", "class", "from", "signed", "missing", "digest"}}
	for _, v := range list {
		t.rows = append(t.rows, []string{
			v.Contract.ID, strconv.FormatInt(v.Contract.Version, 10), v.State, v.Class, whenWords(v), signedWords(v.Signed), lackingWords(v), v.Contract.Digest.String(),
		})
	}
	return o.printTable(t)
}

func whenWords(v api.ContractVersion) string {
	if v.InForceAt == 0 {
		return ""
	}
	return v.InForceAt.Time().UTC().Format(time.RFC3339)
}

func signedWords(list []api.ContractSigned) string {
	var words []string
	for _, s := range list {
		words = append(words, s.Party+"."+s.Signer)
	}
	return strings.Join(words, ", ")
}

// lackingWords says what a version waits for, or why it waits in vain.
func lackingWords(v api.ContractVersion) string {
	if v.State == "over" {
		return v.Why
	}
	var words []string
	for _, m := range v.Missing {
		words = append(words, fmt.Sprintf("%d of %s for %s", m.Need, strings.Join(m.Of, ", "), m.Party))
	}
	for _, c := range v.Unmet {
		words = append(words, "condition "+c)
	}
	return strings.Join(words, "; ")
}

// ContractSend sends an amendment and the signatures in its folder to the server. A
// repeat is safe: what the server has it has.
func ContractSend(ctx context.Context, o ContractOptions) error {
	d, err := readContractDir(o.Dir)
	if err != nil {
		return err
	}
	digest, made := d.digest()
	if !made {
		return fmt.Errorf("%s has no manifest; make it with `sally contract propose` first", o.Dir)
	}
	var folder api.SentFolder
	for _, name := range versionFiles {
		if text, ok := d.files[name]; ok {
			folder.Files = append(folder.Files, api.SentFile{Path: name, Text: string(text)})
		}
	}
	for _, s := range d.statements {
		if s.armored != nil {
			folder.Signatures = append(folder.Signatures, api.SentSignature{Statement: string(s.statement), Signature: string(s.armored)})
		}
	}
	text, err := canon.Marshal(folder)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Dir, err)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var v api.ContractVersion
	if err := a.conn.post(ctx, contractsPath, api.ContractSend{Folder: string(text)}, &v); err != nil {
		return err
	}
	if v.Contract.Digest != digest {
		return fmt.Errorf("the server speaks of the version %s, not of %s", v.Contract.Digest, digest)
	}
	if o.JSON {
		return o.printJSON(v)
	}
	return o.printPairs(versionPairs(v))
}

// versionPairs says where a version stands, for people.
func versionPairs(v api.ContractVersion) [][2]string {
	pairs := [][2]string{
		{"contract", fmt.Sprintf("%s, version %d", v.Contract.ID, v.Contract.Version)},
		{"digest", v.Contract.Digest.String()},
		{"state", v.State},
	}
	for _, row := range [][2]string{{"class", v.Class}, {"in force", whenWords(v)}, {"signed", signedWords(v.Signed)}, {"missing", lackingWords(v)}} {
		if row[1] != "" {
			pairs = append(pairs, row)
		}
	}
	return pairs
}

// ContractFetchOptions are the settings of [ContractFetch].
type ContractFetchOptions struct {
	Env
	Digest string
	Dir    string // a new folder
	JSON   bool
}

// ContractFetch writes a version with its signatures into a new folder, byte for
// byte as it was proposed. That the bytes are the version's it checks; whether the
// signatures hold contract verify says.
func ContractFetch(ctx context.Context, o ContractFetchOptions) error {
	digest, err := canon.ParseDigest(o.Digest)
	if err != nil {
		return Usagef("DIGEST: %w", err)
	}
	if _, err := os.Lstat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
		return Usagef("%s is there already; name a new folder", o.Dir)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var answer api.ContractFiles
	if err := a.conn.get(ctx, contractsPath+"/"+url.PathEscape(digest.String()), nil, &answer); err != nil {
		return err
	}
	d, err := fetched(digest, answer)
	if err != nil {
		return err
	}
	d.path = o.Dir
	if err := d.writeAll(); err != nil {
		return err
	}
	if o.JSON {
		return o.printJSON(answer.Version)
	}
	return o.printPairs(append(versionPairs(answer.Version), [2]string{"folder", o.Dir}))
}

// fetched holds what the server sent to the digest that was asked for.
func fetched(digest canon.Digest, answer api.ContractFiles) (*contractDir, error) {
	d := &contractDir{files: map[string][]byte{}}
	for _, f := range answer.Files {
		if !slices.Contains(versionFiles, f.Path) {
			return nil, fmt.Errorf("the server's answer has the file %q, which no contract version has", f.Path)
		}
		d.files[f.Path] = []byte(f.Text)
	}
	have, ok := d.digest()
	if !ok || have != digest {
		return nil, fmt.Errorf("the server's answer is not the version %s", digest)
	}
	var m contract.Manifest
	if err := canon.Unmarshal(d.files[contract.ManifestFile], &m); err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	if len(m.Files) != len(d.files)-1 {
		return nil, errors.New("the server's answer has other files than the manifest names")
	}
	for _, f := range m.Files {
		if sum := canon.Digest(sha256.Sum256(d.files[f.Path])); sum != f.SHA256 {
			return nil, fmt.Errorf("the server's answer has another %s than the manifest names", f.Path)
		}
	}
	for _, s := range answer.Signatures {
		name, err := statementName([]byte(s.Statement))
		if err != nil {
			return nil, err
		}
		d.statements = append(d.statements, statementFile{name: name, statement: []byte(s.Statement), armored: []byte(s.Signature)})
	}
	return d, nil
}

// writeAll writes a folder: the manifest last, so that it is a version when it is whole.
func (d *contractDir) writeAll() error {
	for _, name := range versionFiles {
		text, ok := d.files[name]
		if !ok {
			continue
		}
		if err := d.write(name, text); err != nil {
			return err
		}
	}
	for _, s := range d.statements {
		if err := d.write(s.name, s.statement); err != nil {
			return err
		}
		if err := d.write(s.name+signatureSuffix, bytes.Clone(s.armored)); err != nil {
			return err
		}
	}
	return nil
}

// plainStatement is the form of a statement's name: two ids, or those of a root.
var plainStatement = regexp.MustCompile(`^sigs/[a-z][a-z0-9-]{0,62}\.(roots\.)?[a-z][a-z0-9-]{0,62}\.json$`)

// statementName is where a statement lies in a folder, by what it says of itself.
func statementName(text []byte) (string, error) {
	var s struct {
		Party    string `json:"party"`
		Signer   string `json:"signer"`
		Capacity string `json:"capacity"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return "", fmt.Errorf("the server's answer has a statement that can't be read: %w", err)
	}
	name := contract.StatementPath(s.Party, s.Signer)
	if s.Capacity == contract.CapacityRoots {
		name = contract.RootStatementPath(s.Party, s.Signer)
	}
	if !plainStatement.MatchString(name) {
		return "", fmt.Errorf("the server's answer has a statement of %q for %q, which are no ids", s.Signer, s.Party)
	}
	return name, nil
}
