package contract

import (
	"encoding/base64"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// termsDomain is the domain of TermsDigest.
const termsDomain = "sallyport.terms/v1"

// TermsDigest is the digest of what the terms mean, however their YAML is
// written: canon.Sum("sallyport.terms/v1", Canonical).
func TermsDigest(t *Terms) (canon.Digest, error) {
	b, err := t.Canonical()
	if err != nil {
		return canon.Digest{}, err
	}
	return canon.Sum(termsDomain, b), nil
}

// The canonical form of the terms: the keys of terms.yaml, but that a mapping
// whose keys are ids is a list of objects sorted by their "id", durations are
// seconds and times microseconds. Defaults are written out. A key that a later
// release adds is absent unless set, so that today's digests stay.
type (
	jsonTerms struct {
		Terms       string          `json:"terms"`
		Contract    jsonContract    `json:"contract"`
		Parties     []jsonParty     `json:"parties"`
		Signatories []jsonSignatory `json:"signatories"`
		Effect      jsonEffect      `json:"effect,omitzero"`
		Issuers     []jsonIssuer    `json:"issuers"`
		Groups      []jsonGroup     `json:"groups"`
		Cosigners   []jsonCosigner  `json:"cosigners,omitempty"`
		Offices     []jsonOffice    `json:"offices,omitempty"`
		Ceilings    jsonCeilings    `json:"ceilings"`
		Roles       []jsonRole      `json:"roles"`
		Retention   jsonRetention   `json:"retention,omitzero"`
	}
	jsonRetention struct {
		Clause string `json:"clause"`
		Period int64  `json:"period_seconds"`
	}
	jsonContract struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	jsonParty struct {
		ID    string     `json:"id"`
		Name  string     `json:"name"`
		Roots *jsonRoots `json:"roots,omitempty"`
	}
	jsonRoots struct {
		Need int       `json:"need"`
		Keys []jsonKey `json:"keys"`
	}
	jsonKey struct {
		ID  string `json:"id"`
		Key string `json:"key"`
	}
	jsonSignatory struct {
		Party     string    `json:"party"`
		Capacity  string    `json:"capacity"`
		Need      int       `json:"need"`
		Of        []jsonKey `json:"of"`
		Assurance Assurance `json:"assurance"`
	}
	jsonEffect struct {
		NotBefore canon.Micros `json:"not_before_at,omitempty"`
	}
	jsonIssuer struct {
		ID      string      `json:"id"`
		URL     string      `json:"url"`
		Clients jsonClients `json:"clients"`
		Algs    []string    `json:"algs"`
		Subject string      `json:"subject"`
		Groups  string      `json:"groups"`
		Flows   []Flow      `json:"flows"`
	}
	jsonClients struct {
		CLI string `json:"cli,omitempty"`
		Web string `json:"web,omitempty"`
	}
	jsonGroup struct {
		ID     string `json:"id"`
		Issuer string `json:"issuer"`
		Claim  string `json:"claim"`
	}
	jsonCosigner struct {
		ID    string `json:"id"`
		Party string `json:"party"`
		Key   string `json:"key"`
	}
	jsonCeilings struct {
		Grant        int64      `json:"grant_seconds"`
		CertTTL      int64      `json:"cert_ttl_seconds"`
		ClaimsMaxAge jsonMaxAge `json:"claims_max_age"`
	}
	jsonMaxAge struct {
		Decide int64 `json:"decide_seconds"`
		Issue  int64 `json:"issue_seconds"`
	}
	jsonRole struct {
		ID      string          `json:"id"`
		Clause  string          `json:"clause"`
		Who     []string        `json:"who"`
		Hosts   []jsonHostLabel `json:"hosts"`
		Logins  []sshcert.Login `json:"logins"`
		Grant   jsonGrant       `json:"grant"`
		Cert    jsonCert        `json:"cert"`
		Request jsonRequest     `json:"request"`
		Paths   []jsonPath      `json:"paths"`
	}
	jsonHostLabel struct {
		ID     string   `json:"id"`
		Values []string `json:"values"`
	}
	jsonGrant struct {
		Max int64 `json:"max_seconds"`
	}
	jsonCert struct {
		TTL        int64    `json:"ttl_seconds"`
		Extensions []string `json:"extensions,omitempty"`
	}
	jsonRequest struct {
		Reason jsonReason `json:"reason"`
	}
	jsonReason struct {
		MinWords int `json:"min_words"`
	}
	jsonPath struct {
		ID     string      `json:"id"`
		Clause string      `json:"clause"`
		Stages []jsonStage `json:"stages"`
	}
	jsonStage struct {
		ID      string   `json:"id"`
		From    []string `json:"from"`
		Quorum  int      `json:"quorum"`
		Timeout int64    `json:"timeout_seconds"`
	}
)

// Canonical returns the terms as canonical JSON, the form that TermsDigest
// covers. It returns an error for terms that ParseTerms did not make and that
// have no such form.
func (t *Terms) Canonical() ([]byte, error) {
	j := jsonTerms{
		Terms:    Schema,
		Contract: jsonContract{ID: t.ID, Title: t.Title},
		Ceilings: jsonCeilings{
			Grant:   seconds(t.Ceilings.Grant),
			CertTTL: seconds(t.Ceilings.CertTTL),
			ClaimsMaxAge: jsonMaxAge{
				Decide: seconds(t.Ceilings.ClaimsMaxAge.Decide),
				Issue:  seconds(t.Ceilings.ClaimsMaxAge.Issue),
			},
		},
	}
	if !t.Effect.NotBefore.IsZero() {
		j.Effect.NotBefore = canon.At(t.Effect.NotBefore)
	}
	if t.Retention.Clause != "" { // the terms set it: a key that came later
		j.Retention = jsonRetention{Clause: t.Retention.Clause, Period: seconds(t.Retention.Period)}
	}
	for _, p := range t.Parties {
		jp := jsonParty{ID: p.ID, Name: p.Name}
		if p.Roots != nil {
			jp.Roots = &jsonRoots{Need: p.Roots.Need, Keys: jsonKeys(p.Roots.Keys)}
		}
		j.Parties = append(j.Parties, jp)
	}
	for _, s := range t.Signatories {
		j.Signatories = append(j.Signatories, jsonSignatory{
			Party: s.Party, Capacity: s.Capacity, Need: s.Need, Of: jsonKeys(s.Of), Assurance: s.Assurance,
		})
	}
	for _, i := range t.Issuers {
		j.Issuers = append(j.Issuers, jsonIssuer{
			ID: i.ID, URL: i.URL, Clients: jsonClients(i.Clients), Algs: i.Algs,
			Subject: i.Subject, Groups: i.Groups, Flows: i.Flows,
		})
	}
	for _, g := range t.Groups {
		j.Groups = append(j.Groups, jsonGroup(g))
	}
	for _, c := range t.Cosigners {
		j.Cosigners = append(j.Cosigners, jsonCosigner(c))
	}
	j.Offices = canonicalOffices(t.Offices)
	for i := range t.Roles {
		j.Roles = append(j.Roles, canonicalRole(&t.Roles[i]))
	}
	b, err := canon.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("terms have no canonical form: %w", err)
	}
	return b, nil
}

func canonicalRole(r *Role) jsonRole {
	j := jsonRole{
		ID: r.ID, Clause: r.Clause, Who: r.Who, Logins: r.Logins,
		Grant:   jsonGrant{Max: seconds(r.Grant.Max)},
		Cert:    jsonCert{TTL: seconds(r.Cert.TTL), Extensions: r.Cert.Extensions},
		Request: jsonRequest{Reason: jsonReason{MinWords: r.Request.MinWords}},
	}
	for _, h := range r.Hosts {
		j.Hosts = append(j.Hosts, jsonHostLabel{ID: h.Label, Values: h.Values})
	}
	for _, p := range r.Paths {
		jp := jsonPath{ID: p.ID, Clause: p.Clause}
		for _, s := range p.Stages {
			jp.Stages = append(jp.Stages, jsonStage{ID: s.ID, From: s.From, Quorum: s.Quorum, Timeout: seconds(s.Timeout)})
		}
		j.Paths = append(j.Paths, jp)
	}
	return j
}

// jsonKeys writes keys as in a .pub file, without the comment.
func jsonKeys(keys []Key) []jsonKey {
	out := make([]jsonKey, len(keys))
	for i, k := range keys {
		out[i] = jsonKey{ID: k.Name, Key: keyLine(k.PublicKey)}
	}
	return out
}

func keyLine(k ssh.PublicKey) string {
	return k.Type() + " " + base64.StdEncoding.EncodeToString(k.Marshal())
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
