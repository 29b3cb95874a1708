package contract

import (
	"encoding/base64"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
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

		Calendars   []jsonCalendar   `json:"calendars,omitempty"`
		Obligations []jsonObligation `json:"obligations,omitempty"`
		Review      jsonReview       `json:"review,omitzero"`
		Monitoring  jsonMonitoring   `json:"monitoring,omitzero"`
		Frameworks  []jsonFramework  `json:"frameworks,omitempty"`
		Law         jsonLaw          `json:"law,omitzero"`
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
		ID       string     `json:"id"`
		Name     string     `json:"name"`
		Capacity string     `json:"capacity,omitempty"`
		Notice   string     `json:"notice,omitempty"`
		Roots    *jsonRoots `json:"roots,omitempty"`
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
		OnlyIf    []Class   `json:"only_if,omitempty"`
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
		BreakGlass   int64      `json:"break_glass_seconds,omitempty"`
		ApprovalTTL  int64      `json:"approval_ttl_seconds,omitempty"`
		Quorum       int        `json:"quorum,omitempty"`
		ClaimsMaxAge jsonMaxAge `json:"claims_max_age"`
	}
	jsonMaxAge struct {
		Decide int64 `json:"decide_seconds"`
		Issue  int64 `json:"issue_seconds"`
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
			Grant:       seconds(t.Ceilings.Grant),
			CertTTL:     seconds(t.Ceilings.CertTTL),
			BreakGlass:  seconds(t.Ceilings.BreakGlass),
			ApprovalTTL: seconds(t.Ceilings.ApprovalTTL),
			Quorum:      unless(defaultQuorum, t.Ceilings.Quorum),
			ClaimsMaxAge: jsonMaxAge{
				Decide: seconds(t.Ceilings.ClaimsMaxAge.Decide),
				Issue:  seconds(t.Ceilings.ClaimsMaxAge.Issue),
			},
		},
	}
	j.Effect = canonicalEffect(&t.Effect)
	if t.Retention.Clause != "" { // the terms set it: a key that came later
		j.Retention = jsonRetention{Clause: t.Retention.Clause, Period: seconds(t.Retention.Period)}
	}
	for _, p := range t.Parties {
		jp := jsonParty{ID: p.ID, Name: p.Name, Capacity: p.Capacity, Notice: p.Notice}
		if p.Roots != nil {
			jp.Roots = &jsonRoots{Need: p.Roots.Need, Keys: jsonKeys(p.Roots.Keys)}
		}
		j.Parties = append(j.Parties, jp)
	}
	for _, s := range t.Signatories {
		j.Signatories = append(j.Signatories, jsonSignatory{
			Party: s.Party, Capacity: s.Capacity, Need: s.Need, Of: jsonKeys(s.Of), Assurance: s.Assurance, OnlyIf: s.OnlyIf,
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
	j.duties(t)
	b, err := canon.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("terms have no canonical form: %w", err)
	}
	return b, nil
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

// unless returns a value, or nothing if it is what the key is without being set.
func unless[T comparable](byDefault, value T) T {
	if value == byDefault {
		var none T
		return none
	}
	return value
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
