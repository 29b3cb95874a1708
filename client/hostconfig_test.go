package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestPromiseP12_HostFilesAreOfTheProvenContract: which logins a host is to accept is
// read from the terms that the pinned ledger holds, whatever the server says.
func TestPromiseP12_HostFilesAreOfTheProvenContract(t *testing.T) {
	t.Parallel()
	world := recordtest.New(t, t.Name())
	version := world.Version
	propose := world.Propose(world.NewMap(), version)
	for _, tt := range []struct {
		name string
		lie  func(*fake)
		want string
	}{
		{"the truth", func(*fake) {}, ""},
		{"another contract's lineage", func(f *fake) { f.contract.Lineage, f.hosts[0].Lineage = canon.Sum("x", nil), canon.Sum("x", nil) }, "does not propose contract version"},
		{"another version", func(f *fake) { f.contract.Digest = world.Other.Digest }, "does not propose contract version"},
		{"other terms", func(f *fake) {
			f.lieEntry = func(e *api.EntryProof) { e.Facts = strings.Replace(e.Facts, "deploy", "root", 1) }
		}, "they are not what the leaf commits to"},
		{"no terms", func(f *fake) { f.lieEntry = func(e *api.EntryProof) { e.Facts, e.FactsSalt = "", "" } }, "they are not shown to you"},
		{"no proof", func(f *fake) { f.lieEntry = func(e *api.EntryProof) { e.Proof = "" } }, "inclusion"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			f.contract.Digest, f.contract.Lineage = version.Digest, version.Lineage()
			f.append(f.log, propose, nil)
			tt.lie(f)
			got, err := w.account(t).provenContract(t.Context(), f.contract.Lineage)
			if tt.want == "" {
				if err != nil || got.Digest != version.Digest || len(got.Terms.LoginsOn(map[string]string{"env": "demo"})) == 0 {
					t.Errorf("%v", err)
				}
				return
			}
			if !errors.Is(err, ErrHost) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}
