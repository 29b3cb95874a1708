package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/cosign"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
	"github.com/sallyport/sallyport/oidc"
)

// CosignOptions are the settings of [Cosign].
type CosignOptions struct {
	WitnessOptions
	// Contract is the digest of version 1 of the contract, from elsewhere than the
	// server. Empty: only the key is made and shown, which the contract has to name.
	Contract string
	// Server is where the ledger's server answers.
	Server string
	// LogKeys are the log's keys; without a pin file.
	LogKeys []string
	// Accept are leaves that do not stand and hold up nothing from now on.
	Accept []string
}

// Cosign runs the cosigner of a party until ctx ends: it confirms what the ledger
// says while everything that belongs to the contract is justified.
func Cosign(ctx context.Context, o CosignOptions) (err error) {
	o.is = "cosigner"
	if o.Listen == "" {
		o.Listen = "127.0.0.1:7381"
	}
	config, err := o.config()
	if err != nil {
		return err
	}
	if err := privateDir(o.Dir); err != nil {
		return err
	}
	heads, err := witness.OpenFolder(filepath.Join(o.Dir, "seen"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, heads.Close()) }()
	signer, err := o.signer()
	if err != nil {
		return err
	}
	if o.Contract == "" {
		o.say("the contract has to name this key, under cosigners in its terms; once it is signed, start this again with --contract DIGEST")
		return o.print(signer.PublicKey())
	}
	return o.run(ctx, config, heads, signer)
}

// config checks the settings and returns those of the replay, without the server.
func (o CosignOptions) config() (cosign.Config, error) {
	if err := o.checkPlace(); err != nil {
		return cosign.Config{}, err
	}
	if o.Contract == "" {
		return cosign.Config{}, nil
	}
	for _, text := range o.Accept { // before anything is replayed
		if _, err := parseLeaf("--accept", text); err != nil {
			return cosign.Config{}, err
		}
	}
	lineage, err := canon.ParseDigest(o.Contract)
	switch {
	case err != nil || lineage.IsZero():
		return cosign.Config{}, Usagef("--contract %q: want the digest of version 1 of the contract, 43 characters, from those who signed it", o.Contract)
	case o.Server == "":
		return cosign.Config{}, Usagef("--server: say where the ledger's server answers, such as --server https://ca.example")
	}
	keys, userCA, err := AuditOptions{Pin: o.Pin, LogKeys: o.LogKeys}.keys(o.Env)
	if err != nil {
		return cosign.Config{}, err
	}
	policy, err := audit.PolicyOf(keys)
	if err != nil {
		return cosign.Config{}, Usagef("--log-key: %w", err)
	}
	c := cosign.Config{Dir: o.Dir, Origin: policy.Origin(), Lineage: lineage, LogKeys: keys, Now: o.Now, Keys: o.fetchKeys, Alarm: o.alarm}
	if userCA != nil {
		c.UserCA = canon.B64(userCA.Marshal())
	}
	return c, nil
}

func (o CosignOptions) run(ctx context.Context, config cosign.Config, heads *witness.Folder, signer *ledger.CosignerSigner) (err error) {
	base, err := parseServer(o.Server)
	if err != nil {
		return err
	}
	policy, err := audit.PolicyOf(config.LogKeys)
	if err != nil {
		return err
	}
	server := &openings{conn: newConn(o.Env, base, ""), signer: signer, origin: config.Origin, lineage: config.Lineage}
	config.Feed = server
	c, err := cosign.Open(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	o.catchUp(ctx, c, server, policy, heads)
	if err := o.accept(c); err != nil {
		return err
	}
	told := &repeats{o: o}
	w, err := witness.New(witness.Config{Signer: signer, Logs: []*ledger.Policy{policy}, Heads: heads, Now: o.Now, Judge: c.Judge, Seen: told.seen})
	if err != nil {
		return err
	}
	return o.serve(ctx, signer, w)
}

// catchUp judges what the server shows everybody, so that the first request is
// answered in time, and that its owner sees what there is to accept.
func (o CosignOptions) catchUp(ctx context.Context, c *cosign.Cosigner, s *openings, policy *ledger.Policy, heads *witness.Folder) {
	var note []byte
	err := s.conn.getNow(ctx, "/checkpoint", nil, &note)
	if err != nil {
		o.say("the ledger is not caught up with: %v", err)
		return
	}
	newest, err := policy.OpenCheckpoint(note)
	if err == nil {
		var older ledger.Checkpoint
		if older, err = heads.Head(newest.Origin); errors.Is(err, witness.ErrNoHead) {
			older, err = ledger.EmptyCheckpoint(newest.Origin), nil
		}
		if err == nil && newest.Size >= max(older.Size, c.Size()) {
			err = c.Judge(ctx, older, newest)
		}
	}
	if err != nil {
		o.say("no word on the ledger as it is: %v", err)
		return
	}
	o.say("replayed the ledger up to %d leaves", c.Size())
}

// accept accepts the leaves that its owner names.
func (o CosignOptions) accept(c *cosign.Cosigner) error {
	for _, text := range o.Accept {
		index, err := parseLeaf("--accept", text)
		if err != nil {
			return err
		}
		if err := c.Accept(index); err != nil {
			return fmt.Errorf("--accept: %w", err)
		}
		o.say("leaf %d is accepted: it holds up nothing, and what rests on it is still not justified", index)
	}
	return nil
}

// alarm tells its owner of a leaf that does not stand.
func (o CosignOptions) alarm(f cosign.Finding) { o.say("ALARM: %s", f) }

// fetchKeys asks an identity provider for its keys.
func (o CosignOptions) fetchKeys(ctx context.Context, i oidc.Issuer) ([]oidc.Key, error) {
	p, err := oidc.New(i, o.Now)
	if err != nil {
		return nil, err
	}
	return p.FetchKeys(ctx)
}

// repeats tells what became of requests, and of the same refusal once.
type repeats struct {
	o    CosignOptions
	mu   sync.Mutex
	last string // guarded by mu
}

func (r *repeats) seen(origin string, size int64, status int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.last = ""
	} else if text := strconv.Itoa(status) + err.Error(); text == r.last {
		return
	} else {
		r.last = text
	}
	r.o.seen(origin, size, status, err)
}

// openings asks the ledger's server for leaves, as the cosigner that its contract
// names.
type openings struct {
	conn    *conn
	signer  *ledger.CosignerSigner
	origin  string
	lineage canon.Digest
}

var _ cosign.Feed = (*openings)(nil)

// Page returns leaves from index from on, as cosign.Feed says.
func (s *openings) Page(ctx context.Context, from, to int64) (audit.FeedPage, error) {
	ask := audit.FeedRequest{
		ExpiresAt: canon.At(s.conn.now().Add(audit.FeedLife / 2)), From: from, Lineage: s.lineage, Origin: s.origin, To: min(to, from+audit.MaxFeedLeaves),
	}
	document, signature, err := ask.Sign(s.signer)
	if err != nil {
		return audit.FeedPage{}, err
	}
	body, err := json.Marshal(api.OpeningsRequest{Document: document, Signature: signature})
	if err != nil {
		return audit.FeedPage{}, err
	}
	req, err := s.conn.request(ctx, http.MethodPost, "/v1/ledger/openings", nil, json.RawMessage(body))
	if err != nil {
		return audit.FeedPage{}, err
	}
	resp, err := s.conn.http.Do(req)
	if err != nil {
		return audit.FeedPage{}, s.conn.unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	s.conn.compareClocks(resp.Header.Get("Date"))
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return audit.FeedPage{}, s.conn.unreachable(ctx, err)
		}
		return audit.FeedPage{}, s.conn.refused(resp, text)
	}
	page, err := audit.ReadFeed(resp.Body, from, ask.To)
	if err != nil {
		return audit.FeedPage{}, fmt.Errorf("the server's answer: %w", err)
	}
	return page, nil
}
