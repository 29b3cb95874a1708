package record_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// issued appends a certificate of Alice for ops@web-1.demo and returns its serial.
func issuedSerial(t *testing.T, w *recordtest.World, m *recordtest.Map) uint64 {
	t.Helper()
	f, err := w.Issue(m, w.Alice, w.Granted(m, 300), w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(f))
	return f.Serial
}

// A login that the ledger can't explain is recorded as such, and never as one that
// it can.
func TestLoginsAreExplained(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	serial := issuedSerial(t, w, m)
	at := m.Clock
	row, err := record.Certificate(m, serial)
	if err != nil {
		t.Fatal(err)
	}
	m.Clock += micros(time.Hour)
	enter := func(bend func(*record.LoginOpen)) recordtest.Draft {
		f := w.Enter(m, w.Version, "web-1.demo", serial)
		f.OpenedAt = at
		bend(&f)
		found, err := record.ExplainLogin(m, f)
		if err != nil {
			t.Fatal(err)
		}
		f.Finding, f.Certificate = found.Finding, found.Certificate
		return plain(f)
	}
	for _, tt := range []struct {
		name string
		bend func(*record.LoginOpen)
		want record.LoginFinding
	}{
		{"as the certificate says", func(*record.LoginOpen) {}, record.LoginExplained},
		{"by no certificate", func(f *record.LoginOpen) { f.Serial = 0 }, record.LoginNoSerial},
		{"by a serial that was never recorded", func(f *record.LoginOpen) { f.Serial = 999 }, record.LoginUnknown},
		{"by a leaf that is no certificate", func(f *record.LoginOpen) { f.Serial = 2 }, record.LoginUnknown},
		{"as somebody else", func(f *record.LoginOpen) { f.Login = "root" }, record.LoginElsewhere},
		{"on another host", func(f *record.LoginOpen) { f.Host = "web-2.demo" }, record.LoginElsewhere},
		{"after it was over", func(f *record.LoginOpen) { f.OpenedAt = row.Before + micros(hostcall.Skew) + 1 }, record.LoginOutside},
		{"before it was granted", func(f *record.LoginOpen) { f.OpenedAt = at - micros(hostcall.Skew) - 1 }, record.LoginOutside},
		{"by a clock that is off", func(f *record.LoginOpen) { f.OpenedAt = row.Before + micros(time.Minute) }, record.LoginExplained},
	} {
		d := enter(tt.bend)
		f, ok := d.Facts.(record.LoginOpen)
		if !ok || f.Finding != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, f.Finding, tt.want)
		}
		if err := m.Check(d); err != nil {
			t.Errorf("%s is not recorded: %v", tt.name, err)
		}
		for _, wrong := range []record.LoginFinding{record.LoginExplained, record.LoginNoSerial, record.LoginUnknown, "other"} {
			if wrong == tt.want {
				continue
			}
			if err := m.Check(bent(d, func(f *record.LoginOpen) { f.Finding = wrong })); !errors.Is(err, record.ErrEvent) {
				t.Errorf("%s, told as %q: %v", tt.name, wrong, err)
			}
		}
	}
	appendAll(t, m, plain(w.Void(m, row)))
	void := enter(func(*record.LoginOpen) {})
	if f, ok := void.Facts.(record.LoginOpen); !ok || f.Finding != record.LoginVoid || m.Check(void) != nil {
		t.Errorf("by a certificate that was given up: %+v", void.Facts)
	}
}

func TestSessionsRefuse(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	serial := issuedSerial(t, w, m)
	open := plain(w.Enter(m, w.Version, "web-1.demo", serial))
	opens := func(f func(*record.LoginOpen)) recordtest.Draft { return bent(open, f) }
	refuses(t, m, open, []refusal{
		{"on a host that is none", opens(func(f *record.LoginOpen) { f.Host = "db-1.demo" }), record.ErrNotFound},
		{"in another lineage", opens(func(f *record.LoginOpen) { f.Lineage = w.Other.Lineage() }), record.ErrEvent},
		{"told in no call", opens(func(f *record.LoginOpen) { f.Call = canon.Digest{} }), record.ErrEvent},
		{"tomorrow", opens(func(f *record.LoginOpen) { f.OpenedAt += micros(time.Hour) }), record.ErrEvent},
		{"by another leaf", opens(func(f *record.LoginOpen) { f.Certificate = canon.Digest{1} }), record.ErrEvent},
	})
	leaf, err := m.Append(open)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(open); !errors.Is(err, record.ErrExists) {
		t.Errorf("a session twice: %v", err)
	}
	f, ok := open.Facts.(record.LoginOpen)
	if !ok {
		t.Fatal("no login")
	}
	end := plain(w.Leave(m, f, leaf))
	ends := func(bend func(*record.LoginClose)) recordtest.Draft { return bent(end, bend) }
	refuses(t, m, end, []refusal{
		{"of no session", ends(func(f *record.LoginClose) { f.Session = w.ID() }), record.ErrNotFound},
		{"on another host", ends(func(f *record.LoginClose) { f.Host = "web-2.demo" }), record.ErrEvent},
		{"that another leaf opened", ends(func(f *record.LoginClose) { f.Open = canon.Digest{1} }), record.ErrEvent},
		{"before it began", ends(func(f *record.LoginClose) { f.ClosedAt-- }), record.ErrEvent},
		{"tomorrow", ends(func(f *record.LoginClose) { f.ClosedAt += micros(time.Hour) }), record.ErrEvent},
		{"in another way", ends(func(f *record.LoginClose) { f.How = "somehow" }), record.ErrEvent},
		{"told in no call", ends(func(f *record.LoginClose) { f.Call = canon.Digest{} }), record.ErrEvent},
	})
	appendAll(t, m, end)
	if err := m.Check(end); !errors.Is(err, record.ErrExists) {
		t.Errorf("the end twice: %v", err)
	}
	row, err := record.HostSession(m, f.Session)
	if err != nil || row.Person != w.Alice.Person || row.ClosedAt != f.OpenedAt || row.How != hostcall.Left {
		t.Errorf("the session: %+v, %v", row, err)
	}
	refused := plain(w.Refuse(m, w.Version, "web-1.demo"))
	counts := func(bend func(*record.LoginRefuse)) recordtest.Draft {
		return bent(refused, func(f *record.LoginRefuse) {
			f.Counts = append([]hostcall.Count(nil), f.Counts...)
			bend(f)
		})
	}
	refuses(t, m, refused, []refusal{
		{"within a minute", counts(func(f *record.LoginRefuse) { f.MinuteAt++ }), record.ErrEvent},
		{"tomorrow", counts(func(f *record.LoginRefuse) { f.MinuteAt += 3600e6 }), record.ErrEvent},
		{"of nobody", counts(func(f *record.LoginRefuse) { f.Counts[0].Count = 0 }), record.ErrEvent},
		{"for a reason that is text", counts(func(f *record.LoginRefuse) { f.Counts[0].Reason = "<b>" }), record.ErrEvent},
		{"for one reason twice", counts(func(f *record.LoginRefuse) { f.Counts[1].Reason = f.Counts[0].Reason }), record.ErrEvent},
		{"on a host that is none", counts(func(f *record.LoginRefuse) { f.Host = "db-1.demo" }), record.ErrNotFound},
	})
	appendAll(t, m, refused)
	if err := m.Check(plain(w.Refuse(m, w.Version, "web-1.demo"))); !errors.Is(err, record.ErrExists) {
		t.Errorf("a minute twice: %v", err)
	}
	appendAll(t, m, plain(w.Retire(m, nil, w.Version, "web-1.demo")))
	for name, d := range map[string]recordtest.Draft{
		"a login": plain(w.Enter(m, w.Version, "web-1.demo", serial)), "refusals": counts(func(f *record.LoginRefuse) { f.MinuteAt -= 60e6 }),
	} {
		if err := m.Check(d); !errors.Is(err, record.ErrHostRetired) {
			t.Errorf("%s on a retired host: %v", name, err)
		}
	}
}

// A login by an offline key is recorded with the key, once, and ends as others do; a key
// that can be copied is none.
func TestPromiseP08_OfflineLogins(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	honest := w.Offline(m, w.Version, "web-1.demo")
	offline := plain(honest)
	bends := func(bend func(*record.LoginOffline)) recordtest.Draft { return bent(offline, bend) }
	refuses(t, m, offline, []refusal{
		{"on a host that is none", bends(func(f *record.LoginOffline) { f.Host = "db-1.demo" }), record.ErrNotFound},
		{"in another lineage", bends(func(f *record.LoginOffline) { f.Lineage = w.Other.Lineage() }), record.ErrEvent},
		{"told in no call", bends(func(f *record.LoginOffline) { f.Call = canon.Digest{} }), record.ErrEvent},
		{"tomorrow", bends(func(f *record.LoginOffline) { f.OpenedAt += micros(time.Hour) }), record.ErrEvent},
		{"at no time", bends(func(f *record.LoginOffline) { f.OpenedAt = 0 }), record.ErrEvent},
		{"by a key in a file", bends(func(f *record.LoginOffline) { f.Key = recordtest.Wire(w.Key().PublicKey()) }), record.ErrEvent},
		{"by no key", bends(func(f *record.LoginOffline) { f.Key = "AAAA" }), record.ErrEvent},
	})
	leaf, err := m.Append(offline)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(offline); !errors.Is(err, record.ErrExists) {
		t.Errorf("a session twice: %v", err)
	}
	row, err := record.HostSession(m, honest.Session)
	if err != nil || row.Key != honest.Key || row.Login != "ops" || row.Person != "" || row.Serial != 0 || row.Finding != "" {
		t.Errorf("the session: %+v, %v", row, err)
	}
	end := record.LoginClose{At: m.Now(), Session: honest.Session, Lineage: honest.Lineage, Host: honest.Host, Open: leaf, How: hostcall.Left, ClosedAt: m.Now(), Call: w.Digest()}
	appendAll(t, m, plain(end))
	if row, err = record.HostSession(m, honest.Session); err != nil || row.ClosedAt != end.ClosedAt {
		t.Errorf("the session that ended: %+v, %v", row, err)
	}
	mentions, err := record.Mentions(m, honest)
	if err != nil || !slices.Contains(mentions, record.Mention{Name: record.MentionHost, Value: "web-1.demo"}) || !slices.Contains(mentions, record.Mention{Name: record.MentionLogin, Value: "ops"}) {
		t.Errorf("%v %+v", err, mentions)
	}
	appendAll(t, m, plain(w.Retire(m, nil, w.Version, "web-1.demo")))
	if err := m.Check(plain(w.Offline(m, w.Version, "web-1.demo"))); !errors.Is(err, record.ErrHostRetired) {
		t.Errorf("on a retired host: %v", err)
	}
}
