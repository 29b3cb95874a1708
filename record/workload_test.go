package record_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// TestPromiseP08_AnInvitationIsForOneWorkload: a host admin signs who joins, and the
// leaf by which the host joins says the same.
func TestPromiseP08_AnInvitationIsForOneWorkload(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	key := w.Key()
	ci := record.Workload{Issuer: "https://ci.example", Subject: record.WorkloadSubject("https://ci.example", "repo:acme/web")}
	good := w.Invite(m, w.Bob, w.Version, "db-1.demo", "demo", nil)
	good.Secret, good.Workload = canon.Digest{}, ci
	again(w, m, w.Bob)(&good)
	for name, tt := range map[string]struct {
		bend func(*record.HostInvite)
		want error
	}{
		"another subject than was signed": {func(f *record.HostInvite) { f.Workload.Subject = record.WorkloadSubject(ci.Issuer, "repo:eve/web") }, record.ErrDocument},
		"another issuer than was signed":  {func(f *record.HostInvite) { f.Workload.Issuer = "https://eve.example" }, record.ErrDocument},
		"a secret as well":                {func(f *record.HostInvite) { f.Secret = canon.Digest{1} }, record.ErrEvent},
		"neither":                         {func(f *record.HostInvite) { f.Workload = record.Workload{} }, record.ErrEvent},
		"no subject":                      {func(f *record.HostInvite) { f.Workload.Subject = canon.Digest{} }, record.ErrEvent},
		"an issuer in the clear":          {func(f *record.HostInvite) { f.Workload.Issuer = "http://ci.example" }, record.ErrEvent},
		"an issuer of endless length":     {func(f *record.HostInvite) { f.Workload.Issuer = "https://" + strings.Repeat("a", 300) }, record.ErrEvent},
	} {
		if err := m.Check(bent(plain(good), tt.bend)); !errors.Is(err, tt.want) {
			t.Errorf("invited with %s: %v, want %v", name, err, tt.want)
		}
	}
	leaf, err := m.Append(plain(good))
	if err != nil {
		t.Fatal(err)
	}
	join := w.Accept(m, good, leaf, key)
	for name, shown := range map[string]record.Workload{
		"nobody's":          {},
		"another subject's": {Issuer: ci.Issuer, Subject: record.WorkloadSubject(ci.Issuer, "repo:eve/web")},
		"another issuer's":  {Issuer: "https://eve.example", Subject: ci.Subject},
	} {
		f := join
		f.Workload = shown
		if err := m.Check(plain(f)); !errors.Is(err, record.ErrInvitation) {
			t.Errorf("joined by %s token: %v", name, err)
		}
	}
	if err := m.Check(plain(join)); err != nil {
		t.Error(err)
	}
	added := w.Join(m, "db-2.demo", "demo")
	added.Workload = ci
	if err := m.Check(plain(added)); !errors.Is(err, record.ErrEvent) {
		t.Errorf("added by the operator in a workload's name: %v", err)
	}
	// Issuer and subject don't run into each other.
	if record.WorkloadSubject("https://a.example", "bc") == record.WorkloadSubject("https://a.exampleb", "c") {
		t.Error("two workloads have one digest")
	}
}
