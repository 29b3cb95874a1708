package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/sshcert"
)

// Limits are how often a client may ask, in requests a minute; a minute's worth
// may come at once. Zero is the default.
type Limits struct {
	// Person bounds what one person asks for while logged in, from the command
	// line and in browsers apart. 1200 if zero.
	Person int
	// Address bounds what comes from one client address (an IPv6 /64) without a
	// live session. 1200 if zero.
	Address int
	// Login bounds the steps of logins from one client address: each takes two.
	// 60 if zero.
	Login int
	// Logins bounds the logins that are begun from all addresses together. Each
	// is a synced write that anybody may cause. 6000 if zero.
	Logins int
}

// The limits that hold unless others are set, and what may be set.
const (
	defaultPerson  = 1200
	defaultAddress = 1200
	defaultLogin   = 60
	defaultLogins  = 6000
	maxPerMinute   = 1_000_000
	// maxCosigner bounds what one party cosigner asks for: with each checkpoint that
	// it is to confirm it asks once or a few times.
	maxCosigner = 12_000
	// maxHost bounds the calls of one host: a heartbeat a minute, and what happens on
	// it in batches.
	maxHost = 120
)

// Check refuses what can't be meant. Errors wrap ErrConfig and name the limit as
// config.yaml does.
func (l Limits) Check() error {
	for _, one := range []struct {
		name string
		n    int
	}{
		{"person_per_minute", l.Person}, {"address_per_minute", l.Address}, {"login_per_minute", l.Login}, {"logins_per_minute", l.Logins},
	} {
		if one.n < 0 || one.n > maxPerMinute {
			return fmt.Errorf("%s: %d; it is 1 to %d, or left out for the default (%w)", one.name, one.n, maxPerMinute, ErrConfig)
		}
	}
	return nil
}

func (l Limits) withDefaults() Limits {
	for _, one := range []struct {
		n    *int
		zero int
	}{{&l.Person, defaultPerson}, {&l.Address, defaultAddress}, {&l.Login, defaultLogin}, {&l.Logins, defaultLogins}} {
		if *one.n == 0 {
			*one.n = one.zero
		}
	}
	return l
}

// Names of the limits, in metrics.
const (
	limitPerson   = "person"
	limitAway     = "taking_away"
	limitAddress  = "address"
	limitLogin    = "login"
	limitLogins   = "logins"
	limitCosigner = "cosigner"
	limitHost     = "host"
)

// errTooFast is wrapped by every refusal of a rate limit.
var errTooFast = errors.New("too many requests")

// limitError says which limit was reached and when there is room again.
type limitError struct {
	limit string
	text  string
	wait  time.Duration
}

// Error is written for whoever reached the limit.
func (e *limitError) Error() string {
	return fmt.Sprintf("%s; what you asked for was not done; try again in %s", e.text, spell(e.seconds()))
}

// Unwrap returns errTooFast.
func (e *limitError) Unwrap() error { return errTooFast }

// seconds is the wait in whole seconds, rounded up.
func (e *limitError) seconds() int64 { return max(1, int64((e.wait+time.Second-1)/time.Second)) }

// retryAfter is the header that tells clients when to try again.
func (e *limitError) retryAfter() string { return strconv.FormatInt(e.seconds(), 10) }

// caller is whose requests are counted together: what a script does with the
// bearer does not keep its owner from the pages.
type caller struct {
	person canon.ID
	kind   store.SessionKind
}

// limiter counts requests. It is safe for concurrent use.
type limiter struct {
	limits  Limits
	trusted []netip.Prefix

	person   *buckets[caller]
	away     *buckets[canon.ID] // taking away: denials and cancellations
	address  *buckets[netip.Addr]
	login    *buckets[netip.Addr]
	logins   *buckets[struct{}]
	cosigner *buckets[string]
	host     *buckets[sshcert.Host]

	mu sync.Mutex
	// good are the bearers and cookies that opened a session lately, by hash.
	// Where their address has used up its share they have one of their own, so
	// that a flood from an office does not lock out who works there. Guarded by mu.
	good recent[canon.Digest, *rate.Limiter]

	untrusted sync.Once // a proxy that is not trusted was told of in the log
}

const (
	goodLife = 15 * time.Minute
	maxGood  = 20_000
)

func newLimiter(l Limits, trusted []netip.Prefix) *limiter {
	l = l.withDefaults()
	return &limiter{
		limits: l, trusted: trusted,
		person: newBuckets[caller](l.Person, maxBuckets), away: newBuckets[canon.ID](l.Person, maxBuckets),
		address: newBuckets[netip.Addr](l.Address, maxBuckets), login: newBuckets[netip.Addr](l.Login, maxBuckets),
		logins: newBuckets[struct{}](l.Logins, maxBuckets), cosigner: newBuckets[string](maxCosigner, maxBuckets),
		host: newBuckets[sshcert.Host](maxHost, maxBuckets),
		good: recent[canon.Digest, *rate.Limiter]{life: goodLife, most: maxGood},
	}
}

// takeGood takes a token of a bearer or cookie that opened a session lately.
func (l *limiter) takeGood(hash canon.Digest, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.good.get(hash, now)
	return ok && bucket.AllowN(now, 1)
}

// opened notes whether a bearer or cookie opened a session.
func (l *limiter) opened(hash canon.Digest, now time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok {
		l.good.forget(hash)
		return
	}
	if _, known := l.good.get(hash, now); !known {
		l.good.put(hash, newBucket(l.limits.Person), now) // without room it has no advantage
	}
}

// limited counts requests by client address. A request that opens a session is
// counted by person instead (countPerson), so many people may share an address.
// What only tells that the server lives is never refused.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		t := traceOf(r.Context())
		t.address = clientAddress(r, s.limiter.trusted)
		s.warnOfProxy(r)
		secret, brings := s.credential(r)
		signs := r.URL.Path == openingsPath || r.URL.Path == hostCallsPath // whoever signs it is no stranger
		if !brings && !signs {
			if err := s.countAddress(t.address); err != nil {
				s.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		now := s.now()
		if wait, room := s.limiter.address.room(t.address, now); !room && !s.limiter.takeGood(store.SecretHash(secret), now) {
			s.refuse(w, r, s.addressError(wait))
			return
		}
		t.stranger = true
		// It is counted even if the handler panics. Whether there was room, the
		// next request hears.
		defer func() {
			if t.stranger {
				s.limiter.address.take(t.address, s.now())
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// credential returns the bearer or cookie that a request brings where one of its
// kind is looked at, if it has the form of one.
func (s *Server) credential(r *http.Request) (string, bool) {
	var secret string
	var err error
	if strings.HasPrefix(r.URL.Path, apiPrefix) {
		secret, err = bearerOf(r)
	} else {
		secret, err = s.cookies.secret(r)
	}
	return secret, err == nil
}

// warnOfProxy tells the operator once of a header that is not believed: behind a
// proxy that is not named, everybody is counted as one address.
func (s *Server) warnOfProxy(r *http.Request) {
	if r.Header.Get("X-Forwarded-For") == "" || len(s.limiter.trusted) > 0 {
		return
	}
	s.limiter.untrusted.Do(func() {
		s.logger.LogAttrs(r.Context(), slog.LevelWarn, "x-forwarded-for ignored: trusted_proxies names nobody")
	})
}
