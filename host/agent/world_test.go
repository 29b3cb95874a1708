package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// clock is the time in these tests: a bubble begins in the year 2000, in which no key
// ID of ours was written.
func clock() time.Time { return time.Now().AddDate(27, 0, 0) }

// farm is a host with an agent's folders, and what stands for the network.
type farm struct {
	t     testing.TB
	world *hosttest.World
	agent agent.Config
	log   *notes
	fake  *scopes
	serv  *server
}

// newFarm returns one whose clock is the test's.
func newFarm(t testing.TB) *farm {
	t.Helper()
	d, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	})
	path, err := d.Mkdir(0o755, "sallyport")
	if err != nil {
		t.Fatal(err)
	}
	state, err := d.Mkdir(0o700, "state")
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{t: t, log: &notes{}, fake: &scopes{ended: map[canon.ID]ending{}, over: map[canon.ID]bool{}}, serv: &server{}}
	f.agent = agent.Config{
		Folder: host.Folder{Path: path, Owner: os.Geteuid()}, State: state, Version: "0.1.0",
		Scopes: f.fake, Refresh: f.serv, Report: f.serv, Renew: f.serv,
		Now: clock, Chance: func() float64 { return 0.5 },
		Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	return f
}

// begin writes the host's files. It is called where the clock counts: in a bubble.
func (f *farm) begin() {
	f.t.Helper()
	f.world = hosttest.New(f.t, clock(), "ops", "web-1.demo")
	f.world.Write(f.agent.Folder.Path, f.world.Config(), f.bundle(1))
	f.put(host.KRLFile, f.list(0).KRL)
	if err := os.Remove(filepath.Join(f.agent.Folder.Path, host.SignedFile)); err != nil {
		f.t.Fatal(err)
	}
	f.fake.now = clock
}

// run runs the agent until stop is called.
func (f *farm) run() (stop func()) {
	f.t.Helper()
	a, err := agent.New(f.agent)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	return func() {
		cancel()
		<-done
		if err := a.Close(); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *farm) put(name string, text []byte) {
	f.t.Helper()
	path := filepath.Join(f.agent.Folder.Path, name)
	temp := path + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(temp, 0o644), os.Rename(temp, path)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *farm) read(name string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.agent.Folder.Path, name))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// root is the key of a party's root.
func (f *farm) root() ssh.Signer { return hosttest.Signer(f.t, "root") }

// bundle is what the host pins, or would pin next.
func (f *farm) bundle(number int64) trust.Bundle {
	f.t.Helper()
	b := f.world.Bundle()
	b.Number = number
	b.MadeAt += canon.Micros(number)
	b.Roots = []trust.Root{{Party: "acme", Need: 1, Keys: []trust.NamedKey{{Name: "ada", Key: hosttest.Key(f.t, f.root())}}}}
	return b
}

// signed is a bundle as a server sends it, with the root's signature by a key.
func (f *farm) signed(b trust.Bundle, by ssh.Signer) []byte {
	f.t.Helper()
	text, err := trust.Make(b)
	if err != nil {
		f.t.Fatal(err)
	}
	s := trust.Signed{Text: text}
	if by != nil {
		armored, err := sshcert.Sign(rand.Reader, by, trust.Namespace, []byte(text))
		if err != nil {
			f.t.Fatal(err)
		}
		s.Signatures = []trust.Signature{{Party: "acme", Name: "ada", Signature: armored}}
	}
	file, err := s.Marshal()
	if err != nil {
		f.t.Fatal(err)
	}
	return file
}

// list is a revocation list of serials, as a server sends it.
func (f *farm) list(number int64, serials ...uint64) agent.List {
	f.t.Helper()
	return f.listBy(f.world.KRLKey, number, number, serials...)
}

func (f *farm) listBy(by ssh.Signer, number, says int64, serials ...uint64) agent.List {
	f.t.Helper()
	l := &krl.List{Number: uint64(number), MadeAt: 1}
	if len(serials) > 0 {
		l.Issued = []krl.Issued{{CA: f.world.CA.PublicKey(), Serials: krl.Serials(serials...)}}
	}
	return f.stated(by, l, says, clock())
}

// stated is a list with a statement about it; none if it says number 0.
func (f *farm) stated(by ssh.Signer, l *krl.List, says int64, madeAt time.Time) agent.List {
	f.t.Helper()
	list, err := l.Marshal()
	if err != nil {
		f.t.Fatal(err)
	}
	statement := ""
	if says > 0 {
		if statement, err = trust.MakeKRL(trust.KRL{
			Origin: hosttest.Origin, Lineage: f.world.Lineage, Number: says, Size: says, MadeAt: canon.At(madeAt), NextAt: canon.At(madeAt.Add(10 * time.Minute)),
			SHA256: canon.Digest(sha256.Sum256(list)), Bytes: int64(len(list)),
		}); err != nil {
			f.t.Fatal(err)
		}
	}
	armored, err := sshcert.Sign(rand.Reader, by, trust.KRLNamespace, []byte(statement))
	if err != nil {
		f.t.Fatal(err)
	}
	return agent.List{KRL: list, Statement: statement, Signature: armored}
}

// login records a session by a certificate of that serial, or by a key if it is 0.
func (f *farm) login(serial uint64, end time.Time) canon.ID {
	f.t.Helper()
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	r := session.Record{ID: id, Login: "ops", Service: "sshd", OpenedAt: canon.At(clock()), Boot: "test", PID: 1}
	if serial > 0 {
		c := f.world.Template(hosttest.Signer(f.t, "subject").PublicKey())
		c.Serial, c.KeyId = serial, f.world.KeyID(end)
		r.Cgroup, r.Certificate = "/sys/fs/cgroup/sallyport-"+string(id), canon.B64(f.world.Sign(c, f.world.CA).Marshal())
	}
	if err := f.sessions().Add(r); err != nil {
		f.t.Fatal(err)
	}
	return id
}

// loginBy records a session that an offline key opened.
func (f *farm) loginBy(key string) canon.ID {
	f.t.Helper()
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	r := session.Record{ID: id, Login: "ops", Service: "sshd", OpenedAt: canon.At(clock()), Boot: "test", PID: 1, OfflineKey: key}
	if err := f.sessions().Add(r); err != nil {
		f.t.Fatal(err)
	}
	return id
}

func (f *farm) sessions() session.Folder {
	f.t.Helper()
	folder, err := session.OpenFolder(filepath.Join(f.agent.State, host.SessionsFolder))
	if err != nil {
		f.t.Fatal(err)
	}
	return folder
}

// scopes stands for the kernel.
type scopes struct {
	now func() time.Time

	mu     sync.Mutex
	ended  map[canon.ID]ending // guarded by mu
	warned []warning           // guarded by mu
	over   map[canon.ID]bool   // sessions that ended by themselves; guarded by mu
	blind  int                 // how often Warn finds no terminal first; guarded by mu
	fail   int                 // how many times End fails first; guarded by mu
	hang   chan struct{}       // what End waits for, if not nil
}

type ending struct {
	at  time.Time
	why session.Why
}

type warning struct {
	id   canon.ID
	at   time.Time
	left time.Duration
	over bool
}

func (s *scopes) Warn(r session.Session, left time.Duration, over bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blind > 0 {
		s.blind--
		return 0, nil
	}
	s.warned = append(s.warned, warning{r.ID, s.now(), left, over})
	return 1, nil
}

func (s *scopes) End(_ context.Context, r session.Session, why session.Why) (session.Ended, error) {
	if s.hang != nil {
		<-s.hang
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return session.Ended{}, errors.New("it sleeps in a driver")
	}
	s.ended[r.ID] = ending{s.now(), why}
	return session.Ended{Killed: 1}, nil
}

func (s *scopes) Over(r session.Session) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over[r.ID], nil
}

func (s *scopes) Tidy(session.Session) error { return nil }

func (s *scopes) ending(id canon.ID) (ending, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.ended[id]
	return e, ok
}

// server stands for the network.
type server struct {
	mu      sync.Mutex
	down    bool             // guarded by mu
	hangs   bool             // it takes calls and answers none; guarded by mu
	refuses string           // events of this session are refused; guarded by mu
	list    *agent.List      // guarded by mu
	bundles [][]byte         // guarded by mu
	told    []hostcall.Event // guarded by mu
	calls   []time.Time      // of Tell; guarded by mu
	beats   []hostcall.HeartbeatBody
	asked   []trust.KRL // guarded by mu
}

var errDown = errors.New("connection refused")

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) answers(ctx context.Context) error {
	s.mu.Lock()
	down, hangs := s.down, s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if down {
		return errDown
	}
	return nil
}

func (s *server) List(ctx context.Context, have trust.KRL) (*agent.List, error) {
	if err := s.answers(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, have)
	return s.list, nil
}

func (s *server) Bundles(ctx context.Context, _ int64) ([][]byte, error) {
	if err := s.answers(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles, nil
}

func (s *server) Tell(ctx context.Context, events []hostcall.Event) (map[int]string, error) {
	s.mu.Lock()
	s.calls = append(s.calls, clock())
	s.mu.Unlock()
	if err := s.answers(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := map[int]string{}
	for i, e := range events {
		if s.refuses != "" && string(e.Session) == s.refuses {
			refused[i] = "there is no such session"
			continue
		}
		s.told = append(s.told, e)
	}
	return refused, nil
}

func (s *server) Heartbeat(ctx context.Context, body hostcall.HeartbeatBody) error {
	if err := s.answers(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats = append(s.beats, body)
	return nil
}

func (s *server) Renew(ctx context.Context) (time.Duration, error) { return time.Hour, s.answers(ctx) }

func (s *server) events() []hostcall.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]hostcall.Event(nil), s.told...)
}

// notes is a log.
type notes struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(p)
}

func (n *notes) has(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Contains(n.buf.String(), text)
}
