package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/record"
)

// errAway is a view that cannot be read now.
var errAway = errors.New("not readable now")

// unreadable is a View one of whose rows cannot be read.
type unreadable struct {
	record.View
	table record.Table
	key   string
}

func (v unreadable) Row(t record.Table, key string) ([]byte, error) {
	if t == v.table && key == v.key {
		return nil, errAway
	}
	return v.View.Row(t, key)
}

// The row of somebody who decided that cannot be read says nothing about that person: the failure
// is told as it is, so that whoever asked may ask again.
func TestAnUnreadableRowIsNoLinkedAccount(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	_, _, err := record.GrantAt(unreadable{m, record.TablePerson, string(r.Decisions[0].By)}, r.ID, w.Alice.Claims, m.Now()+micros(time.Second))
	if !errors.Is(err, errAway) || strings.Contains(err.Error(), "one human") {
		t.Errorf("GrantAt = %v, want the view's own error", err)
	}
}
