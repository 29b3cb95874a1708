package client

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
)

func TestHostAdminOptions(t *testing.T) {
	t.Parallel()
	good := HostAdminOptions{Name: "web-1.demo", Addr: "10.20.0.11:22", Labels: []string{"tier=web", "env=prod"}}
	doc, err := good.inviteDoc()
	if err != nil || doc.Host != "web-1.demo" || doc.Address != "10.20.0.11" || doc.Port != 22 ||
		!slices.Equal(doc.Labels, []record.Label{{Name: "env", Value: "prod"}, {Name: "tier", Value: "web"}}) {
		t.Errorf("%+v, %v", doc, err)
	}
	for name, bend := range map[string]func(*HostAdminOptions){
		"NAME":                   func(o *HostAdminOptions) { o.Name = "Web" },
		"HOST:PORT":              func(o *HostAdminOptions) { o.Addr = "10.20.0.11" },
		"a lower-case DNS name":  func(o *HostAdminOptions) { o.Addr = "-oProxyCommand=x:22" },
		"a port from 1 to 65535": func(o *HostAdminOptions) { o.Addr = "10.20.0.11:0" },
		"NAME=VALUE":             func(o *HostAdminOptions) { o.Labels = []string{"env"} },
		"given twice":            func(o *HostAdminOptions) { o.Labels = []string{"env=a", "env=b"} },
		"a label's value":        func(o *HostAdminOptions) { o.Labels = []string{"env=a b"} },
	} {
		o := good
		bend(&o)
		if _, err := o.inviteDoc(); ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want %s", o, err, name)
		}
	}
}

// A host that never said a word, and one that observes, are not shown as enforcing.
func TestFleetTable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	e := Env{Getenv: func(string) string { return "" }, Now: func() time.Time { return now }}
	table := fleetTable(e, []api.Host{
		{Name: "web-1.demo", Address: "192.0.2.7", Port: 22, Labels: map[string]string{"env": "demo", "a": "b"}, Standing: "unenforced"},
		{Name: "web-2.demo", Address: "::1", Port: 2222, Standing: "observing", Heartbeat: &api.Heartbeat{HeardAt: canon.At(now), Findings: 3, Bundle: 1, KRL: 9, KRLMadeAt: canon.At(now.Add(-90 * time.Second)), RefusedAfterMS: 412}},
	}, now)
	if got := strings.Join(table.rows[0], "|"); got != "web-1.demo|192.0.2.7:22|a=b env=demo|not enforcing|never|||" {
		t.Errorf("%s", got)
	}
	if got := table.rows[1]; got[1] != "[::1]:2222" || got[2] != "none" || got[3] != "observing" || got[5] != "3" || got[6] != "1" || got[7] != "9, 1m30s old, refused after 412ms" {
		t.Errorf("%q", got)
	}
}

// Labels that the server shows are those of the ledger, all of them and no more.
func TestSameLabels(t *testing.T) {
	t.Parallel()
	list := []record.Label{{Name: "env", Value: "demo"}, {Name: "site", Value: "a"}}
	for _, tt := range []struct {
		have map[string]string
		same bool
	}{
		{map[string]string{"env": "demo", "site": "a"}, true},
		{map[string]string{"env": "prod", "site": "a"}, false},
		{map[string]string{"env": "demo"}, false},
		{map[string]string{"env": "demo", "site": "a", "x": "y"}, false},
		{nil, false},
	} {
		if sameLabels(tt.have, list) != tt.same {
			t.Errorf("%v: want %t", tt.have, tt.same)
		}
	}
}

// TestPromiseP08_BundleOfOtherKeys: a host admin's device key signs for no bundle with
// keys that the pin file has not, also beside the pinned ones.
func TestPromiseP08_BundleOfOtherKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	w := hosttest.New(t, now, "ops", "web-1.demo")
	good := w.Bundle()
	ca, err := good.UserCAs[0].Public()
	if err != nil {
		t.Fatal(err)
	}
	pin := Pin{Origin: hosttest.Origin, LogKey: good.LogKeys[0], CA: ca}
	if err := holdToPin(pin, good, good.Lineage, now); err != nil {
		t.Errorf("the pinned keys alone: %v", err)
	}
	mallory := hosttest.Key(t, hosttest.Signer(t, "mallory"))
	for name, bend := range map[string]func(b *trust.Bundle){
		"another log key":      func(b *trust.Bundle) { b.LogKeys = []string{"other+00000000+AAAA"} },
		"a log key more":       func(b *trust.Bundle) { b.LogKeys = append(slices.Clone(b.LogKeys), "other+00000000+AAAA") },
		"another authority":    func(b *trust.Bundle) { b.UserCAs = []trust.Key{mallory} },
		"an authority more":    func(b *trust.Bundle) { b.UserCAs = append(slices.Clone(b.UserCAs), mallory) },
		"no log key":           func(b *trust.Bundle) { b.LogKeys = nil },
		"no authority":         func(b *trust.Bundle) { b.UserCAs = nil },
		"another ledger":       func(b *trust.Bundle) { b.Origin = "other.example" },
		"of another contract":  func(b *trust.Bundle) { b.Lineage = canon.Digest{9} },
		"one that has expired": func(b *trust.Bundle) { b.ExpiresAt = canon.At(now.Add(-time.Second)) },
	} {
		b := good
		bend(&b)
		if err := holdToPin(pin, b, good.Lineage, now); !errors.Is(err, ErrHost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
