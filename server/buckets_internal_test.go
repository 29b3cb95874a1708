package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// takes counts how many tokens of a key can be taken at once.
func takes[K comparable](b *buckets[K], key K, now time.Time) int {
	n := 0
	for range 10_000 {
		if _, ok := b.take(key, now); !ok {
			break
		}
		n++
	}
	return n
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	b := newBuckets[string](60, 10)
	if _, ok := b.room("a", t0); !ok {
		t.Error("a new bucket is not full")
	}
	if n := takes(b, "a", t0); n != 60 {
		t.Errorf("%d at once, want 60", n)
	}
	wait, ok := b.take("a", t0)
	if peek, room := b.room("a", t0); ok || room || wait != time.Second || peek != wait {
		t.Errorf("an empty bucket says %s, %v and %s, %v", wait, ok, peek, room)
	}
	if n := takes(b, "b", t0); n != 60 {
		t.Errorf("another key has %d, want 60", n)
	}
	if n := takes(b, "a", t0.Add(999*time.Millisecond)); n != 0 {
		t.Errorf("%d before a second has passed", n)
	}
	if n := takes(b, "a", t0.Add(5*time.Second)); n != 5 {
		t.Errorf("%d after 5 seconds, want 5", n)
	}
	if n := takes(b, "a", t0.Add(time.Hour)); n != 60 {
		t.Errorf("%d after an hour, want 60", n)
	}
	if n := takes(b, "a", t0); n != 0 {
		t.Errorf("%d after the clock was set back", n)
	}
}

// TestBucketsAreBounded floods a limit with keys. Memory stays bounded; the
// flood neither fills a bucket that was used up nor keeps out those who come
// later.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	const most = 100
	b := newBuckets[int](60, most)
	if takes(b, -1, t0) != 60 || takes(b, -2, t0) != 60 {
		t.Fatal("a new bucket is not full")
	}
	now := t0
	for key := range 50 * most {
		now = t0.Add(time.Duration(key) * time.Millisecond) // five seconds in all
		b.take(key, now)
		if n := len(b.own.current) + len(b.own.previous); n > most {
			t.Fatalf("%d keys are kept, want at most %d", n, most)
		}
	}
	// Five seconds give five tokens, as without the flood.
	if n := takes(b, -1, now); n > 5 {
		t.Errorf("the flood filled a bucket up: %d tokens after %s", n, now.Sub(t0))
	}
	served := 0
	for key := range 1000 { // who comes now shares a bucket with a part of the flood
		if _, ok := b.take(1_000_000+key, now); ok {
			served++
		}
	}
	if served < 900 {
		t.Errorf("%d of 1000 who came later were served", served)
	}
	// When the flood is over, everybody has a bucket again.
	now = now.Add(2 * bucketLife)
	b.take(0, now)
	now = now.Add(bucketLife)
	if n := takes(b, 2_000_000, now); n != 60 {
		t.Errorf("%d tokens after the flood, want 60", n)
	}
	if _, ok := b.own.get(2_000_000, now); !ok {
		t.Error("there is no room after the flood")
	}
}

// TestBucketsForgetOnlyFullOnes uses a bucket up and looks at it after each
// moment at which it may have been forgotten.
func TestBucketsForgetOnlyFullOnes(t *testing.T) {
	t.Parallel()
	for ms := int64(0); ms <= 130_000; ms += 500 {
		b := newBuckets[string](60, 10)
		b.take("other", t0) // the maps turn from now on
		begin := t0.Add(45 * time.Second)
		takes(b, "a", begin)
		later := time.Duration(ms) * time.Millisecond
		b.take("other", begin.Add(later/2))
		want := min(60, int(later.Seconds()))
		if n := takes(b, "a", begin.Add(later)); n != want {
			t.Fatalf("%d tokens after %s, want %d", n, later, want)
		}
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ff::/48"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		trusted    []netip.Prefix
		want       string
	}{
		{"no proxy", "192.0.2.1:1234", nil, nil, "192.0.2.1"},
		{"a header that nobody vouches for", "192.0.2.1:1234", []string{"198.51.100.1"}, nil, "192.0.2.1"},
		{"a header of a stranger", "192.0.2.1:1234", []string{"198.51.100.1"}, trusted, "192.0.2.1"},
		{"a proxy", "10.0.0.1:1234", []string{"198.51.100.1"}, trusted, "198.51.100.1"},
		{"a proxy and what the client made up", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, trusted, "198.51.100.1"},
		{"made up to look like a proxy's", "10.0.0.1:1", []string{"203.0.113.9, 10.9.9.9, 198.51.100.1"}, trusted, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1, 10.0.0.2"}, trusted, "198.51.100.1"},
		{"two headers", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1,10.0.0.2"}, trusted, "198.51.100.1"},
		{"only proxies", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, trusted, "10.0.0.3"},
		{"a proxy without header", "10.0.0.1:1", nil, trusted, "10.0.0.1"},
		{"an empty header", "10.0.0.1:1", []string{""}, trusted, "10.0.0.1"},
		{"junk", "10.0.0.1:1", []string{"198.51.100.1, unknown"}, trusted, "10.0.0.1"},
		{"junk behind a proxy's", "10.0.0.1:1", []string{"_hidden, 10.0.0.2"}, trusted, "10.0.0.2"},
		{"with ports", "10.0.0.1:1", []string{"198.51.100.1:5678, 10.0.0.2:99"}, trusted, "198.51.100.1"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:443", nil, nil, "2001:db8:1:2::"},
		{"another of its /64", "[2001:db8:1:2:ffff::1]:443", nil, nil, "2001:db8:1:2::"},
		{"IPv6 by proxy", "[2001:db8:ff::1]:443", []string{"2001:db8:5:6:7::8"}, trusted, "2001:db8:5:6::"},
		{"IPv6 with port by proxy", "[2001:db8:ff::1]:443", []string{"[2001:db8:5:6:7::8]:80"}, trusted, "2001:db8:5:6::"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:443", nil, nil, "192.0.2.1"},
		{"a proxy, IPv4 in IPv6", "[::ffff:10.0.0.1]:443", []string{"::ffff:198.51.100.1"}, trusted, "198.51.100.1"},
		{"with a zone", "[fe80::1%eth0]:443", nil, nil, "fe80::"},
		{"no address", "@", []string{"198.51.100.1"}, trusted, "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forwarded
			if got := clientAddress(r, tt.trusted); got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzClientAddress(f *testing.F) {
	for _, seed := range []string{"", ",", "1.2.3.4", "10.0.0.1, 2001:db8::1", "[::1]:80,10.0.0.2", "unknown, _x", "::ffff:10.0.0.1%a"} {
		f.Add(seed)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header["X-Forwarded-For"] = []string{header}
		if got := clientAddress(r, trusted); got.String() != "192.0.2.1" {
			t.Errorf("a stranger counts as %s", got)
		}
		// Whatever stands on the left of a hop that is no proxy changes nothing.
		r.RemoteAddr = "10.0.0.1:1"
		r.Header["X-Forwarded-For"] = []string{header + ", 198.51.100.7"}
		if got := clientAddress(r, trusted); got.String() != "198.51.100.7" {
			t.Errorf("counts as %s", got)
		}
	})
}

func TestLimitsCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limits Limits
		want   string
	}{
		{Limits{}, ""},
		{Limits{Person: 1, Address: 1, Login: 1, Logins: maxPerMinute}, ""},
		{Limits{Person: -1}, "person_per_minute"},
		{Limits{Address: maxPerMinute + 1}, "address_per_minute"},
		{Limits{Login: -60}, "login_per_minute"},
		{Limits{Logins: -1}, "logins_per_minute"},
	} {
		err := tt.limits.Check()
		if text := fmt.Sprint(err); (err == nil) != (tt.want == "") || err != nil && text[:len(tt.want)] != tt.want {
			t.Errorf("%+v: %v", tt.limits, err)
		}
	}
}
