package oidc

import (
	"errors"
	"testing"
)

// A provider whose sub differs from client to client would make one account two
// people: the one who asks by the command line and the one who approves by page.
func TestPromiseP03_PairwiseSubjectsAreRefused(t *testing.T) {
	t.Parallel()
	const url = "https://login.example"
	for _, tt := range []struct {
		name     string
		claim    string
		several  bool
		subjects []string
		refused  bool
	}{
		{"pairwise alone, two clients", "", true, []string{"pairwise"}, true},
		{"pairwise alone, sub by name", "sub", true, []string{"pairwise"}, true},
		{"another claim", "oid", true, []string{"pairwise"}, false},
		{"one client", "", false, []string{"pairwise"}, false},
		{"public too", "", true, []string{"pairwise", "public"}, false},
		{"not said", "", true, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &Provider{issuer: Issuer{ID: "acme/lab", URL: url, ClientID: "cli", SubjectClaim: tt.claim, SeveralClients: tt.several}}
			err := p.checkMetadata(metadata{
				Issuer: url, AuthURL: url + "/a", TokenURL: url + "/t", KeysURL: url + "/k", PKCE: []string{"S256"}, Subjects: tt.subjects,
			})
			if errors.Is(err, ErrMetadata) != tt.refused || (err != nil) != tt.refused {
				t.Errorf("%v, refused = %t", err, tt.refused)
			}
		})
	}
}
