package server

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// bucketLife is how long a bucket takes to fill: each holds a minute's worth.
	// One that was not used for so long is full, so forgetting it gives nobody
	// more than they had.
	bucketLife = time.Minute
	// maxBuckets is how many keys of one limit are told apart.
	maxBuckets = 20_000
	// crowds is how many buckets those keys share that come when there is no room
	// for one of their own.
	crowds = 256
)

// buckets are the token buckets of one limit, by key. Memory is bounded, and a
// bucket that is not full is never forgotten: whoever comes with many keys
// empties no bucket of somebody else's and fills none of their own. What does not
// find room shares a bucket with others, drawn by a hash that nobody outside can
// compute. It is safe for concurrent use.
type buckets[K comparable] struct {
	perMinute int
	seed      maphash.Seed

	mu    sync.Mutex
	own   recent[K, *rate.Limiter]
	crowd [crowds]*rate.Limiter
}

func newBuckets[K comparable](perMinute, most int) *buckets[K] {
	return &buckets[K]{perMinute: perMinute, seed: maphash.MakeSeed(), own: recent[K, *rate.Limiter]{life: bucketLife, most: most}}
}

// take takes one token of a key, or says how long it will be until there is one.
func (b *buckets[K]) take(key K, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket := b.bucket(key, now)
	if bucket.AllowN(now, 1) {
		return 0, true
	}
	return untilNext(bucket, now), false
}

// room is take without taking the token.
func (b *buckets[K]) room(key K, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait = untilNext(b.bucket(key, now), now)
	return wait, wait == 0
}

// untilNext is how long it will be until a bucket has a token.
func untilNext(bucket *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - bucket.TokensAt(now)
	return max(0, time.Duration(missing/float64(bucket.Limit())*float64(time.Second)))
}

// newBucket is full and holds what comes in a minute.
func newBucket(perMinute int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(perMinute)/bucketLife.Seconds()), perMinute)
}

// bucket returns the key's own bucket or the one that it shares. The caller holds
// mu.
func (b *buckets[K]) bucket(key K, now time.Time) *rate.Limiter {
	if bucket, ok := b.own.get(key, now); ok {
		return bucket
	}
	fresh := newBucket(b.perMinute)
	if b.own.put(key, fresh, now) {
		return fresh
	}
	shared := &b.crowd[maphash.Comparable(b.seed, key)%crowds]
	if *shared == nil {
		*shared = fresh
	}
	return *shared
}

// recent keeps values by key for at least life after their last use and at most
// twice that, and never more than most of them. The zero maps are ready. It is
// not safe for concurrent use.
type recent[K comparable, V any] struct {
	life time.Duration
	most int

	// A value that is used moves into current. After each life current becomes
	// previous, and what was in previous was not used for a whole life.
	current, previous map[K]V
	turned            time.Time
}

func (r *recent[K, V]) turn(now time.Time) {
	if since := now.Sub(r.turned); since < r.life && since >= 0 {
		return
	}
	r.current, r.previous, r.turned = make(map[K]V), r.current, now
}

// full reports whether there is no room for another key.
func (r *recent[K, V]) full(now time.Time) bool {
	r.turn(now)
	return len(r.current)+len(r.previous) >= r.most
}

// get returns what is kept under a key, which is a use of it.
func (r *recent[K, V]) get(key K, now time.Time) (V, bool) {
	r.turn(now)
	if v, ok := r.current[key]; ok {
		return v, true
	}
	v, ok := r.previous[key]
	if ok {
		delete(r.previous, key)
		r.current[key] = v
	}
	return v, ok
}

// put keeps a value under a new key. It reports false if there is no room.
func (r *recent[K, V]) put(key K, v V, now time.Time) bool {
	if r.full(now) {
		return false
	}
	r.current[key] = v
	return true
}

func (r *recent[K, V]) forget(key K) {
	delete(r.current, key)
	delete(r.previous, key)
}
