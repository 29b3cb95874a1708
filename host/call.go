package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	callTimeout = 30 * time.Second
	maxAnswer   = 1 << 20  // bytes of one answer; a trust bundle is half of it
	maxList     = 24 << 20 // bytes of an answer with a revocation list, in base64
	maxProblem  = 600      // bytes of what a refusal says
)

// ErrUnreachable says that the server did not answer, or answered what no server of
// ours does. Trying again is safe.
var ErrUnreachable = errors.New("the server does not answer")

// RefusedError says that the server refused what was asked.
type RefusedError struct {
	Status int
	Slug   string        // the last part of the problem's type, such as host-retired
	Text   string        // for people, without control characters
	Wait   time.Duration // when it may be asked again; 0 if that makes no difference
}

// Error is the server's sentence.
func (e *RefusedError) Error() string { return e.Text }

// Caller speaks to the server as a host. It follows no redirect and demands TLS,
// but to a loopback address. It is safe for concurrent use.
type Caller struct {
	Server *url.URL // scheme and host
	Origin string   // of the ledger
	Host   sshcert.Host
	// Aliases are the other names that the host answers to, sorted.
	Aliases []sshcert.Host
	Key     ssh.Signer // the host key that the ledger has, or is to have
	Now     func() time.Time
	Rand    io.Reader
	// HTTP is how to reach the server. Zero: TLS 1.2 or newer, the system's roots.
	HTTP *http.Client
}

// NewHTTP returns a client that follows no redirect.
func NewHTTP() *http.Client {
	return &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: 2 * time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Join takes an invitation. A repeat by the same key is safe.
func (c *Caller) Join(ctx context.Context, i hostcall.Invitation) (api.JoinedHost, error) {
	return c.JoinBy(ctx, i, "")
}

// JoinBy takes an invitation for a workload, by its identity token.
func (c *Caller) JoinBy(ctx context.Context, i hostcall.Invitation, token string) (api.JoinedHost, error) {
	document, signature, err := c.sign(hostcall.JoinBody{Invitation: i.ID, HostKey: c.wire(), Aliases: c.Aliases})
	if err != nil {
		return api.JoinedHost{}, err
	}
	shown := canon.B64(i.Secret[:])
	if token != "" {
		shown = token
	}
	var out api.JoinedHost
	err = c.post(ctx, "/v1/hosts/join", api.HostJoinRequest{Document: document, Signature: signature, Secret: shown}, &out)
	if err == nil && out.Name != c.Host {
		err = fmt.Errorf("%w: it took the invitation for host %s", ErrUnreachable, out.Name)
	}
	return out, err
}

// Heartbeat says how the host is set up.
func (c *Caller) Heartbeat(ctx context.Context, body hostcall.HeartbeatBody) error {
	_, err := c.call(ctx, body)
	return err
}

// Certify returns a new host certificate and the key that signed it. What the server
// answers is held to what was asked for: this host, this key, good now.
func (c *Caller) Certify(ctx context.Context) (*ssh.Certificate, ssh.PublicKey, error) {
	answer, err := c.call(ctx, hostcall.CertifyBody{HostKey: c.wire()})
	if err != nil {
		return nil, nil, err
	}
	cert, err := parseCertificate(answer.Certificate)
	if err != nil {
		return nil, nil, err
	}
	checker := ssh.CertChecker{Clock: c.Now, IsHostAuthority: func(ssh.PublicKey, string) bool { return true }}
	switch {
	case cert.CertType != ssh.HostCert || !bytes.Equal(cert.Key.Marshal(), c.Key.PublicKey().Marshal()):
		err = errors.New("it is no host certificate for this host's key")
	case !c.IsOwn(cert.ValidPrincipals):
		err = errors.New("it is for another name")
	case authorizedKey(cert.SignatureKey) != answer.HostCA:
		err = errors.New("it is signed by another key than the server says")
	default:
		err = checker.CheckCert(string(c.Host), cert)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the host certificate that the server made is refused: %w", err)
	}
	return cert, cert.SignatureKey, nil
}

// IsOwn reports whether the principals of a host certificate are names of this host and nobody else. It may lack other
// names that the host's owner has given it without an invitation.
func (c *Caller) IsOwn(principals []string) bool {
	return slices.Contains(principals, string(c.Host)) && !slices.ContainsFunc(principals, func(p string) bool {
		return p != string(c.Host) && !slices.Contains(c.Aliases, sshcert.Host(p))
	})
}

// Events tells what happened on the host, oldest first, at most hostcall.MaxEvents at
// once. The answer says of each what became of it; a repeat is safe.
func (c *Caller) Events(ctx context.Context, events []hostcall.Event) ([]api.HostEventAnswer, error) {
	answer, err := c.call(ctx, hostcall.EventsBody{Events: events})
	if err == nil && len(answer.Events) != len(events) {
		err = fmt.Errorf("%w: it answered %d of %d events", ErrUnreachable, len(answer.Events), len(events))
	}
	return answer.Events, err
}

// Bundle returns the file of a trust bundle, the newest if number is 0. Nothing of it
// is checked: package trust does.
func (c *Caller) Bundle(ctx context.Context, lineage canon.Digest, number int64) ([]byte, error) {
	query := url.Values{"lineage": {lineage.String()}}
	if number > 0 {
		query.Set("number", strconv.FormatInt(number, 10))
	}
	at := c.Server.JoinPath("/v1/hosts/bundle")
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	return c.do(req, maxAnswer)
}

// RevocationList returns the newest list of revoked certificates, without the list
// itself if it is the one of that number; it waits for another one for a while. Nothing
// of it is checked: package trust does.
func (c *Caller) RevocationList(ctx context.Context, lineage canon.Digest, after int64, wait time.Duration) (api.RevocationList, error) {
	query := url.Values{"lineage": {lineage.String()}}
	if after > 0 {
		query.Set("after", strconv.FormatInt(after, 10))
		query.Set("wait", strconv.Itoa(int(wait/time.Second)))
	}
	at := c.Server.JoinPath("/v1/hosts/krl")
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return api.RevocationList{}, err
	}
	answer, err := c.do(req, maxList)
	if err != nil {
		return api.RevocationList{}, err
	}
	var out api.RevocationList
	if err := json.Unmarshal(answer, &out); err != nil {
		return api.RevocationList{}, fmt.Errorf("%w: its answer is not the one that was asked for", ErrUnreachable)
	}
	return out, nil
}

func (c *Caller) wire() string { return canon.B64(c.Key.PublicKey().Marshal()) }

// sign writes a document and signs it.
func (c *Caller) sign(body hostcall.Body) (document, signature string, err error) {
	nonce, err := canon.NewID(c.Rand)
	if err != nil {
		return "", "", err
	}
	return hostcall.Sign(c.Rand, c.Key, hostcall.Header{Origin: c.Origin, Host: c.Host, At: canon.At(c.Now()), Nonce: nonce}, body)
}

func (c *Caller) call(ctx context.Context, body hostcall.Body) (api.HostCallAnswer, error) {
	document, signature, err := c.sign(body)
	if err != nil {
		return api.HostCallAnswer{}, err
	}
	var out api.HostCallAnswer
	err = c.post(ctx, "/v1/hosts/calls", api.HostCallRequest{Document: document, Signature: signature}, &out)
	return out, err
}

func (c *Caller) post(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Server.JoinPath(path).String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := c.do(req, maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%w: its answer is not the one that was asked for", ErrUnreachable)
	}
	return nil
}

// do returns an answer of at most so many bytes.
func (c *Caller) do(req *http.Request, most int64) ([]byte, error) {
	if c.Server.Scheme != "https" && !loopback(c.Server.Hostname()) {
		return nil, fmt.Errorf("the server's address %s is plain HTTP; only a loopback address may be", c.Server)
	}
	client := c.HTTP
	if client == nil {
		client = NewHTTP()
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case int64(len(answer)) > most:
		return nil, fmt.Errorf("%w: it answered more than %d bytes", ErrUnreachable, most)
	case resp.StatusCode >= http.StatusMultipleChoices:
		return nil, refusal(resp, answer)
	}
	return answer, nil
}

// refusal reads a problem document. What is none comes from something in between.
func refusal(resp *http.Response, answer []byte) error {
	var p api.Problem
	if resp.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(answer, &p) != nil || !strings.HasPrefix(p.Type, "/problems/") {
		return fmt.Errorf("%w: it answered %s", ErrUnreachable, resp.Status)
	}
	text := p.Title
	if p.Detail != "" {
		text = p.Detail
	}
	if len(text) > maxProblem {
		text = text[:maxProblem]
	}
	e := &RefusedError{Status: resp.StatusCode, Slug: strings.TrimPrefix(p.Type, "/problems/"), Text: canon.Visible(text)}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.Wait = time.Duration(n) * time.Second
	}
	return e
}

func loopback(name string) bool {
	return name == "localhost" || name == "::1" || strings.HasPrefix(name, "127.")
}

func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}

// parseCertificate reads one authorized_keys line, strictly.
func parseCertificate(line string) (*ssh.Certificate, error) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: its certificate can't be read", ErrUnreachable)
	}
	return sshcert.ParseCertificate(key.Marshal())
}
