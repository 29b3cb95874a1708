package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/ca/vault"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/sshcert"
)

// joining reports whether the chapter of the hosts that join is told: only root has
// PAM open sessions, and ends them.
func joining() bool { return os.Geteuid() == 0 }

// stays is what runs in a session until somebody ends it.
const stays = "echo at work; exec sleep 600"

// open is a session that goes on, and how it ends.
type open struct {
	*site.Task
	host  *site.Joined
	ended time.Time     // when its client ended
	done  chan struct{} // closed then
}

// joinSteps come when somebody has logged in.
func (s *story) joinSteps() []step {
	return []step{
		{"Alice, who admits hosts, invites two that shall ask the ledger", s.invite},
		{"They join, and from now on let in only what the ledger holds", s.join},
	}
}

// enforceSteps are what these hosts do that sshd alone does not.
func (s *story) enforceSteps() []step {
	return []step{
		{"Somebody who has the CA key signs a certificate for " + site.App1 + ": it is refused, and an alarm is raised", s.steal},
		{"Alice works on both of these hosts", s.workOnBoth},
		{"Bob revokes the grant: both sessions end, and both hosts refuse the certificate", s.revoke},
		{"Her minute on " + site.App1 + " is over, and so is what ran there", s.minuteOver},
		{"What the hosts saw is in the ledger", s.seen},
	}
}

// publish writes down what hosts are to trust.
func (s *story) publish(ctx context.Context) (string, error) {
	file := s.Operator.Home("bundle.json")
	if _, err := s.Operator.Must(ctx, "sallyd", "hosts", "keys", "--dir", s.ServerDir()); err != nil {
		return "", err
	}
	r, err := s.Operator.Must(ctx, "sallyd", "hosts", "bundle", "--out", file, "--dir", s.ServerDir())
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "bundle      1 of "+site.Origin, s.contract.Lineage().String()); err != nil {
		return "", err
	}
	if _, err := s.Operator.Must(ctx, "sallyd", "hosts", "publish", file, "--dir", s.ServerDir()); err != nil {
		return "", err
	}
	return "exit 0; log key, both CAs, the key of revocation lists and the cosigner are in it", nil
}

func (s *story) invite(ctx context.Context) (string, error) {
	s.invitations = map[string]string{}
	for _, name := range []string{site.App1, site.App2} {
		h, err := s.NewJoined(ctx, name)
		if err != nil {
			return "", err
		}
		if s.invitations[name], err = h.Invite(ctx, s.Alice.Terminal); err != nil {
			return "", err
		}
	}
	return "exit 0 and exit 0; each line is good once, for one name, and names the bundle by its digest", nil
}

func (s *story) join(ctx context.Context) (string, error) {
	for _, name := range []string{site.App1, site.App2} {
		h := s.Joined[name]
		said, err := h.Join(ctx, s.invitations[name], "require")
		if err != nil {
			return "", err
		}
		if err := contains(said, name+" has joined", name+" is set up in mode require", "host certificate in "); err != nil {
			return "", err
		}
		if err := h.StartAgent(ctx); err != nil {
			return "", err
		}
	}
	for _, name := range []string{site.App1, site.App2} {
		err := lab.Poll(ctx, "the first word of "+name, func() (bool, error) {
			list, err := s.standing(ctx, false)
			return strings.Contains(list[name], " enforcing "), err
		})
		if err != nil {
			return "", err
		}
	}
	list, err := s.standing(ctx, true)
	if err != nil {
		return "", err
	}
	if !strings.Contains(list[site.Web1], " not enforcing ") {
		return "", wrong("%s runs stock sshd, and the list says %q", site.Web1, list[site.Web1])
	}
	return site.App1 + " and " + site.App2 + " are enforcing; " + site.Web1 + " and " + site.Web2 + ", with stock sshd alone, are listed as not enforcing", nil
}

// standing is what sally hosts list says of each host.
func (s *story) standing(ctx context.Context, tell bool) (map[string]string, error) {
	run := s.Alice.Must
	if !tell {
		run = s.Alice.Quietly
	}
	r, err := run(ctx, "sally", "hosts", "list")
	if err != nil {
		return nil, err
	}
	list := map[string]string{}
	for line := range strings.Lines(r.Stdout) {
		name, _, _ := strings.Cut(line, " ")
		list[name] = line
	}
	return list, nil
}

// minute leaves a session on app-1 that its grant will end.
func (s *story) minute(ctx context.Context) (string, error) {
	var err error
	if s.short, err = s.begin(ctx, s.Joined[site.App1], "--for", "1m", "--because", "INC-43 a short look"); err != nil {
		return "", err
	}
	line, err := s.short.Expect(ctx, "it is decided at")
	if err != nil {
		return "", err
	}
	if err := s.grants(ctx, line); err != nil {
		return "", err
	}
	if _, err := s.short.Expect(ctx, "at work"); err != nil {
		return "", err
	}
	one, err := s.recorded(site.App1)
	if err != nil {
		return "", err
	}
	s.shortEnd, s.shortSerial = one.End, one.Serial()
	return fmt.Sprintf("she is in; the host will end this session at %s, when the grant ends", one.End.UTC().Format("15:04:05Z")), nil
}

// recorded is the one session on a host.
func (s *story) recorded(name string) (session.Session, error) {
	list, err := s.Joined[name].Sessions()
	if err == nil && len(list) != 1 {
		err = wrong("%s has %d sessions on record", name, len(list))
	}
	if err != nil {
		return session.Session{}, err
	}
	return list[0], nil
}

// begin starts sally ssh for a session that goes on.
func (s *story) begin(ctx context.Context, h *site.Joined, flags ...string) (*open, error) {
	argv := slices.Concat([]string{"sally", "ssh", s.Principal(h.Name)}, flags, []string{"--key-file", "--", "-tt", stays})
	task, err := s.Alice.Start(ctx, argv...)
	if err != nil {
		return nil, err
	}
	o := &open{Task: task, host: h, done: make(chan struct{})}
	go func() {
		<-task.Done()
		o.ended = time.Now()
		close(o.done)
	}()
	return o, nil
}

// end waits for the end of a session, and returns how long after a moment it came.
func (o *open) end(ctx context.Context, since time.Time) (time.Duration, error) {
	select {
	case <-ctx.Done():
		return 0, fmt.Errorf("the session on %s goes on: %w", o.host.Name, context.Cause(ctx))
	case <-o.done:
	}
	if _, err := o.End(ctx, 255, "sally ssh"); err != nil {
		return 0, err
	}
	return o.ended.Sub(since).Round(time.Millisecond), nil
}

// grants has Bob approve the request that a line names.
func (s *story) grants(ctx context.Context, line string) error {
	found := requestPage.FindStringSubmatch(line)
	if found == nil {
		return wrong("no page in %q", line)
	}
	path := strings.TrimPrefix(found[1], s.URL())
	page, err := s.Bob.OpenPage(ctx, path)
	if err != nil {
		return err
	}
	if page, err = s.Bob.Submit(ctx, page, path+"/decisions", nil, "approve"); err != nil {
		return err
	}
	s.granted = path
	return shows(page, "Granted", "approved by Bob Example")
}

// steal signs with the authority's key, past the ledger.
func (s *story) steal(ctx context.Context) (string, error) {
	thief, err := s.NewTerminal("thief")
	if err != nil {
		return "", err
	}
	key := thief.Home("id")
	if err := lab.KeyPair(ctx, key, "thief"); err != nil {
		return "", err
	}
	if err := s.forge(ctx, key); err != nil {
		return "", err
	}
	s.tell.Typed("the thief", "signs a certificate for "+s.Principal(site.App1)+" with the authority's key, past the ledger")
	h := s.Joined[site.App1]
	config, err := s.knows(ctx, h)
	if err != nil {
		return "", err
	}
	r, err := thief.Run(ctx, "ssh", "-F", config, "-i", key, s.Principal(site.App1), "id -un")
	if err != nil {
		return "", err
	}
	if err := site.Exit(r, 255, "ssh"); err != nil {
		return "", err
	}
	if err := contains(r.Output, "Permission denied (publickey)"); err != nil {
		return "", err
	}
	alarm := ""
	err = lab.Poll(ctx, "the alarm", func() (bool, error) {
		alarm = lineOf(h.VerifierLog(), "alarm event=ca-without-ledger")
		return alarm != "", nil
	})
	if err != nil {
		return "", err
	}
	s.tell.Typed("sally-host of "+site.App1, "logs")
	s.tell.Answered(alarm)
	// The same certificate on a host without sally-host: this is what stock sshd does.
	r, err = thief.Run(ctx, "ssh", "-F", s.Dir.Path("ssh_config"), "-i", key, s.Principal(site.Web1), "id -un")
	if err != nil {
		return "", err
	}
	if r.Code != 0 || strings.TrimSpace(r.Stdout) != s.login {
		return "", wrong("stock sshd on %s refuses it, so the refusal shows nothing: %s", site.Web1, r.Output)
	}
	return "exit 255 and an alarm; stock sshd on " + site.Web1 + " takes the same certificate", nil
}

// forge makes KEY-cert.pub.
func (s *story) forge(ctx context.Context, key string) error {
	text, err := os.ReadFile(key + ".pub")
	if err != nil {
		return err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return err
	}
	now := time.Now()
	cert := &ssh.Certificate{
		Nonce: make([]byte, 32), Key: public, Serial: 1 << 40, CertType: ssh.UserCert, KeyId: s.cert.KeyId,
		ValidPrincipals: []string{s.Principal(site.App1), s.Principal(site.Web1)},
		ValidAfter:      uint64(now.Add(-time.Minute).Unix()), ValidBefore: uint64(now.Add(5 * time.Minute).Unix()),
		SignatureKey: s.cert.SignatureKey,
	}
	if _, err := rand.Read(cert.Nonce); err != nil {
		return err
	}
	if cert.Signature, err = s.withStolenKey(ctx, sshcert.TBS(cert)); err != nil {
		return err
	}
	line := cert.Type() + " " + base64.StdEncoding.EncodeToString(cert.Marshal()) + "\n"
	return os.WriteFile(key+"-cert.pub", []byte(line), 0o600)
}

// withStolenKey signs as whoever has the key's file does, or sallyd's token in Vault.
func (s *story) withStolenKey(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	if s.Vault == nil {
		signer, err := softkey.Open(filepath.Join(s.ServerDir(), "keys", "user-ca"), rand.Reader)
		if err != nil {
			return nil, err
		}
		return signer.Sign(ctx, tbs)
	}
	signer, err := vault.Open(ctx, vault.Config{
		Address: s.Vault.Address(), CAFile: s.Vault.CAFile(), TokenFile: s.VaultTokenFile(), Key: site.CAKey, Version: 1,
	})
	if err != nil {
		return nil, err
	}
	signature, err := signer.Sign(ctx, tbs)
	if closeErr := signer.Close(); err == nil {
		err = closeErr
	}
	return signature, err
}

// knows writes what stock ssh needs for a host that shows a certificate.
func (s *story) knows(ctx context.Context, h *site.Joined) (string, error) {
	key, err := s.HostCA(ctx)
	if err != nil {
		return "", err
	}
	return h.SSHConfig(key)
}

func (s *story) workOnBoth(ctx context.Context) (string, error) {
	r, err := s.Alice.Must(ctx, "sally", "request", s.Principal(site.App1), s.Principal(site.App2), "--for", "10m", "--because", reason, "--no-wait")
	if err != nil {
		return "", err
	}
	if err := s.grants(ctx, r.Output); err != nil {
		return "", err
	}
	for _, name := range []string{site.App1, site.App2} {
		o, err := s.begin(ctx, s.Joined[name])
		if err != nil {
			return "", err
		}
		if _, err := o.Expect(ctx, "at work"); err != nil {
			return "", err
		}
		s.open = append(s.open, o)
	}
	return "one grant for both; a session on each goes on", nil
}

func (s *story) revoke(ctx context.Context) (string, error) {
	page, err := s.Bob.OpenPage(ctx, s.granted)
	if err != nil {
		return "", err
	}
	since := time.Now()
	if page, err = s.Bob.Submit(ctx, page, s.granted+"/revoke", map[string]string{"because": "not needed any more"}, ""); err != nil {
		return "", err
	}
	if page.Status != http.StatusOK {
		return "", wrong("the answer is %d: %s", page.Status, page.Text())
	}
	var said []string
	for _, o := range s.open {
		after, err := o.end(ctx, since)
		if err != nil {
			return "", err
		}
		said = append(said, fmt.Sprintf("%s %s", o.host.Name, after))
		if err := s.refusesRevoked(ctx, o); err != nil {
			return "", err
		}
	}
	err = lab.Poll(ctx, "the hosts' word about it", func() (bool, error) {
		list, err := s.standing(ctx, false)
		return strings.Contains(list[site.App1], ", refused after ") && strings.Contains(list[site.App2], ", refused after "), err
	})
	if err != nil {
		return "", err
	}
	if _, err := s.standing(ctx, true); err != nil {
		return "", err
	}
	return "both clients ended after the button was pressed: " + strings.Join(said, ", ") + "; exit 255 for whoever tries the certificate again", nil
}

// refusesRevoked tries the certificate of a session that was ended.
func (s *story) refusesRevoked(ctx context.Context, o *open) error {
	found := keyLies.FindStringSubmatch(o.Log())
	if found == nil {
		return wrong("sally ssh does not say where the key lies")
	}
	config, err := s.knows(ctx, o.host)
	if err != nil {
		return err
	}
	sshd := o.host.SSHD()
	before := len(sshd.Log())
	cert := strings.Replace(found[1], "key+", "", 1) + "-cert.pub"
	r, err := s.Alice.Run(ctx, "ssh", "-F", config, "-i", found[1], "-o", "CertificateFile="+cert, s.Principal(o.host.Name), "id -un")
	if err != nil {
		return err
	}
	if err := site.Exit(r, 255, "ssh"); err != nil {
		return err
	}
	line, err := sshd.WaitLogAfter(ctx, before, "revoked by file")
	if err != nil {
		return err
	}
	s.tell.Typed("sshd of "+o.host.Name, "logs")
	s.tell.Answered(line)
	return nil
}

func (s *story) minuteOver(ctx context.Context) (string, error) {
	s.tell.Typed("all of us", "wait until "+s.shortEnd.UTC().Format("15:04:05Z"))
	after, err := s.short.end(ctx, s.shortEnd)
	if err != nil {
		return "", err
	}
	if after < 0 {
		return "", wrong("it ended %s before the grant", -after)
	}
	if err := contains(s.short.Log(), "sallyport: your grant is over"); err != nil {
		return "", err
	}
	if left, err := s.Joined[site.App1].Sessions(); err != nil || len(left) > 1 {
		return "", wrong("%d sessions are left, %v", len(left), err)
	}
	return fmt.Sprintf("her terminal was told; the client ended %s after the grant did", after), nil
}

func (s *story) seen(ctx context.Context) (string, error) {
	var list string
	err := lab.Poll(ctx, "the hosts' words in the ledger", func() (bool, error) {
		r, err := s.Alice.Quietly(ctx, "sally", "ledger", "list", "--kind", "login.close")
		list = r.Stdout
		return strings.Count(list, "login.close") >= 3, err
	})
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, list)
	}
	r, err := s.Alice.Must(ctx, "sally", "ledger", "list", "--kind", "login.close")
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "login.close  "+site.App1+", over", "login.close  "+site.App1+", revoked", "login.close  "+site.App2+", revoked"); err != nil {
		return "", err
	}
	newest, err := strconv.ParseInt(strings.Fields(r.Stdout)[0], 10, 64)
	if err != nil {
		return "", wrong("no entry in %q", r.Stdout)
	}
	// An export ends with the newest signed checkpoint.
	err = lab.Poll(ctx, "a checkpoint over it", func() (bool, error) {
		page, err := s.Bob.Browser.Get(ctx, s.URL()+"/checkpoint")
		if err != nil {
			return false, err
		}
		lines := strings.Split(page.Body, "\n")
		if len(lines) < 2 {
			return false, wrong("the checkpoint is %q", page.Body)
		}
		size, err := strconv.ParseInt(lines[1], 10, 64)
		return size > newest, err
	})
	if err != nil {
		return "", err
	}
	return "each session's end is a leaf; " + site.App1 + " ended one since its grant was over, both ended one that was revoked", nil
}

// lineOf is the first line with a text; empty: there is none.
func lineOf(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
