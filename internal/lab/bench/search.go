package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

const (
	week  = 7 * 24 * time.Hour
	found = 100 // entries of one answer, at most
)

// searching asks what an auditor asks: the certificates of a week, by person and by
// host, with everything that is answered, opened.
func (b *bench) searching(ctx context.Context, l *running) error {
	for _, q := range []struct {
		name string
		by   func() record.Mention
	}{
		{"person", func() record.Mention {
			return record.Mention{Name: record.MentionPerson, Value: string(l.c.engineers[mathrand.IntN(engineers)].Person)}
		}},
		{"host", func() record.Mention {
			return record.Mention{Name: record.MentionHost, Value: string(hostNamed(mathrand.IntN(hosts)))}
		}},
	} {
		answers := 0
		took, err := timed(b.size.proofs, func(int) error {
			n, err := search(ctx, l.s, q.by())
			answers += n
			return err
		})
		if err != nil {
			return err
		}
		b.figure(fmt.Sprintf("certificates of a %s in a week, of %d leaves", q.name, l.size), took.String(),
			fmt.Sprintf("%.1f entries on average, at most %d", float64(answers)/float64(b.size.proofs), found))
	}
	return nil
}

// search looks for certificates of a week that lies anywhere in the ledger's time.
func search(ctx context.Context, s *store.Store, by record.Mention) (n int, err error) {
	err = s.Read(ctx, func(r *store.Reader) error {
		first, err := r.Entry(1)
		if err != nil {
			return err
		}
		head, err := r.Head()
		if err != nil {
			return err
		}
		begin := first.At + canon.Micros(mathrand.Int64N(int64(max(1, head.At-first.At))))
		from, err := r.FirstAt(begin)
		if err != nil {
			return err
		}
		before, err := r.FirstAt(begin + canon.Micros(week/time.Microsecond))
		if err != nil {
			return err
		}
		answer, err := r.Search(store.Search{
			Mentions: []record.Mention{by, {Name: record.MentionKind, Value: string(ledger.CertificateIssue)}},
			From:     from, Before: before, Limit: found, Most: 10 * found,
		})
		if err != nil {
			return err
		}
		entries, err := r.EntriesAt(answer.Leaves)
		n = len(entries)
		return err
	})
	return n, err
}
