package killloop_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
)

// book keeps what clients were answered, and a copy of the ledger as it was read
// after each start. Both only grow, and the copy must bear the answers out.
type book struct {
	t      *testing.T
	pin    client.Pin
	policy *ledger.Policy
	copy   ledgerCopy // used only while nobody works
	// several servers write: what one that was killed had recorded and not signed
	// the others leave alone for a while.
	several bool

	mu       sync.Mutex // guards what follows: everybody writes who was answered
	first    chan struct{}
	fresh    []held                        // certificates since the last start
	shown    map[ledger.Checkpoint]bool    // every checkpoint that anybody was shown
	newest   int64                         // size of the largest of them
	unproved []ledger.Checkpoint           // those since the last start
	requests map[canon.ID]bool             // filed
	verdicts map[canon.ID]approval.Verdict // answered
	devices  map[string]bool               // logged in
	count    counts
}

// counts are for the report.
type counts struct {
	certificates, requests, decisions, logins int
	stored, void, unsigned                    int // certificates that were recorded and not answered
}

// held is a certificate that a client was given, and what it proves.
type held struct {
	cert   *ssh.Certificate
	wire   []byte
	proved certproof.Result
	call   *issueCall
}

func newBook(t *testing.T, pin client.Pin) *book {
	t.Helper()
	policy, err := ledger.NewPolicy(pin.Origin, pin.LogKey)
	must(t, err)
	return &book{
		t: t, pin: pin, policy: policy, copy: newCopy(), shown: map[ledger.Checkpoint]bool{},
		requests: map[canon.ID]bool{}, verdicts: map[canon.ID]approval.Verdict{}, devices: map[string]bool{},
	}
}

// nextAnswer returns a channel that the next answer closes.
func (b *book) nextAnswer() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := make(chan struct{})
	b.first = first
	return first
}

// answer notes an answer.
func (b *book) answer(note func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	note()
	if b.first != nil {
		close(b.first)
		b.first = nil
	}
}

func (b *book) filed(q api.Request) {
	b.answer(func() { b.requests[q.ID] = true; b.count.requests++ })
}

func (b *book) loggedIn(device string) {
	b.answer(func() { b.devices[device] = true; b.count.logins++ })
}

func (b *book) decided(id canon.ID, v approval.Verdict) {
	b.answer(func() { b.verdicts[id] = v; b.count.decisions++ })
}

// checkpoint notes a checkpoint that somebody was shown.
func (b *book) checkpoint(note []byte) error {
	c, err := b.policy.OpenCheckpoint(note)
	if err != nil {
		return err
	}
	b.answer(func() { b.show(c) })
	return nil
}

// show notes a checkpoint; the caller holds mu.
func (b *book) show(c ledger.Checkpoint) {
	if !b.shown[c] {
		b.shown[c] = true
		b.unproved = append(b.unproved, c)
	}
	b.newest = max(b.newest, c.Size)
}

// certificate judges a certificate as its client does, offline, and notes it.
func (b *book) certificate(answer api.Certificate, call *issueCall) error {
	h, err := b.read(answer.Certificate)
	if err != nil {
		return err
	}
	if h.cert.Serial != answer.Serial || !bytes.Equal(h.cert.Key.Marshal(), call.key.PublicKey().Marshal()) {
		return fmt.Errorf("certificate %d is not the one that was asked for", answer.Serial)
	}
	h.call = call
	b.answer(func() {
		b.fresh = append(b.fresh, h)
		b.show(h.proved.Checkpoint)
		b.count.certificates++
	})
	return nil
}

// read verifies one line of authorized_keys form against the pin file.
func (b *book) read(line string) (held, error) {
	_, text, _ := strings.Cut(line, " ")
	wire, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return held{}, err
	}
	cert, proved, err := certproof.VerifyWire(wire, b.policy)
	if err != nil {
		return held{}, err
	}
	if !bytes.Equal(cert.SignatureKey.Marshal(), b.pin.CA.Marshal()) {
		return held{}, fmt.Errorf("certificate %d is signed by a key that is not pinned", cert.Serial)
	}
	return held{cert: cert, wire: wire, proved: proved}, nil
}

// report says what the loop has seen, and fails if it has proved nothing.
func (b *book) report(p plan, starts int, took time.Duration) {
	c, rounds := b.count, p.rounds
	b.t.Logf("%d ends under load and %d of starting processes in %s: %d certificates answered, %d more signed, %d void and %d never signed; "+
		"%d requests, %d decisions and %d logins answered; %d checkpoints shown; %d leaves",
		rounds, starts, took.Round(time.Second/10), c.certificates, c.stored, c.void, c.unsigned,
		c.requests, c.decisions, c.logins, len(b.shown), b.copy.tree.Size)
	if c.certificates < rounds/4 || c.decisions == 0 || len(b.shown) < rounds/4 {
		b.t.Error("that is too little to prove anything")
	}
	if p.stops && (c.stored > 0 || c.void > 0) {
		b.t.Error("a stop left a certificate that nobody was answered")
	}
	if rounds >= 100 && (c.stored == 0 || c.void == 0) {
		b.t.Error("no kill came between a certificate's leaf and its answer: the moments are badly chosen")
	}
}

// hashes are a tree's stored hashes in tlog's order.
type hashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(indexes))
	for _, i := range indexes {
		if i >= int64(len(h)) {
			return nil, fmt.Errorf("the copy has no hash %d", i)
		}
		out = append(out, h[i])
	}
	return out, nil
}
