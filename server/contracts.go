package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// maxOpenProposals is how many versions of one contract wait for signatures at most
// that were sent in.
const maxOpenProposals = 20

// contracts answers GET /v1/contracts: every version of the contracts that concern
// the person, with who has signed and who has to sign still.
func (s *Server) contracts(w http.ResponseWriter, r *http.Request, session store.Session) error {
	out := []api.ContractVersion{}
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		rows, err := authority.Contracts(reader)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if !who.seesContract(row.Lineage) {
				continue
			}
			one, err := describeContract(reader, row, canon.At(s.now()))
			if err != nil {
				return err
			}
			out = append(out, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(out, func(a, b api.ContractVersion) int {
		if a.Contract.ID != b.Contract.ID {
			return compareText(a.Contract.ID, b.Contract.ID)
		}
		return int(b.Contract.Version - a.Contract.Version)
	})
	return writeJSON(w, http.StatusOK, out)
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// seesContract tells whether the versions of a contract are shown to somebody.
func (p *person) seesContract(lineage canon.Digest) bool {
	return p.lineages[lineage] || slices.ContainsFunc(p.audits, func(v *contract.Version) bool { return v.Lineage() == lineage })
}

// contractFiles answers GET /v1/contracts/{digest}: a version with its files and the
// signatures that it has, to be checked, read and signed elsewhere.
func (s *Server) contractFiles(w http.ResponseWriter, r *http.Request, session store.Session) error {
	digest, err := canon.ParseDigest(mux.Vars(r)["digest"])
	if err != nil {
		return fmt.Errorf("contract: %w", record.ErrNotFound)
	}
	var out api.ContractFiles
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		row, err := record.Contract(reader, digest)
		if err != nil {
			return err
		}
		if !who.seesContract(row.Lineage) {
			return fmt.Errorf("contract %s: %w", digest, record.ErrNotFound)
		}
		out, err = readContract(reader, row, canon.At(s.now()))
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// readContract reads the files and the signatures of a version.
func readContract(r *store.Reader, row record.ContractRow, now canon.Micros) (api.ContractFiles, error) {
	version, err := r.Version(row.Contract)
	if err != nil {
		return api.ContractFiles{}, err
	}
	out := api.ContractFiles{Files: []api.ContractFile{}, Signatures: []api.ContractSignature{}}
	if out.Version, err = describeContract(r, row, now); err != nil {
		return api.ContractFiles{}, err
	}
	for name, text := range version.Files {
		out.Files = append(out.Files, api.ContractFile{Path: name, Text: string(text)})
	}
	slices.SortFunc(out.Files, func(a, b api.ContractFile) int { return compareText(a.Path, b.Path) })
	for _, signed := range row.Signed {
		index, err := r.LeafIndex(signed.Leaf)
		if err != nil {
			return api.ContractFiles{}, err
		}
		entry, err := r.Entry(index)
		if err != nil {
			return api.ContractFiles{}, err
		}
		facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
		if err != nil {
			return api.ContractFiles{}, err
		}
		f, ok := facts.(record.ContractSign)
		if !ok {
			return api.ContractFiles{}, fmt.Errorf("%w: leaf %d is no signature", record.ErrEvent, index)
		}
		out.Signatures = append(out.Signatures, api.ContractSignature{Statement: f.Statement, Signature: f.Signature})
	}
	return out, nil
}

// describeContract says where a version stands.
func describeContract(r *store.Reader, row record.ContractRow, now canon.Micros) (api.ContractVersion, error) {
	version, err := r.Version(row.Contract)
	if err != nil {
		return api.ContractVersion{}, err
	}
	out := api.ContractVersion{
		Contract:   api.Contract{ID: row.ID, Title: version.Terms.Title, Version: row.Version, Digest: row.Contract, Lineage: row.Lineage},
		Class:      string(version.Manifest.Class),
		ProposedAt: row.ProposedAt, InForceAt: row.InForceAt,
		Signed: []api.ContractSigned{}, Missing: []api.ContractMissing{}, Unmet: row.Unmet(version),
	}
	if version.Parent != nil {
		out.Parent = row.Parent.String()
		out.Constitutional = version.Compared.Constitutional
		out.Changes = version.Compared.Sentences()
	}
	for _, s := range row.Signed {
		out.Signed = append(out.Signed, api.ContractSigned{Party: s.Party, Capacity: s.Capacity, Signer: s.Signer, At: s.At})
	}
	for _, m := range version.Missing(row.Signatures()) {
		out.Missing = append(out.Missing, api.ContractMissing{Party: m.Party, Capacity: m.Capacity, Need: m.Need, Of: m.Of})
	}
	out.State, out.Why, err = stateOf(r, row, now)
	return out, err
}

// States of a contract version.
const (
	contractInForce    = "in-force"
	contractScheduled  = "scheduled"  // signed, and not before its day
	contractProposed   = "proposed"   // it waits for signatures or conditions
	contractSuperseded = "superseded" // it was in force
	contractOver       = "over"       // it can't come into force any more
)

// stateOf says where a version stands, and of one that is over why.
func stateOf(r *store.Reader, row record.ContractRow, now canon.Micros) (state, why string, err error) {
	switch current, err := record.InForce(r, row.Lineage, now); {
	case err == nil && current.Digest == row.Contract:
		return contractInForce, "", nil
	case err != nil && !errors.Is(err, record.ErrNotInForce):
		return "", "", err
	case row.InForceAt > now:
		return contractScheduled, "", nil
	case row.InForceAt != 0:
		return contractSuperseded, "", nil
	}
	switch over := record.ProposalOver(r, row, now); {
	case over == nil:
		return contractProposed, "", nil
	case errors.Is(over, record.ErrProposalOver), errors.Is(over, record.ErrSuperseded):
		return contractOver, over.Error(), nil
	default:
		return "", "", over
	}
}

// sendContract answers POST /v1/contracts: an amendment of a contract that concerns
// the person, or signatures over one. Whose signatures they are they say themselves;
// who sends them does not matter. Version 1 comes in by the operator alone.
func (s *Server) sendContract(w http.ResponseWriter, r *http.Request, session store.Session) error {
	var body api.ContractSend
	if err := decode(r, &body); err != nil {
		return err
	}
	var folder api.SentFolder
	if err := canon.Unmarshal([]byte(body.Folder), &folder); err != nil {
		return fmt.Errorf("folder: %w: %w", authority.ErrField, err)
	}
	files := make(map[string][]byte, len(folder.Files))
	for _, f := range folder.Files {
		if _, twice := files[f.Path]; twice {
			return fmt.Errorf("files: %w: %q stands twice", authority.ErrField, f.Path)
		}
		files[f.Path] = []byte(f.Text)
	}
	signatures := make([]authority.Signature, len(folder.Signatures))
	for i, sig := range folder.Signatures {
		signatures[i] = authority.Signature{Statement: []byte(sig.Statement), Armored: []byte(sig.Signature)}
	}
	parent, err := contract.ParentOf(files[contract.ManifestFile])
	if err == nil && parent.IsZero() {
		err = fmt.Errorf("version 1 of a contract is added by the operator, with sallyd contract add: %w", contract.ErrManifest)
	}
	if err != nil {
		return contractRefused(err)
	}
	digest := contract.ManifestDigest(files[contract.ManifestFile])
	if err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		return s.maySend(reader, session, parent, digest, len(signatures) > 0)
	}); err != nil {
		return err
	}
	added, err := s.authority.AddContract(r.Context(), files, signatures)
	if err != nil {
		return contractRefused(err)
	}
	var out api.ContractVersion
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		out, err = describeContract(reader, added.Row, canon.At(s.now()))
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// maySend refuses an amendment of a contract that does not concern the person, and a
// new one that nobody has signed who may, or while many wait.
func (s *Server) maySend(r *store.Reader, session store.Session, parent, digest canon.Digest, signed bool) error {
	who, err := readerOf(r, session, s.now())
	if err != nil {
		return err
	}
	amended, err := record.Contract(r, parent)
	if err == nil && !who.seesContract(amended.Lineage) {
		err = fmt.Errorf("contract %s: %w", parent, record.ErrNotFound)
	}
	if err != nil {
		return err
	}
	rows, err := authority.Contracts(r)
	if err != nil {
		return err
	}
	open := 0
	for _, row := range rows {
		if row.Contract == digest { // it is there already: signatures come in
			return nil
		}
		if row.Lineage != amended.Lineage || row.InForceAt != 0 {
			continue
		}
		if over := record.ProposalOver(r, row, canon.At(s.now())); over == nil {
			open++
		}
	}
	if !signed {
		return contractRefused(fmt.Errorf("an amendment comes with the signature of at least one who may sign it (sally contract sign): %w", contract.ErrStatement))
	}
	if open >= maxOpenProposals {
		return contractRefused(fmt.Errorf("%d versions of the contract wait for signatures; bring the signatures that one lacks, or wait until one is over: %w", open, record.ErrProposalOver))
	}
	return nil
}

// refusedContracts are the reasons for which a version or a signature is the fault of
// who sent it.
var refusedContracts = []error{
	contract.ErrManifest, contract.ErrTerms, contract.ErrProse, contract.ErrAmendment, contract.ErrStatement, contract.ErrOtherContract, contract.ErrNotSignatory,
	contract.ErrBadSignature, record.ErrSuperseded, record.ErrProposalOver, record.ErrUnenforced, record.ErrIssuerRead,
}

// contractRefused tells a fault of the sender from one of ours.
func contractRefused(err error) error {
	for _, reason := range refusedContracts {
		if errors.Is(err, reason) {
			return fmt.Errorf("contract: %w: %w", authority.ErrField, err)
		}
	}
	return err
}
