package contract_test

import (
	"crypto/ed25519"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/contracttest"
)

// guarded is the example's first role with one guard before the path that it has.
func guarded(t *testing.T, when string) *contract.Terms {
	t.Helper()
	terms := contracttest.Clone(goodVersion(t).Terms)
	r := &terms.Roles[0]
	r.Grant.Max = 4 * time.Hour
	r.Paths = append([]contract.Path{{ID: "quick", Clause: r.Clause, When: when, Auto: true}}, r.Paths...)
	return terms
}

func TestCompareGuardsByWhatTheyDo(t *testing.T) {
	t.Parallel()
	same := contract.Compare(guarded(t, `!(ticket && "dba" in groups)`), guarded(t, `!ticket || !("dba" in groups)`))
	if same.Class != contract.Equivalent || len(same.Changes) != 1 {
		t.Errorf("a guard written another way is %+v", same)
	}
	wider := contract.Compare(guarded(t, "grant_seconds <= 3600"), guarded(t, "grant_seconds <= 7200"))
	if wider.Class != contract.Widening || len(wider.Changes) != 1 || wider.Changes[0].Witness == nil {
		t.Fatalf("a guard that holds for longer is %+v", wider)
	}
	w := wider.Changes[0].Witness
	n, err := strconv.Atoi(w.Facts["grant_seconds"])
	if err != nil || n <= 3600 || n > 7200 || w.New != "granted without asking" || !strings.HasPrefix(w.Old, "asks 1 of dba or sre-leads") {
		t.Errorf("the witness is %+v", w)
	}
	if s := wider.Sentences(); len(s) != 1 || !strings.Contains(s[0], "which allows more; a request for db-reader") {
		t.Errorf("%q", s)
	}
}

// Every field of the terms is on some path of the table: whatever of it changes,
// Compare says where, and never only that the terms differ.
func TestCompareCoversEveryField(t *testing.T) {
	t.Parallel()
	full := everyField()
	n := 0
	eachField(t, full, func(at string, changed *contract.Terms) {
		n++
		if got := contract.Compare(full, changed); len(got.Changes) == 0 || got.Changes[0].Path == "terms" {
			t.Errorf("%s is on no path: %+v", at, got)
		}
	})
	if n < 100 {
		t.Errorf("only %d fields", n)
	}
}

// eachField calls do with the terms as often as they have fields, each time with
// another one changed.
func eachField(t *testing.T, full *contract.Terms, do func(at string, changed *contract.Terms)) {
	t.Helper()
	var walk func(at string, get func(*contract.Terms) reflect.Value)
	walk = func(at string, get func(*contract.Terms) reflect.Value) {
		v := get(full)
		switch v.Kind() {
		case reflect.Struct:
			if v.Type() != reflect.TypeFor[time.Time]() {
				for i := range v.NumField() {
					if v.Type().Field(i).IsExported() {
						walk(at+"."+v.Type().Field(i).Name, func(t *contract.Terms) reflect.Value { return get(t).Field(i) })
					}
				}
				return
			}
		case reflect.Slice:
			if v.Len() == 0 {
				t.Errorf("%s is empty", at)
				return
			}
			walk(at, func(t *contract.Terms) reflect.Value { return get(t).Index(0) })
		case reflect.Pointer:
			walk(at, func(t *contract.Terms) reflect.Value { return get(t).Elem() })
			return
		default:
		}
		changed := contracttest.Clone(full)
		switch f := get(changed); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Int, reflect.Int64:
			f.SetInt(f.Int() + int64(time.Second))
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Slice, reflect.Map:
			f.SetZero()
		case reflect.Struct:
			f.Set(reflect.ValueOf(time.Unix(1, 0)))
		default:
			return // a key or an address, in a list that was changed as a whole
		}
		do(at, changed)
	}
	walk("Terms", func(t *contract.Terms) reflect.Value { return reflect.ValueOf(t).Elem() })
}

// everyField returns terms in which nothing is empty, sensible or not.
func everyField() *contract.Terms {
	var out contract.Terms
	fill(reflect.ValueOf(&out).Elem())
	out.Roles[0].Paths[0].When = "ticket"
	out.Roles[0].Paths[0].Auto = false
	out.Roles[0].Request.HostsMax = 3
	out.Groups[0].ID, out.Calendars[0].ID = "v", "v"
	return &out
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("v"), reflect.ValueOf(time.Hour))
	case reflect.String:
		v.SetString("v")
	case reflect.Int:
		v.SetInt(2)
	case reflect.Int64:
		v.SetInt(int64(time.Hour))
	case reflect.Interface:
		if v.Type().Name() == "PublicKey" {
			v.Set(reflect.ValueOf(fillKey))
		}
	default:
	}
}

var fillKey = func() ssh.PublicKey {
	k, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		panic(err)
	}
	return k
}()
