package site

import (
	"bytes"
	"context"
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/sshcert"
)

//go:embed contract/*.tmpl
var templates embed.FS

// Names in the contract.
const (
	ContractID = "acme-demo"
	RoleID     = "demo-operator"

	party  = "acme"
	signer = "c-owner"
)

// Plan is what stories choose about the contract's one role. A zero field takes
// the demo's value.
type Plan struct {
	CertTTL time.Duration // of one certificate; 20 s
	Grant   time.Duration // the longest grant; 1 h
	Timeout time.Duration // until a request that nobody answers expires; 15 min
	// Templates holds contract/contract.md.tmpl and contract/terms.yaml.tmpl of
	// another contract with the same parties, issuer and signatory; nil is the
	// demo's.
	Templates fs.FS
}

// terms is what the templates need to know.
type terms struct {
	ID, Role           string
	Party, Signer, Key string
	Issuer             string
	CLI, Web           string
	Login              sshcert.Login
	CertTTL, Timeout   string
	CertMax, Grant     string // the contract's ceilings
	Cosigner           string // its key; empty: there is none
}

// SignatoryKey is the file of the signatory's private key.
func (s *Site) SignatoryKey() string { return s.Owner.Home("id_ed25519") }

// ContractDir is the folder of the contract.
func (s *Site) ContractDir() string { return s.Dir.Path("contract") }

// WriteContract writes contract.md and terms.yaml for this run's issuer, login
// and signatory.
func (s *Site) WriteContract() error {
	key, err := os.ReadFile(s.SignatoryKey() + ".pub")
	if err != nil {
		return err
	}
	certTTL := orElse(s.cfg.Plan.CertTTL, 20*time.Second)
	files, err := render(s.cfg.Plan.Templates, terms{
		ID: ContractID, Role: RoleID,
		Party: party, Signer: signer, Key: strings.TrimSpace(string(key)),
		Issuer: s.IDP.URL(), CLI: idp.CLIClient, Web: idp.WebClient,
		Login:    s.Account.Login,
		CertTTL:  contract.FormatDuration(certTTL),
		CertMax:  contract.FormatDuration(max(certTTL, 5*time.Minute)),
		Grant:    contract.FormatDuration(orElse(s.cfg.Plan.Grant, time.Hour)),
		Timeout:  contract.FormatDuration(orElse(s.cfg.Plan.Timeout, 15*time.Minute)),
		Cosigner: s.cosignerKey(),
	})
	if err != nil {
		return err
	}
	if _, err := s.Dir.Mkdir(0o755, "contract"); err != nil {
		return err
	}
	for name, text := range files {
		if _, err := s.Dir.Write(0o644, string(text), "contract", name); err != nil {
			return err
		}
	}
	return nil
}

func orElse(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// render fills in the templates.
func render(from fs.FS, t terms) (map[string][]byte, error) {
	if from == nil {
		from = templates
	}
	set, err := template.New("").Option("missingkey=error").ParseFS(from, "contract/*.tmpl")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range []string{contract.ProseFile, contract.TermsFile} {
		var b bytes.Buffer
		if err := set.ExecuteTemplate(&b, name+".tmpl", t); err != nil {
			return nil, err
		}
		files[name] = b.Bytes()
	}
	return files, nil
}

// SignContract lets sallyd write the manifest and what is to be signed, and the
// signatory sign it with stock ssh-keygen.
func (s *Site) SignContract(ctx context.Context) error {
	if _, err := s.Operator.Must(ctx, "sallyd", "contract", "prepare", s.ContractDir()); err != nil {
		return err
	}
	statement := filepath.Join(s.ContractDir(), contract.StatementPath(party, signer))
	_, err := s.Owner.Must(ctx, "ssh-keygen", "-Y", "sign", "-n", sshcert.NamespaceContract, "-f", s.SignatoryKey(), statement)
	return err
}
