package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// testPages reads a list page by page while it grows and while its rows change:
// each row that was there stands on one page, once.
func testPages(t *testing.T, f *fixture) {
	f.setup()
	var first, second canon.ID
	f.mustWrite(func(l Ledger) error {
		for _, id := range []*canon.ID{&first, &second} {
			ask := f.w.Ask(l, f.w.Alice)
			if _, err := l.Append(f.w.Submit(l, f.w.Alice, ask)); err != nil {
				return err
			}
			*id = ask.Doc.Request
		}
		return nil
	})
	page := func(before int64, limit int) (ids []canon.ID, last int64) {
		f.mustRead(func(r *store.Reader) error {
			rows, err := r.Before(record.TableRequest, "by", string(f.w.Alice.Person), before, limit)
			for _, row := range rows {
				var q approval.Request
				err = errors.Join(err, canon.Unmarshal(row.Body, &q))
				ids, last = append(ids, q.ID), row.Leaf
			}
			return err
		})
		return ids, last
	}
	if ids, _ := page(ledger.MaxSize, 10); !slices.Equal(ids, []canon.ID{second, first}) {
		t.Errorf("a page of everything: %v", ids)
	}
	newest, last := page(ledger.MaxSize, 1)
	f.mustWrite(func(l Ledger) error { // somebody asks, and the older row changes
		_, err := l.Append(f.w.Decide(l, f.w.Bob, f.w.Request(l, second), approval.Deny, 0))
		if err != nil {
			return err
		}
		_, err = l.Append(f.w.Submit(l, f.w.Alice, f.w.Ask(l, f.w.Alice)))
		return err
	})
	older, end := page(last, 10)
	if !slices.Equal(newest, []canon.ID{second}) || !slices.Equal(older, []canon.ID{first}) {
		t.Errorf("pages of one while the list grows: %v, then %v", newest, older)
	}
	if ids, _ := page(end, 10); len(ids) != 0 {
		t.Errorf("behind the end: %v", ids)
	}
}
