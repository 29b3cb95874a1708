package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/catest"
	"github.com/sallyport/sallyport/internal/lab"
	labvault "github.com/sallyport/sallyport/internal/lab/vault"
)

// TestVault runs everything against one real Vault: first, side by side, what
// leaves it as it is, then what seals and stops it.
func TestVault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, labvault.Key{Name: "user-ca", Type: "ed25519"}, labvault.Key{Name: "p256", Type: "ecdsa-p256"})
	t.Run("running", func(t *testing.T) {
		for _, key := range []string{"user-ca", "p256"} {
			t.Run("suite "+key, func(t *testing.T) {
				t.Parallel()
				c := w.config(t, key)
				catest.Exercise(t, func(t *testing.T) ca.Signer { return open(t, c) })
			})
		}
		for name, test := range map[string]func(*testing.T, world){
			"callers share requests":    callersShare,
			"one refused of a batch":    oneRefused,
			"useless answers":           uselessAnswers,
			"keys":                      refusedKeys,
			"versions":                  versions,
			"settings":                  settings,
			"token revoked":             tokenRevoked,
			"token files":               tokenFiles,
			"token kept":                tokenKept,
			"policy":                    policy,
			"TLS":                       trust,
			"a caller's end":            callersEnd,
			"closed":                    closed,
			"nothing secret is written": nothingSecret,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, w)
			})
		}
	})
	// One after the other from here.
	for _, part := range []struct {
		name string
		test func(*testing.T, world)
	}{{"audited", audited}, {"sealed", sealed}, {"slow", slow}, {"no goroutine is left", noneLeft}, {"away", away}} {
		t.Run(part.name, func(t *testing.T) { part.test(t, w) })
	}
}

// callersShare: while one request is at Vault, those who come gather, up to 64
// to a request.
func callersShare(t *testing.T, w world) {
	const callers = 100
	var mu sync.Mutex
	var sizes []int
	first, all := make(chan struct{}), make(chan struct{})
	c := w.config(t, "user-ca")
	c.wrap = tampering(func(body map[string]any) {
		mu.Lock()
		sizes = append(sizes, len(inputs(body)))
		n := len(sizes)
		mu.Unlock()
		if n == 1 {
			close(first)
			<-all
		}
	}, nil)
	s := open(t, c)
	var calls sync.WaitGroup
	sign := func(i int) {
		if _, err := s.Sign(t.Context(), fmt.Appendf(nil, "%d", i)); err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	calls.Go(func() { sign(0) })
	<-first
	for i := range callers {
		calls.Go(func() { sign(i + 1) })
	}
	waitFor(t, callers, "vault.(*Signer).Sign(", "select")
	close(all)
	calls.Wait()
	if fmt.Sprint(sizes) != fmt.Sprint([]int{1, MaxBatch, callers - MaxBatch}) {
		t.Errorf("requests of %v", sizes)
	}
}

// waitFor waits until at least n goroutines have a call in their stack and wait
// as the state says.
func waitFor(t *testing.T, n int, call, state string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := lab.Poll(ctx, "waiting callers", func() (bool, error) {
		count := 0
		for _, stack := range stacks(t) {
			head, _, _ := strings.Cut(stack, "\n")
			if strings.Contains(stack, call) && strings.Contains(head, "["+state) {
				count++
			}
		}
		return count >= n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func stacks(t *testing.T) []string {
	t.Helper()
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil {
		t.Fatal(err)
	}
	return strings.Split(b.String(), "\n\n")
}

// oneRefused: Vault refuses one item of three and signs the others.
func oneRefused(t *testing.T, w world) {
	var spoiled atomic.Bool
	first, all := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c := w.config(t, "user-ca")
	c.wrap = tampering(func(body map[string]any) {
		once.Do(func() { close(first); <-all })
		if list := inputs(body); len(list) == 3 {
			set(list[1], "input", "*not base64*")
			spoiled.Store(true)
		}
	}, nil)
	s := open(t, c)
	var calls sync.WaitGroup
	calls.Go(func() {
		if _, err := s.Sign(t.Context(), []byte("the first")); err != nil {
			t.Error(err)
		}
	})
	<-first
	var good, refused atomic.Int64
	for i := range 3 {
		calls.Go(func() {
			tbs := fmt.Appendf(nil, "%d of three", i)
			switch sig, err := s.Sign(t.Context(), tbs); {
			case err == nil && s.PublicKey().Verify(tbs, sig) == nil:
				good.Add(1)
			case errors.Is(err, ca.ErrSigner) && sig == nil:
				refused.Add(1)
			default:
				t.Errorf("%v, %v", sig, err)
			}
		})
	}
	waitFor(t, 4, "vault.(*Signer).Sign(", "select")
	close(all)
	calls.Wait()
	if !spoiled.Load() || good.Load() != 2 || refused.Load() != 1 {
		t.Errorf("spoiled %t: %d signed, %d refused", spoiled.Load(), good.Load(), refused.Load())
	}
}

// uselessAnswers: Vault says 200 and the signature is not one over these bytes
// by the pinned key. Nothing is released.
func uselessAnswers(t *testing.T, w world) {
	if err := w.NewKey(t.Context(), labvault.Key{Name: "two", Type: "ed25519"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Rotate(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	cut := func(list []any) {
		for _, item := range list {
			set(item, "signature", get(item, "signature")[:40])
		}
	}
	for _, tt := range []struct {
		name, key       string
		request, answer func(map[string]any)
		want            string
	}{
		{"other version", "two", func(b map[string]any) { b["key_version"] = 2 }, nil, "version 1"},
		{"other version under our name", "two", func(b map[string]any) { b["key_version"] = 2 }, func(b map[string]any) {
			for _, item := range results(b) {
				set(item, "signature", strings.Replace(get(item, "signature"), "vault:v2:", "vault:v1:", 1))
			}
		}, "does not verify"},
		{"other hash", "p256", func(b map[string]any) { b["hash_algorithm"] = "sha2-512" }, nil, "does not verify"},
		{"other encoding", "p256", func(b map[string]any) { b["marshaling_algorithm"] = "jws" }, nil, "malformed"},
		{"other message", "two", func(b map[string]any) { set(inputs(b)[0], "input", "b3RoZXI=") }, nil, "does not verify"},
		{"cut off", "two", nil, func(b map[string]any) { cut(results(b)) }, "malformed"},
		{"cut off p256", "p256", nil, func(b map[string]any) { cut(results(b)) }, "malformed"},
		{"none", "two", nil, func(b map[string]any) { set(results(b)[0], "signature", "") }, "version 1"},
		{"fewer", "two", nil, func(b map[string]any) { b["data"] = map[string]any{"batch_results": []any{}} }, "0 signatures for 1"},
		{"more", "two", nil, func(b map[string]any) {
			b["data"] = map[string]any{"batch_results": append(results(b), results(b)...)}
		}, "2 signatures for 1"},
		{"something else", "two", nil, func(b map[string]any) { b["data"] = map[string]any{"keys": 1} }, "0 signatures for 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := w.config(t, tt.key)
			c.wrap = tampering(tt.request, tt.answer)
			s := open(t, c)
			sig, err := s.Sign(t.Context(), []byte("a certificate"))
			if sig != nil || !errors.Is(err, ca.ErrSigner) || errors.Is(err, ca.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("signed %v, %v", sig != nil, err)
			}
			d := catest.Record(t, s.PublicKey())
			if cert, err := ca.Finish(t.Context(), s, d.Certificate, d.Proof, d.Policy); cert != nil || !errors.Is(err, ca.ErrSigner) {
				t.Errorf("finished %v, %v", cert != nil, err)
			}
		})
	}
}

// callersEnd: one caller who leaves takes nothing from those who share the
// request; the last one who leaves ends it.
func callersEnd(t *testing.T, w world) {
	// The first request keeps the others waiting, so that they share the second.
	arrived, goOn := make(chan int, 4), make(chan struct{})
	ended := make(chan struct{})
	var requests atomic.Int64
	c := w.config(t, "user-ca")
	c.Timeout = time.Minute
	c.wrap = func(next http.RoundTripper) http.RoundTripper {
		return tripFunc(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.URL.Path, "/sign/") {
				return next.RoundTrip(r)
			}
			n := int(requests.Add(1))
			arrived <- n
			if n == 3 {
				<-r.Context().Done()
				close(ended)
				return nil, r.Context().Err()
			}
			<-goOn
			return next.RoundTrip(r)
		})
	}
	s := open(t, c)
	leaves, leave := context.WithCancel(t.Context())
	sign := func(ctx context.Context) chan error {
		answer := make(chan error, 1)
		go func() {
			_, err := s.Sign(ctx, []byte("x"))
			answer <- err
		}()
		return answer
	}
	first := sign(t.Context())
	<-arrived
	stays, left := sign(t.Context()), sign(leaves)
	waitFor(t, 3, "vault.(*Signer).Sign(", "select")
	goOn <- struct{}{}
	<-arrived
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) || !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("who left: %v", err)
	}
	goOn <- struct{}{}
	for who, answer := range map[string]chan error{"the first": first, "who stays": stays} {
		if err := <-answer; err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}

	last, leaveLast := context.WithCancel(t.Context())
	alone := sign(last)
	<-arrived
	leaveLast()
	if err := <-alone; !errors.Is(err, context.Canceled) {
		t.Errorf("the last: %v", err)
	}
	select {
	case <-time.After(20 * time.Second):
		t.Error("the request goes on although nobody waits for it")
	case <-ended:
	}
}

type tripFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f tripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func closed(t *testing.T, w world) {
	s, err := Open(t.Context(), w.config(t, "user-ca"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Sign(t.Context(), []byte("after the end")); !errors.Is(err, ca.ErrUnavailable) {
		t.Error(err)
	}
}

// nothingSecret: no error and no log line holds the token, what was to be signed
// or what Vault answered.
func nothingSecret(t *testing.T, w world) {
	var log strings.Builder
	canary := []byte("CANARY-IN-THE-INPUT")
	c := w.config(t, "user-ca")
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = textLogger(&log)
	var told []string
	for _, tamper := range []func(http.RoundTripper) http.RoundTripper{
		tampering(func(b map[string]any) { set(inputs(b)[0], "input", "*CANARY*") }, nil),
		tampering(func(b map[string]any) { b["key_version"] = "CANARY" }, nil),
		tampering(nil, func(b map[string]any) { set(results(b)[0], "error", "CANARY") }),
		func(http.RoundTripper) http.RoundTripper {
			return tripFunc(func(r *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("CANARY %s", r.Header.Get("X-Vault-Token"))
			})
		},
	} {
		c := c
		c.wrap, c.Public = tamper, open(t, c).PublicKey()
		s := open(t, c)
		_, err := s.Sign(t.Context(), canary)
		if err == nil {
			t.Error("it was signed")
		}
		told = append(told, fmt.Sprint(err))
	}
	all := strings.Join(told, "\n") + log.String()
	for _, secret := range []string{"CANARY", strings.TrimSpace(string(token)), "hvs."} {
		if strings.Contains(all, secret) {
			t.Errorf("%q stands in\n%s", secret, all)
		}
	}
	if !strings.Contains(log.String(), "not reachable at start") {
		t.Errorf("logged %q", log.String())
	}
}
