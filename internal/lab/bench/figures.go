package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// bench is one run.
type bench struct {
	settings
	out  io.Writer // the figures
	log  io.Writer // what goes on
	work *lab.Dir
	rows int
	// syncs is how many writes of one page a second the disk makes durable, and
	// verifies how many Ed25519 signatures one core checks; zero if not measured.
	syncs, verifies float64
}

func newBench(s settings, out, log io.Writer) (*bench, error) {
	work, err := lab.NewDir()
	if err != nil {
		return nil, err
	}
	return &bench{settings: s, out: out, log: log, work: work}, nil
}

func (b *bench) close() error { return b.work.Remove() }

func (b *bench) tell(format string, args ...any) { fmt.Fprintf(b.log, "bench: "+format+"\n", args...) }

// fataler lets the builders of recordtest end a measurement.
type fataler struct{}

type failure struct{ error }

func (fataler) Helper() {}

func (fataler) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// caught turns what fataler threw into an error.
func caught(fn func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failure:
			err = v.error
		default:
			panic(v)
		}
	}()
	return fn()
}

// figure prints one line of the table.
func (b *bench) figure(what, value, beside string) {
	if b.rows == 0 {
		fmt.Fprint(b.out, "| what | figure | beside |\n|---|---|---|\n")
	}
	b.rows++
	fmt.Fprintf(b.out, "| %s | %s | %s |\n", what, value, beside)
}

// sample is how long something took, many times.
type sample []time.Duration

// timed runs fn n times.
func timed(n int, fn func(i int) error) (sample, error) {
	s := make(sample, 0, n)
	for i := range n {
		begin := time.Now()
		if err := fn(i); err != nil {
			return nil, err
		}
		s = append(s, time.Since(begin))
	}
	return s, nil
}

// quantile returns the value that a share q of the sample does not exceed.
func (s sample) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) String() string {
	return fmt.Sprintf("p50 %s, p99 %s", milliseconds(s.quantile(0.5)), milliseconds(s.quantile(0.99)))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1e3) }

// rate is how many a second, in three digits.
func rate(n int64, took time.Duration) string { return thousands(float64(n) / took.Seconds()) }

func thousands(v float64) string {
	switch {
	case v >= 100_000:
		return fmt.Sprintf("%.0fk/s", v/1e3)
	case v >= 1000:
		return fmt.Sprintf("%.1fk/s", v/1e3)
	}
	return fmt.Sprintf("%.0f/s", v)
}

func times(a, b float64) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f×", a/b)
}
