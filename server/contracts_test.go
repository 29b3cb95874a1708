package server_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// amendment is version 2 of the newest contract, not in force before 2100, as its
// owner signed it.
func (w *world) amendment() (*contract.Version, api.SentFolder) {
	w.t.Helper()
	files, err := contract.NewAmendment(map[string][]byte{
		contract.ProseFile: w.version.Files[contract.ProseFile],
		contract.TermsFile: bytes.Replace(w.version.Files[contract.TermsFile], []byte("\nceilings:"), []byte("\neffect: {not_before: \"2100-01-01T00:00:00Z\"}\nceilings:"), 1),
	}, w.version, nil)
	must(w.t, err)
	v, err := contract.LoadAmendment(files, w.version)
	must(w.t, err)
	statement, err := contract.NewStatement(v, "acme", "owner")
	must(w.t, err)
	armored, err := sshcert.Sign(rand.Reader, w.owner, sshcert.NamespaceContract, statement)
	must(w.t, err)
	folder := api.SentFolder{Signatures: []api.SentSignature{{Statement: string(statement), Signature: armored}}}
	for name, text := range files {
		folder.Files = append(folder.Files, api.SentFile{Path: name, Text: string(text)})
	}
	return v, folder
}

func sent(t *testing.T, folder api.SentFolder) api.ContractSend {
	t.Helper()
	text, err := canon.Marshal(folder)
	must(t, err)
	return api.ContractSend{Folder: string(text)}
}

// An amendment comes in with a signature, is listed, and is read byte for byte.
func TestContractsAreSentAndRead(t *testing.T) {
	t.Parallel()
	w, _ := fleetWorld(t)
	alice := w.logIn("alice")
	v, folder := w.amendment()
	unsigned := folder
	unsigned.Signatures = nil
	forged := folder
	forged.Signatures = []api.SentSignature{{Statement: folder.Signatures[0].Statement, Signature: "-----BEGIN SSH SIGNATURE-----\n"}}
	w.unchanged(func() {
		alice.call("/v1/contracts", sent(t, unsigned)).wantProblem(t, 422, "field-refused", "the signature of at least one")
		alice.call("/v1/contracts", sent(t, forged)).wantProblem(t, 422, "field-refused", "the signature does not hold")
	})
	got := into[api.ContractVersion](t, alice.call("/v1/contracts", sent(t, folder)), http.StatusOK)
	if got.Contract.Digest != v.Digest || got.State != "scheduled" || len(got.Missing) != 0 || !got.Constitutional {
		t.Errorf("sent: %+v", got)
	}
	list := into[[]api.ContractVersion](t, alice.call("/v1/contracts", nil), http.StatusOK)
	if len(list) != 2 || list[0].Contract.Version != 2 || list[1].State != "in-force" {
		t.Errorf("listed: %+v", list)
	}
	read := into[api.ContractFiles](t, alice.call("/v1/contracts/"+v.Digest.String(), nil), http.StatusOK)
	for _, f := range read.Files {
		if f.Text != string(v.Files[f.Path]) {
			t.Errorf("%s is not what was sent", f.Path)
		}
	}
	if len(read.Files) != len(v.Files) || len(read.Signatures) != 1 || read.Signatures[0] != api.ContractSignature(folder.Signatures[0]) {
		t.Errorf("read: %d files, %+v", len(read.Files), read.Signatures)
	}
	into[api.Plan](t, alice.call("/v1/contracts/plan", api.PlanRequest{Terms: string(v.Files[contract.TermsFile]), Days: "30"}), http.StatusOK)
	alice.call("/v1/contracts/plan", api.PlanRequest{Terms: string(v.Files[contract.TermsFile]), Days: "367"}).wantProblem(t, 422, "field-refused", "days")
}
