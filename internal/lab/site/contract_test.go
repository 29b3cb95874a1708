package site

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/idp"
)

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1B2bGUjL4Lj5kNdbBtOrcMGNtTc3HD4Tq9cCxyE1Ho c-owner"

func testTerms() terms {
	return terms{
		ID: ContractID, Role: RoleID, Party: party, Signer: signer, Key: testKey,
		Issuer: "http://127.0.0.1:40001", CLI: idp.CLIClient, Web: idp.WebClient,
		Login: "ops-12ab", CertTTL: "20s", Timeout: "15m", CertMax: "5m", Grant: "1h",
	}
}

func TestRenderedContractLoads(t *testing.T) {
	t.Parallel()
	files, err := render(nil, testTerms())
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := contract.NewManifest(maps.Clone(files))
	if err != nil {
		t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	v, err := contract.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := contract.NewStatement(v, party, signer); err != nil {
		t.Error(err)
	}
	labels := map[string]string{"env": "demo"}
	ask := contract.Ask{
		Role: RoleID, Logins: v.Terms.Roles[0].Logins, For: 10 * time.Minute, ReasonWords: 3,
		Hosts: []contract.HostLabels{{Name: Web1, Labels: labels}},
	}
	alice := contract.Subject{Issuer: "http://127.0.0.1:40001", Groups: []string{"engineers", "leads"}, GroupsKnown: true}
	allowed, err := v.Terms.Evaluate(ask, alice)
	if err != nil {
		t.Fatal(err)
	}
	if allowed.Role.Cert.TTL != 20*time.Second || len(allowed.Path.Stages) != 1 || allowed.Path.Stages[0].Quorum != 1 {
		t.Errorf("the demo's story needs 20 s certificates and one approval, the terms say %+v", allowed)
	}
	ask.For = 2 * time.Hour
	if _, err := v.Terms.Evaluate(ask, alice); !errors.Is(err, contract.ErrTooLong) {
		t.Errorf("two hours: %v", err)
	}
}

func TestLineIsWhatAPersonTypes(t *testing.T) {
	t.Parallel()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
	})
	s := &Site{Dir: dir}
	for _, tt := range []struct{ word, want string }{
		{"ops@web-1.demo", "ops@web-1.demo"},
		{"", `""`},
		{"INC-42 checkout latency", `"INC-42 checkout latency"`},
		{"id -un; echo $HOME", `'id -un; echo $HOME'`},
		{"it's $1", `'it'\''s $1'`},
		{dir.Path("sallyd"), "$W/sallyd"},
		{"CertificateFile=" + dir.Path("a-cert.pub"), "CertificateFile=$W/a-cert.pub"},
		{dir.Path("two words"), `"$W/two words"`},
	} {
		if got := s.line([]string{"x", tt.word}); got != "x "+tt.want {
			t.Errorf("line(%q) = %s, want %s", tt.word, got, tt.want)
		}
	}
}
