package contract

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/canon"
)

// The canonical form of what is not access: effect, calendars and duties.
type (
	jsonEffect struct {
		NotBefore           canon.Micros    `json:"not_before_at,omitempty"`
		SignWithin          int64           `json:"sign_within_seconds,omitempty"`
		InFlight            InFlight        `json:"in_flight,omitempty"`
		UnilateralNarrowing []string        `json:"unilateral_narrowing,omitempty"`
		Conditions          []jsonCondition `json:"conditions,omitempty"`
	}
	jsonCondition struct {
		ID     string `json:"id"`
		Clause string `json:"clause"`
		MetBy  string `json:"met_by"`
	}
	jsonCalendar struct {
		ID       string   `json:"id"`
		Zone     string   `json:"zone"`
		Days     []string `json:"days"`
		From     int      `json:"from_minutes"`
		To       int      `json:"to_minutes"`
		Holidays []string `json:"holidays,omitempty"`
	}
	jsonObligation struct {
		ID        string      `json:"id"`
		Clause    string      `json:"clause"`
		Duty      Duty        `json:"duty"`
		Within    int64       `json:"within_seconds"`
		Heartbeat int64       `json:"heartbeat_seconds,omitempty"`
		Hosts     int64       `json:"hosts_seconds,omitempty"`
		Party     string      `json:"party,omitempty"`
		Else      Consequence `json:"else"`
	}
	jsonReview struct {
		Contract    int64           `json:"contract_seconds,omitempty"`
		Recertify   []jsonRecertify `json:"recertify,omitempty"`
		Due         int64           `json:"due_seconds,omitempty"`
		Undecided   string          `json:"undecided,omitempty"`
		UnusedFor   int64           `json:"unused_for_seconds,omitempty"`
		ReviewerNot []string        `json:"reviewer_not,omitempty"`
	}
	jsonRecertify struct {
		ID    string `json:"id"`
		Every int64  `json:"every_seconds"`
	}
	jsonMonitoring struct {
		Checks   string     `json:"checks,omitempty"`
		Triage   jsonTriage `json:"triage,omitzero"`
		Outliers string     `json:"outliers,omitempty"`
	}
	jsonTriage struct {
		Critical int64 `json:"critical_seconds,omitempty"`
		High     int64 `json:"high_seconds,omitempty"`
	}
	jsonFramework struct {
		ID       string   `json:"id"`
		Controls []string `json:"controls"`
	}
	jsonLaw struct {
		Governing  string          `json:"governing,omitempty"`
		Precedence string          `json:"precedence,omitempty"`
		Severable  bool            `json:"severable,omitempty"`
		Terminate  jsonTermination `json:"terminate,omitzero"`
	}
	jsonTermination struct {
		Clause string `json:"clause"`
		Notice int64  `json:"notice_seconds"`
		Cause  bool   `json:"for_cause,omitempty"`
	}
)

func canonicalEffect(e *Effect) jsonEffect {
	j := jsonEffect{SignWithin: seconds(e.SignWithin), InFlight: unless(InFlightNarrowed, e.InFlight), UnilateralNarrowing: e.UnilateralNarrowing}
	if !e.NotBefore.IsZero() {
		j.NotBefore = canon.At(e.NotBefore)
	}
	for _, c := range e.Conditions {
		j.Conditions = append(j.Conditions, jsonCondition(c))
	}
	return j
}

// duties adds what the parties owe besides access.
func (j *jsonTerms) duties(t *Terms) {
	for _, c := range t.Calendars {
		j.Calendars = append(j.Calendars, jsonCalendar(c))
	}
	for _, o := range t.Obligations {
		j.Obligations = append(j.Obligations, jsonObligation{
			ID: o.ID, Clause: o.Clause, Duty: o.Duty, Within: seconds(o.Within),
			Heartbeat: seconds(o.Heartbeat), Hosts: seconds(o.Hosts), Party: o.Party, Else: o.Else,
		})
	}
	j.Review = jsonReview{
		Contract: seconds(t.Review.Contract), Due: seconds(t.Review.Due), Undecided: t.Review.Undecided,
		UnusedFor: seconds(t.Review.UnusedFor), ReviewerNot: t.Review.ReviewerNot,
	}
	for _, role := range slices.Sorted(maps.Keys(t.Review.Recertify)) {
		j.Review.Recertify = append(j.Review.Recertify, jsonRecertify{ID: role, Every: seconds(t.Review.Recertify[role])})
	}
	j.Monitoring = jsonMonitoring{
		Checks:   t.Monitoring.Checks,
		Triage:   jsonTriage{Critical: seconds(t.Monitoring.TriageCritical), High: seconds(t.Monitoring.TriageHigh)},
		Outliers: t.Monitoring.Outliers,
	}
	for _, f := range t.Frameworks {
		j.Frameworks = append(j.Frameworks, jsonFramework(f))
	}
	j.Law = jsonLaw{
		Governing: t.Law.Governing, Precedence: t.Law.Precedence, Severable: t.Law.Severable,
		Terminate: jsonTermination{Clause: t.Law.Terminate.Clause, Notice: seconds(t.Law.Terminate.Notice), Cause: t.Law.Terminate.Cause},
	}
}
