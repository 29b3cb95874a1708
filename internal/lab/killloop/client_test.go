package killloop_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// errNoAnswer is wrapped when the connection broke before the answer was whole.
// Nobody can tell then what was done.
var errNoAnswer = errors.New("no answer")

// documentLife is how long a signed document is good for.
const documentLife = 5 * time.Minute

// account is a person's session, as a client keeps it. The zero account is
// nobody's.
type account struct {
	api.Session
	base   string
	device ssh.Signer
}

// newClient is used for one round at most: its connections end with sallyd.
func newClient() *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call posts body as JSON, or gets if it is nil, and reads the answer into into.
func (a *account) call(ctx context.Context, path string, body, into any) error {
	answer, err := a.send(ctx, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// send makes one call on a connection of its own, so that none is reused that
// belonged to a process which was killed.
func (a *account) send(ctx context.Context, path string, body any) ([]byte, error) {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		method = http.MethodPost
		if content, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if a.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+a.Bearer)
	}
	resp, err := newClient().Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errNoAnswer, err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errNoAnswer, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s: status %d: %.500s", path, resp.StatusCode, answer)
	}
	return answer, nil
}

// issuer is a client that has certificates made, each for a new key. A call that
// was not answered it makes again, with the same key.
type issuer struct {
	*loop
	rand      *mathrand.Rand
	challenge canon.Digest // came with the last answer and was not used
	open      *issueCall   // was not answered
	base      string       // of the server; empty: the account's own
}

// issueCall is what stays the same when a call is repeated.
type issueCall struct {
	account *account
	grant   *api.Request
	key     ssh.Signer
}

// cycle has one certificate made.
func (i *issuer) cycle(ctx context.Context) error {
	if i.open == nil {
		key, err := newKey()
		if err != nil {
			return err
		}
		account := *i.people.account.Load()
		if i.base != "" {
			account.base = i.base
		}
		i.open = &issueCall{account: &account, grant: i.people.grant.Load(), key: key}
	}
	a := i.open.account
	if i.challenge.IsZero() {
		var c api.Challenge
		if err := a.call(ctx, "/v1/challenges", api.ChallengeRequest{Purpose: "issue"}, &c); err != nil {
			return err
		}
		i.challenge = c.Challenge
	}
	body, err := i.open.sign(i.book.pin.Origin, i.challenge)
	if err != nil {
		return err
	}
	i.challenge = canon.Digest{} // whatever comes of it, it is not used twice
	var answer api.Certificate
	if err := a.call(ctx, "/v1/grants/"+string(i.open.grant.ID)+"/certificates", body, &answer); err != nil {
		return err
	}
	if err := i.book.certificate(answer, i.open); err != nil {
		return err
	}
	// The next call relies on a challenge that was answered, often across a kill.
	i.challenge, i.open = answer.Challenge.Challenge, nil
	return i.lookAround(ctx, a)
}

// lookAround reads now and then what others would read.
func (i *issuer) lookAround(ctx context.Context, a *account) error {
	switch i.rand.IntN(6) {
	case 0:
		note, err := a.send(ctx, "/checkpoint", nil)
		if err != nil {
			return err
		}
		return i.book.checkpoint(note)
	case 1:
		var c api.Challenge
		return a.call(ctx, "/v1/challenges", api.ChallengeRequest{Purpose: "session"}, &c)
	case 2:
		var list api.Requests
		return a.call(ctx, "/v1/requests?scope=waiting", nil, &list)
	default:
		return nil
	}
}

// sign makes the body of an issue call.
func (c *issueCall) sign(origin string, challenge canon.Digest) (api.CertificateRequest, error) {
	document, err := canon.Marshal(record.IssueDoc{
		V: record.IssueVersion, Origin: origin, Lineage: c.grant.Contract.Lineage, Person: c.account.Person, Grant: c.grant.ID,
		Key: canon.B64(c.key.PublicKey().Marshal()), Challenge: challenge, ExpiresAt: canon.At(time.Now().Add(documentLife)),
	})
	if err != nil {
		return api.CertificateRequest{}, err
	}
	device, err := sshcert.Sign(rand.Reader, c.account.device, sshcert.NamespaceDevice, document)
	if err != nil {
		return api.CertificateRequest{}, err
	}
	possession, err := sshcert.Sign(rand.Reader, c.key, sshcert.NamespacePossession, document)
	return api.CertificateRequest{Document: string(document), DeviceSignature: device, PossessionSignature: possession}, err
}

func newKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromSigner(private)
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	port, err := strconv.Atoi(u.Port())
	must(t, err)
	return port
}
