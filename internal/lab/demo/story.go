package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/sshcert"
)

// What Alice asks for, and what Bob makes of it.
const (
	asked     = "10m"
	narrowed  = 5 * time.Minute
	reason    = "INC-42 checkout latency"
	onTheHost = "id -un; echo $SSH_CONNECTION"
)

// story carries what later steps need from earlier ones.
type story struct {
	*site.Site
	tell *player
	keep bool // the workspace stays

	pin      client.Pin
	contract *contract.Version
	login    string     // of the hosts
	session  *site.Task // Alice's waiting sally ssh
	first    string     // what the one before it said
	page     string     // path of the request's page
	request  string     // its id
	keyFile  string     // of the certificate's key
	certFile string
	cert     *ssh.Certificate
	kept     []site.Log // from before the end

	// Of the chapter of the hosts that join.
	invitations map[string]string // by host
	granted     string            // path of the last granted request
	short       *open             // the session of a minute
	shortEnd    time.Time         // of its grant
	shortSerial uint64
	open        []*open // sessions that a revocation will end
}

func newStory(s *site.Site, p *player, keep bool) *story {
	return &story{Site: s, tell: p, keep: keep, login: string(s.Account.Login)}
}

func (s *story) steps() []step {
	all := []step{
		{"The operator makes the authority's folder, keys and pin file", s.initialise},
		{"A party of the contract makes the key of its cosigner", s.cosignerKey},
		{"The contract's owner signs it with stock ssh-keygen", s.sign},
		{"The authority takes the signed contract", s.addContract},
		{"Two hosts join the inventory", s.addHosts},
		{"Each host gets its sshd fragment and a real sshd", s.startHosts},
		{"The authority serves", s.serve},
		{"The party's cosigner replays the ledger, and answers", s.cosign},
		{"Without a grant, ssh is refused", s.refusedWithoutGrant},
		{"Alice logs in", s.logIn},
		{"Alice asks for " + asked + " on " + site.Web1 + " and waits", s.ask},
		{"Alice cannot approve her own request, though she is a lead", s.selfApproval},
		{"Bob approves on the page and narrows it to 5 minutes", s.approve},
		{"The waiting ssh goes on and runs the command on the host", s.connect},
		{site.Web2 + ", which was not approved, refuses the same certificate", s.otherHost},
		{"The certificate says what was granted", s.inspect},
		{"The ledger proves it", s.prove},
		{"Twenty seconds later the same certificate is worthless", s.expire},
		{"Nothing is left running", s.end},
	}
	if joining() {
		all = slices.Insert(all, at(all, "The authority serves"), step{"The operator writes down what hosts are to trust", s.publish})
		all = slices.Insert(all, at(all, "Alice asks for "), s.joinSteps()...)
		all = slices.Insert(all, at(all, "Twenty seconds later"), step{"Alice is let in on " + site.App1 + " for a minute, and stays", s.minute})
		all = slices.Insert(all, at(all, "Nothing is left"), s.enforceSteps()...)
	}
	all = slices.Insert(all, at(all, "Nothing is left"), append(s.amendSteps(), s.auditSteps()...)...)
	if s.Site == nil || s.Vault == nil {
		return all
	}
	// Bob approves while Vault is sealed.
	approve := at(all, "Bob approves")
	all = slices.Insert(all, approve+1,
		step{"The waiting ssh says what is wrong, and that the request stays granted", s.waitsForKey},
		step{"Vault's keeper unseals it, and Alice tries again", s.tryAgain})
	return slices.Insert(all, approve, step{"Vault, where the CA key lies, is sealed", s.seal})
}

// at is where the step is whose name begins so.
func at(all []step, name string) int {
	return slices.IndexFunc(all, func(st step) bool { return strings.HasPrefix(st.name, name) })
}

func (s *story) initialise(ctx context.Context) (string, error) {
	if err := s.Init(ctx); err != nil {
		return "", err
	}
	var err error
	if s.pin, err = client.ReadPin(s.PinFile()); err != nil {
		return "", err
	}
	if s.pin.Origin != site.Origin {
		return "", wrong("the pin file is for %q", s.pin.Origin)
	}
	return fmt.Sprintf("exit 0; the pin file names %s, its log key and the CA %s", s.pin.Origin, ssh.FingerprintSHA256(s.pin.CA)), s.noKeyFile()
}

func (s *story) sign(ctx context.Context) (string, error) {
	if err := s.WriteContract(); err != nil {
		return "", err
	}
	if err := s.SignContract(ctx); err != nil {
		return "", err
	}
	files := map[string][]byte{}
	for _, name := range []string{contract.ManifestFile, contract.ProseFile, contract.TermsFile} {
		text, err := os.ReadFile(filepath.Join(s.ContractDir(), name))
		if err != nil {
			return "", err
		}
		files[name] = text
	}
	var err error
	if s.contract, err = contract.Load(files); err != nil {
		return "", err
	}
	return s.checkSignature()
}

// checkSignature reads what the signatory signed, and demands that nothing else
// is missing.
func (s *story) checkSignature() (string, error) {
	statements, err := filepath.Glob(filepath.Join(s.ContractDir(), "sigs", "*.json"))
	if err != nil || len(statements) != 1 {
		return "", wrong("%d statements, %v", len(statements), err)
	}
	statement, err := os.ReadFile(statements[0])
	if err != nil {
		return "", err
	}
	signature, err := os.ReadFile(statements[0] + ".sig")
	if err != nil {
		return "", err
	}
	signed, err := s.contract.VerifySignature(statement, signature)
	if err != nil {
		return "", err
	}
	if missing := s.contract.Missing([]contract.Signed{signed}); len(missing) > 0 {
		return "", wrong("signatures are still missing: %v", missing)
	}
	return fmt.Sprintf("%s of %s signed version %d, digest %s", signed.Signer, signed.Party, s.contract.Manifest.Version, s.contract.Digest), nil
}

func (s *story) addContract(ctx context.Context) (string, error) {
	r, err := s.AddContract(ctx)
	if err != nil {
		return "", err
	}
	if err := site.Exit(r, 0, "sallyd contract add"); err != nil {
		return "", err
	}
	if err := contains(r.Output, s.contract.Digest.String()); err != nil {
		return "", err
	}
	return "exit 0; it names the digest that was signed", nil
}

func (s *story) addHosts(ctx context.Context) (string, error) {
	for _, name := range s.HostNames() {
		if err := s.AddHost(ctx, name); err != nil {
			return "", err
		}
	}
	return "exit 0 for " + strings.Join(s.HostNames(), " and "), nil
}

func (s *story) startHosts(ctx context.Context) (string, error) {
	var ports []string
	for _, name := range s.HostNames() {
		if err := s.ConfigureHost(ctx, name); err != nil {
			return "", err
		}
		if err := s.StartHost(ctx, name); err != nil {
			return "", err
		}
		ports = append(ports, fmt.Sprintf("%s on port %d", name, s.Hosts[name].Port()))
	}
	return "sshd greets: " + strings.Join(ports, ", "), nil
}

func (s *story) serve(ctx context.Context) (string, error) {
	if err := s.Serve(ctx); err != nil {
		return "", err
	}
	page, err := s.Bob.OpenPage(ctx, "/healthz")
	if err != nil {
		return "", err
	}
	if page.Status != http.StatusOK || strings.TrimSpace(page.Body) != "ok" {
		return "", wrong("/healthz answers %d, %q", page.Status, page.Body)
	}
	return "/healthz says ok", nil
}

// plainSSH is what somebody types who has only files: stock ssh, one key, and a
// certificate if there is one.
func (s *story) plainSSH(host string, identity ...string) []string {
	argv := []string{"ssh", "-F", s.Dir.Path("ssh_config")}
	argv = append(argv, identity...)
	return append(argv, s.Principal(host), "id -un")
}

func (s *story) withCertificate() []string {
	return []string{"-i", s.keyFile, "-o", "CertificateFile=" + s.certFile}
}

// refused runs plain ssh and demands sshd's no, and its reason in the log of
// the host if there is one to demand.
func (s *story) refused(ctx context.Context, host, why string, identity []string) (string, error) {
	sshd := s.Hosts[host]
	before := len(sshd.Log())
	r, err := s.Alice.Run(ctx, s.plainSSH(host, identity...)...)
	if err != nil {
		return "", err
	}
	if err := site.Exit(r, 255, "ssh"); err != nil {
		return "", err
	}
	if err := contains(r.Output, "Permission denied (publickey)"); err != nil || why == "" {
		return "", err
	}
	line, err := sshd.WaitLogAfter(ctx, before, why)
	if err != nil {
		return "", err
	}
	s.tell.Typed("sshd of "+host, "logs")
	s.tell.Answered(line)
	return line, nil
}

func (s *story) refusedWithoutGrant(ctx context.Context) (string, error) {
	key := s.Alice.Home("id_ed25519")
	if err := lab.KeyPair(ctx, key, "alice"); err != nil {
		return "", err
	}
	if _, err := s.refused(ctx, site.Web1, "", []string{"-i", key}); err != nil {
		return "", err
	}
	if strings.Contains(s.Hosts[site.Web1].Log(), "Accepted") {
		return "", wrong("sshd accepted somebody")
	}
	return "exit 255, Permission denied (publickey)", nil
}

func (s *story) logIn(ctx context.Context) (string, error) {
	if err := s.Alice.LogIn(ctx); err != nil {
		return "", err
	}
	r, err := s.Alice.Must(ctx, "sally", "whoami")
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "Alice Example", "engineers"); err != nil {
		return "", err
	}
	return "exit 0; she is Alice Example, in the group engineers", nil
}

var requestPage = regexp.MustCompile(`it is decided at (\S+)`)

func (s *story) ask(ctx context.Context) (string, error) {
	var err error
	s.session, err = s.Alice.Start(ctx, "sally", "ssh", s.Principal(site.Web1), "--for", asked, "--because", reason, "--key-file", "--", onTheHost)
	if err != nil {
		return "", err
	}
	line, err := s.session.Expect(ctx, "it is decided at")
	if err != nil {
		return "", err
	}
	found := requestPage.FindStringSubmatch(line)
	if found == nil {
		return "", wrong("no page in %q", line)
	}
	path, ok := strings.CutPrefix(found[1], s.URL())
	if !ok || !strings.HasPrefix(path, "/requests/") {
		return "", wrong("the page is %s", found[1])
	}
	s.page, s.request = path, strings.TrimPrefix(path, "/requests/")
	if _, err := s.session.Expect(ctx, "waiting for leads"); err != nil {
		return "", err
	}
	return "it waits for one of the leads", nil
}

func (s *story) approve(ctx context.Context) (string, error) {
	inbox, err := s.Bob.OpenPage(ctx, "/")
	if err != nil {
		return "", err
	}
	if err := contains(inbox.Body, s.page); err != nil {
		return "", fmt.Errorf("bob's inbox: %w", err)
	}
	page, err := s.Bob.OpenPage(ctx, s.page)
	if err != nil {
		return "", err
	}
	if err := shows(page, "Alice Example", reason, s.Principal(site.Web1), "0 of 1 approvals"); err != nil {
		return "", err
	}
	page, err = s.Bob.Submit(ctx, page, s.page+"/decisions", map[string]string{
		"minutes": fmt.Sprint(int(narrowed.Minutes())), "words": "five minutes will do",
	}, "approve")
	if err != nil {
		return "", err
	}
	if page.Status != http.StatusOK {
		return "", wrong("the answer is %d: %s", page.Status, page.Text())
	}
	if err := shows(page, "Granted", "approved by Bob Example for 5 minutes"); err != nil {
		return "", err
	}
	return "the page shows the grant, for 5 minutes, by Bob Example", nil
}

// logs are the servers' logs, at the end or where the story broke off.
func (s *story) logs() []site.Log {
	if s.kept != nil {
		return s.kept
	}
	return s.Logs(40)
}

func (s *story) end(ctx context.Context) (string, error) {
	s.kept = s.Logs(1000) // the files go too
	if err := s.Close(); err != nil {
		return "", err
	}
	if left := s.Running(ctx); len(left) > 0 {
		return "", wrong("still there: %s", strings.Join(left, ", "))
	}
	gone := []string{"processes", "ports"}
	if s.Account.Temporary() {
		gone = append(gone, "the temporary account")
	}
	if !s.keep {
		gone = append(gone, "files")
	}
	return "gone: " + strings.Join(gone, ", "), nil
}

// certificateFile reads an OpenSSH certificate file.
func certificateFile(path string) (*ssh.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, err
	}
	return sshcert.ParseCertificate(key.Marshal())
}
