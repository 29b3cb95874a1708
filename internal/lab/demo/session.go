package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/sshcert"
)

// selfApproval tries both ways: the page has nothing to press for Alice, and the
// very form that Bob gets, sent from her session, is refused.
func (s *story) selfApproval(ctx context.Context) (string, error) {
	decisions := s.page + "/decisions"
	bobs, err := s.Bob.SignIn(ctx, s.page)
	if err != nil {
		return "", err
	}
	form, err := bobs.Form(decisions)
	if err != nil {
		return "", err
	}
	page, err := s.Alice.SignIn(ctx, s.page)
	if err != nil {
		return "", err
	}
	if err := shows(page, reason, "Nobody decides on their own request"); err != nil {
		return "", err
	}
	if _, err := page.Form(decisions); err == nil {
		return "", wrong("her own request's page has a form to decide it")
	}
	answer, err := s.Alice.Replay(ctx, page, form, nil, "approve")
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusForbidden {
		return "", wrong("the answer is %d: %s", answer.Status, answer.Text())
	}
	if err := shows(answer, "Nobody decides on their own request"); err != nil {
		return "", err
	}
	if s.session.Code() != -1 || strings.Contains(s.session.Log(), "granted") {
		return "", wrong("her sally ssh went on: %s", s.session.Log())
	}
	return "no form on her page; the form that Bob has, sent by her, gets 403; the request still waits", nil
}

var keyLies = regexp.MustCompile(`the key lies in (\S+), worthless after`)

// connect ends the waiting sally ssh and reads what came of it: the narrowed
// grant, the host's answer, and sshd's own line about the certificate.
func (s *story) connect(ctx context.Context) (string, error) {
	s.tell.Typed("alice's terminal", "sally ssh goes on")
	out, err := s.session.End(ctx, 0, "sally ssh")
	if err != nil {
		return "", err
	}
	if err := contains(s.first+out, "granted by Bob Example for 5m0s (asked 10m0s)", "\n"+s.login+"\n"); err != nil {
		return "", err
	}
	sshd := s.Hosts[site.Web1]
	if err := contains(out, fmt.Sprintf(" 127.0.0.1 %d\n", sshd.Port())); err != nil {
		return "", fmt.Errorf("the connection is not to %s: %w", site.Web1, err)
	}
	found := keyLies.FindStringSubmatch(out)
	if found == nil {
		return "", wrong("sally ssh does not say where the key lies")
	}
	s.keyFile = found[1]
	s.certFile = strings.Replace(s.keyFile, "key+", "", 1) + "-cert.pub"
	if s.cert, err = certificateFile(s.certFile); err != nil {
		return "", err
	}
	line, err := sshd.WaitLog(ctx, "Accepted publickey for "+s.login)
	if err != nil {
		return "", err
	}
	s.tell.Typed("sshd of "+site.Web1, "logs")
	s.tell.Answered(line)
	if err := contains(line, fmt.Sprintf("ID %s (serial %d)", s.cert.KeyId, s.cert.Serial)); err != nil {
		return "", err
	}
	return fmt.Sprintf("exit 0 as %s on %s; sshd's own line names serial %d", s.login, site.Web1, s.cert.Serial), nil
}

// otherHost first shows that the files work where they may, so that the refusal
// is about the host and nothing else.
func (s *story) otherHost(ctx context.Context) (string, error) {
	r, err := s.Alice.Must(ctx, s.plainSSH(site.Web1, s.withCertificate()...)...)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(r.Stdout) != s.login {
		return "", wrong("%s answers %q", site.Web1, r.Stdout)
	}
	if _, err := s.refused(ctx, site.Web2, "Certificate does not contain an authorized principal", s.withCertificate()); err != nil {
		return "", err
	}
	return "exit 0 on " + site.Web1 + ", exit 255 on " + site.Web2 + " and its sshd says why", nil
}

func (s *story) inspect(ctx context.Context) (string, error) {
	r, err := s.Alice.Must(ctx, "ssh-keygen", "-L", "-f", s.certFile)
	if err != nil {
		return "", err
	}
	c, err := parsePrinted(r.Stdout)
	if err != nil {
		return "", err
	}
	id, err := sshcert.ParseKeyID(c.keyID)
	if err != nil {
		return "", err
	}
	changed, err := os.Stat(s.certFile) // written within moments of its issue
	if err != nil {
		return "", err
	}
	left := c.before.Sub(changed.ModTime())
	grant := id.End.Sub(changed.ModTime())
	switch {
	case !slices.Equal(c.principals, []string{s.Principal(site.Web1)}):
		return "", wrong("principals %q", c.principals)
	case id.Contract != s.contract.Digest || string(id.Request) != s.request:
		return "", wrong("key ID %s names another contract or request", c.keyID)
	case grant <= narrowed-time.Minute || grant > narrowed:
		return "", wrong("the grant ends %s after the issue", grant)
	case left <= 0 || left > 20*time.Second || c.before.Sub(c.after) > 80*time.Second:
		return "", wrong("it was valid for %s after its issue, in all from %s to %s", left, c.after, c.before)
	case c.serial == 0 || c.serial != s.cert.Serial:
		return "", wrong("serial %d", c.serial)
	case len(c.critical) != 0 || len(c.extensions) != 2 || !strings.HasPrefix(c.extensions[0], sshcert.ProofExtension) || c.extensions[1] != "permit-pty":
		return "", wrong("critical options %q, extensions %q", c.critical, c.extensions)
	}
	return fmt.Sprintf("only %s; request and contract in the key ID; ends %s after its issue; serial %d",
		c.principals[0], left.Round(time.Second), c.serial), nil
}

func (s *story) prove(ctx context.Context) (string, error) {
	serial := strconv.FormatUint(s.cert.Serial, 10)
	r, err := s.Alice.Must(ctx, "sally", "ledger", "show", serial)
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "✓ inclusion:", "✓ certificate:", "✓ serial: "+serial, "✓ authority:", "✓ proof:"); err != nil {
		return "", err
	}
	if strings.Contains(r.Stdout, "✗") {
		return "", wrong("a check failed")
	}
	// Once more without sally and without the server: file and pin file only.
	policy, err := ledger.NewPolicy(s.pin.Origin, s.pin.LogKey)
	if err != nil {
		return "", err
	}
	s.tell.Typed("package certproof", "reads "+s.Short(s.certFile)+" and the pin file")
	proved, err := certproof.Verify(s.cert, policy)
	if err != nil {
		return "", err
	}
	s.tell.Answered(fmt.Sprintf("leaf %d, lineage %s, under a checkpoint of %s over %d leaves\n",
		proved.Index, proved.Lineage, proved.Checkpoint.Origin, proved.Checkpoint.Size))
	if proved.Serial != s.cert.Serial || proved.Lineage != s.contract.Lineage() {
		return "", wrong("the proof is for serial %d of lineage %s", proved.Serial, proved.Lineage)
	}
	return "inclusion and checkpoint verified against the pin file, from the server's answer and from the certificate alone", nil
}

func (s *story) expire(ctx context.Context) (string, error) {
	end := time.Unix(int64(s.cert.ValidBefore), 0)
	s.tell.Typed("all of us", "wait until "+end.UTC().Format("15:04:05Z"))
	// time(2), which sshd reads, lags behind the precise clock by a tick.
	if err := lab.Poll(ctx, "the end of the certificate", func() (bool, error) { return time.Now().After(end.Add(100 * time.Millisecond)), nil }); err != nil {
		return "", err
	}
	line, err := s.refused(ctx, site.Web1, "Certificate invalid: expired", s.withCertificate())
	if err != nil {
		return "", err
	}
	return "exit 255; sshd's own line: " + line, nil
}
