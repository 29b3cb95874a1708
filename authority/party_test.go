package authority

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/witness"
	"github.com/sallyport/sallyport/sshcert"
)

// overseen is a world with a second contract, which names cosigners, and a host of
// its own.
type overseen struct {
	*world
	v       *contract.Version // of that contract
	parties map[string]*judging
}

// judging is a cosigner of a party, which a test can have refuse.
type judging struct {
	*nearby
	mu  sync.Mutex
	say error
}

func (j *judging) refuse(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.say = err
}

func (j *judging) Cosign(ctx context.Context, ask ledger.AddCheckpoint, c ledger.Checkpoint) (ledger.Cosignature, error) {
	j.mu.Lock()
	say := j.say
	j.mu.Unlock()
	if say != nil {
		return ledger.Cosignature{}, say
	}
	return j.nearby.Cosign(ctx, ask, c)
}

// watchedFiles is another contract with the same rules, which names cosigners.
func (w *world) watchedFiles(id string, keys ...string) map[string][]byte {
	w.t.Helper()
	files := w.contractFiles("20s")
	var block strings.Builder
	block.WriteString("cosigners:\n")
	for i, vkey := range keys {
		fmt.Fprintf(&block, "  c%d: {party: demo, key: %q}\n", i, vkey)
	}
	terms := strings.Replace(string(files[contract.TermsFile]), "{id: demo,", "{id: "+id+",", 1)
	files[contract.TermsFile] = []byte(strings.Replace(terms, "ceilings:", block.String()+"ceilings:", 1))
	delete(files, contract.ManifestFile)
	manifest, err := contract.NewManifest(files)
	if err != nil {
		w.t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	return files
}

func newOverseen(t *testing.T, names ...string) overseen {
	t.Helper()
	w := overseen{world: newWorld(t), parties: make(map[string]*judging)}
	var keys []string
	for _, name := range names {
		j := &judging{nearby: newNearby(w.world, name)}
		w.parties[j.Key().String()] = j
		keys = append(keys, j.Key().String())
	}
	w.config.Parties = func(k ledger.CosignerKey) (Cosigner, error) {
		if j := w.parties[k.String()]; j != nil {
			return j, nil
		}
		return nil, fmt.Errorf("%s: %w", k.Name(), ErrNoAddress)
	}
	w.reopen()
	// The server runs while the contract comes into force.
	files := w.watchedFiles("watched", keys...)
	added, err := w.a.AddContract(t.Context(), files, w.signatures(files, w.signer))
	if err != nil {
		t.Fatal(err)
	}
	w.v = added.Version
	_, err = w.a.AddHost(t.Context(), NewHost{
		Name: "web-9.demo", Address: "127.0.0.1", Port: 22, Key: newKey(t).PublicKey(), Labels: map[string]string{"env": "demo"}, Contract: "watched",
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// granted is a request of u's under the watched contract that lead approved.
func (w overseen) granted(u, lead user) (user, approval.Request) {
	w.t.Helper()
	under := func(u user) user {
		return user{w: &world{t: w.t, config: w.config, a: w.a, v: w.v, now: w.clock()}, device: u.device, session: u.session}
	}
	u, lead = under(u), under(lead)
	q := u.newRequest()
	q.doc.Hosts = []sshcert.Host{"web-9.demo"}
	r, err := u.submit(q)
	if err == nil {
		r, err = lead.decide(r, approval.Approve, 0)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return u, r
}

func (w overseen) party(t *testing.T, name string) *judging {
	t.Helper()
	j := w.parties[ledgertest.Cosigner(t, name).PublicKey()]
	if j == nil {
		t.Fatalf("no party %s", name)
	}
	return j
}

// TestPromiseP01_NoCertificateBeforeThePartiesCosigned: under a contract that names
// cosigners a certificate has the words of all of them, or there is none; under
// another contract it goes on, whatever they do or say.
func TestPromiseP01_NoCertificateBeforeThePartiesCosigned(t *testing.T) {
	t.Parallel()
	w := newOverseen(t, "p1", "p2")
	alice, lead := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	under, q := w.granted(alice, lead)
	open := alice.granted(lead, 0)
	own, err := ledger.NewPolicy(testOrigin, w.config.Log.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	both, err := own.WithCosigners(ledger.Cosigners{All: []ledger.CosignerKey{w.party(t, "p1").Key(), w.party(t, "p2").Key()}})
	if err != nil {
		t.Fatal(err)
	}
	proved := func(issued Issued, err error) error {
		if err != nil {
			return err
		}
		_, err = certproof.Verify(issued.Certificate, both)
		return err
	}
	if err := proved(under.issue(q, newKey(t))); err != nil {
		t.Fatalf("with both words: %v", err)
	}
	if note, err := w.a.Published(t.Context()); err != nil {
		t.Error(err)
	} else if _, err := both.OpenCheckpoint(note); err != nil {
		t.Errorf("the checkpoint for everybody lacks the words: %v", err)
	}
	one := w.party(t, "p2")
	for _, tt := range []struct {
		name       string
		away, hang bool
		say        error
		want       string
	}{
		{name: "away", away: true, want: witness.ErrUnreachable.Error()},
		{name: "hanging", hang: true, want: witness.ErrUnreachable.Error()},
		{name: "not vouching", say: fmt.Errorf("%w: leaf 7: secret words of the party", witness.ErrUnjustified), want: witness.ErrUnjustified.Error()},
		{name: "claiming a fork", say: witness.ErrFork, want: witness.ErrFork.Error()},
		{name: "claiming to be far ahead", say: &witness.StaleError{Size: 1 << 40}, want: witness.ErrFork.Error()},
	} {
		one.set(tt.away, tt.hang)
		one.refuse(tt.say)
		_, err := under.issue(q, newKey(t))
		if !errors.Is(err, ErrWithheld) || !errors.Is(err, ErrUncosigned) {
			t.Fatalf("%s: %v, want ErrWithheld", tt.name, err)
		}
		for _, part := range []string{"p2: " + tt.want, "cosigners of contract watched", "stays granted"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", tt.name, err, part)
			}
		}
		if strings.Contains(err.Error(), "secret words") {
			t.Errorf("%s: who asks for a certificate reads what the cosigner wrote: %v", tt.name, err)
		}
		if _, err := alice.issue(open, newKey(t)); err != nil {
			t.Errorf("%s: under the other contract: %v", tt.name, err)
		}
		size := w.size()
		if _, err := under.issue(q, newKey(t)); !errors.Is(err, ErrWithheld) || w.size() != size {
			t.Errorf("%s, again: %v, and %d leaves for nothing", tt.name, err, w.size()-size)
		}
		if err := w.a.CheckWitnesses(t.Context()); !errors.Is(err, ErrDegraded) {
			t.Errorf("%s: health: %v, want ErrDegraded", tt.name, err)
		}
		one.set(false, false)
		one.refuse(nil)
		if err := w.eventually(func() error { return proved(under.issue(q, newKey(t))) }); err != nil {
			t.Errorf("after %s: %v", tt.name, err)
		}
		if err := w.a.CheckWitnesses(t.Context()); err != nil {
			t.Errorf("after %s: health: %v", tt.name, err)
		}
	}
}

// TestPartiesBesideWitnesses: a certificate has the words of the contract's
// cosigners and of enough witnesses; under another contract, of the witnesses.
func TestPartiesBesideWitnesses(t *testing.T) {
	t.Parallel()
	w := newOverseen(t, "p1")
	n := newNearby(w.world, "w1")
	w.config.Quorum = ledger.Cosigners{Need: 1, Witnesses: []ledger.CosignerKey{n.Key()}}
	w.config.Cosigners = []Cosigner{n}
	w.reopen()
	alice, lead := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	under, q := w.granted(alice, lead)
	open := alice.granted(lead, 0)
	quorum := w.config.Quorum
	quorum.All = []ledger.CosignerKey{w.party(t, "p1").Key()}
	own, err := ledger.NewPolicy(testOrigin, w.config.Log.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	policy, err := own.WithCosigners(quorum)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := under.issue(q, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certproof.Verify(issued.Certificate, policy); err != nil {
		t.Errorf("the proof lacks words: %v", err)
	}
	n.set(true, false)
	if _, err := under.issue(q, newKey(t)); !errors.Is(err, ErrUncosigned) || errors.Is(err, ErrWithheld) {
		t.Errorf("without the witness: %v, want ErrUncosigned", err)
	}
	n.set(false, false)
	w.party(t, "p1").set(true, false)
	if err := w.eventually(func() error { _, err := alice.issue(open, newKey(t)); return err }); err != nil {
		t.Errorf("without the party, under the other contract: %v", err)
	}
	var names []string
	for _, s := range w.a.Cosigners() {
		names = append(names, fmt.Sprint(s.Name, s.Party))
	}
	if strings.Join(names, " ") != "p1true w1false" {
		t.Errorf("cosigners %v", names)
	}
}

// TestPromiseP14_NoAddressNoContract: a contract whose cosigners nobody could ask is
// not taken up, and no server starts with it.
func TestPromiseP14_NoAddressNoContract(t *testing.T) {
	t.Parallel()
	w := newOverseen(t, "p1")
	size := w.size()
	stranger := ledgertest.Cosigner(t, "stranger.example/c").PublicKey()
	files := w.watchedFiles("other", stranger)
	if _, err := w.a.AddContract(t.Context(), files, w.signatures(files, w.signer)); !errors.Is(err, ErrNoAddress) || !strings.Contains(err.Error(), "stranger.example/c") {
		t.Errorf("%v, want ErrNoAddress", err)
	}
	if w.size() != size {
		t.Error("it is in the ledger")
	}
	if err := w.a.CheckCosigners(t.Context()); err != nil {
		t.Errorf("with the address: %v", err)
	}
	alice, lead := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	under, q := w.granted(alice, lead)
	w.config.Parties = nil
	w.reopen()
	if err := w.a.CheckCosigners(t.Context()); !errors.Is(err, ErrNoAddress) {
		t.Errorf("without the address: %v, want ErrNoAddress", err)
	}
	under.w.a = w.a
	if _, err := under.issue(q, newKey(t)); !errors.Is(err, ErrWithheld) {
		t.Errorf("issuing without the address: %v, want ErrWithheld", err)
	}
	if _, err := alice.issue(alice.granted(lead, 0), newKey(t)); err != nil {
		t.Errorf("under the other contract: %v", err)
	}
	// A witness can't be a cosigner as well: one word would count twice.
	p := newNearby(w.world, "p1")
	w.config.Quorum = ledger.Cosigners{Need: 1, Witnesses: []ledger.CosignerKey{p.Key()}}
	w.config.Cosigners = []Cosigner{p}
	w.reopen()
	if err := w.a.CheckCosigners(t.Context()); !errors.Is(err, ledger.ErrPolicy) {
		t.Errorf("a witness as cosigner: %v, want ErrPolicy", err)
	}
}
