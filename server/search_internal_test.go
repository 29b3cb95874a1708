package server

import (
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// TestPromiseP13_AWindowTellsNothing: where a page ends, for somebody who may not see
// everything, follows from where it begins alone.
func TestPromiseP13_AWindowTellsNothing(t *testing.T) {
	t.Parallel()
	const me = canon.ID("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	host := record.Mention{Name: record.MentionHost, Value: "web-1.demo"}
	kind := record.Mention{Name: record.MentionKind, Value: "person.login"}
	whole := cursor{from: 10, before: 1_000_000}
	for _, tt := range []struct {
		name     string
		mentions []record.Mention
		all      bool
		oldest   bool
		want     cursor
	}{
		{"a host, for somebody", []record.Mention{host}, false, false, cursor{from: 1_000_000 - window, before: 1_000_000}},
		{"the same, oldest first", []record.Mention{host}, false, true, cursor{from: 10, before: 10 + window}},
		{"somebody else", []record.Mention{{Name: record.MentionPerson, Value: "b"}}, false, false, cursor{from: 1_000_000 - window, before: 1_000_000}},
		{"a host, for an auditor of everything", []record.Mention{host}, true, false, whole},
		{"oneself", []record.Mention{host, {Name: record.MentionPerson, Value: string(me)}}, false, false, whole},
		{"a kind, which everybody sees", []record.Mention{kind}, false, false, whole},
		{"nothing", nil, false, false, whole},
	} {
		p := searching{q: searchQuery{mentions: tt.mentions, oldest: tt.oldest}, mentions: tt.mentions, who: person{id: me, all: tt.all}}
		if got := p.bounded(whole); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
