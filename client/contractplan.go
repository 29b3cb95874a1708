package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// planPath is where a server answers what a draft would have changed.
const planPath = "/v1/contracts/plan"

// ContractPlanOptions are the settings of [ContractPlan].
type ContractPlanOptions struct {
	ContractOptions
	Days  int
	Write bool // keep the plan as plan.json in the folder, for those who sign
}

// planResult is what --json prints.
type planResult struct {
	Plan contract.Plan `json:"plan"` // as plan.json has it
}

// ContractPlan asks the server what a draft would have changed of the requests of
// the last days, and prints it. With Write the plan becomes a file of the draft:
// what those who sign it have seen.
func ContractPlan(ctx context.Context, o ContractPlanOptions) error {
	d, err := readContractDir(o.Dir)
	if err != nil {
		return err
	}
	terms, err := contract.ParseTerms(d.files[contract.TermsFile])
	if err != nil {
		return err
	}
	if _, made := d.digest(); made && o.Write {
		return fmt.Errorf("%s has a manifest already, which says what belongs to the version; make the plan before `sally contract propose`, in a draft", o.Dir)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var answer api.Plan
	if err := a.conn.post(ctx, planPath, api.PlanRequest{Terms: string(d.files[contract.TermsFile]), Days: o.Days}, &answer); err != nil {
		return err
	}
	plan, err := readPlan(answer.Plan, terms)
	if err != nil {
		return err
	}
	if o.Write {
		if err := d.write(contract.PlanFile, []byte(answer.Plan)); err != nil {
			return err
		}
	}
	if o.JSON {
		return o.printJSON(planResult{plan})
	}
	return o.printPlan(plan)
}

// readPlan reads a plan and refuses one of other terms than the draft's.
func readPlan(text string, draft *contract.Terms) (contract.Plan, error) {
	p, err := contract.ReadPlan([]byte(text))
	if err != nil {
		return contract.Plan{}, fmt.Errorf("the server's answer: %w", err)
	}
	digest, err := contract.TermsDigest(draft)
	if err != nil {
		return contract.Plan{}, err
	}
	if p.Contract != draft.ID || p.Terms != digest {
		return contract.Plan{}, errors.New("the server's plan is about other terms than those of the draft; ask again")
	}
	return p, nil
}

// printPlan prints a plan for people.
func (e Env) printPlan(p contract.Plan) error {
	day := func(at canon.Micros) string { return at.Time().UTC().Format(time.DateOnly) }
	pairs := [][2]string{
		{"contract", p.Contract},
		{"in force", p.Parent.String()},
		{"requests", fmt.Sprintf("%d, from %s to %s", p.Requests, day(p.FromAt), day(p.ToAt))},
	}
	for _, t := range p.Turns {
		what := fmt.Sprintf("%s as now: %d", t.New, t.Count)
		if t.Old != t.New {
			what = fmt.Sprintf("%s, now %s: %d", t.New, t.Old, t.Count)
		}
		pairs = append(pairs, [2]string{"would be", what})
	}
	for _, row := range []struct {
		name, what string
		count      int
	}{
		{"shorter", "requests let through for less time", p.Shorter},
		{"lost", "requests let through without some of their logins or hosts", p.Lost},
		{"unreached", "requests that were granted, by people who would not suffice", p.Unreached},
		{"unknown", "requests of which it can't be said", p.Unknown},
		{"illegal", "live certificates that would not have been made", len(p.Illegal)},
		{"acknowledge", "people whose rights or duties change", p.AcknowledgeCount},
		{"unknown", "people whose groups are not known", p.UnknownPeople},
	} {
		if row.count > 0 {
			pairs = append(pairs, [2]string{row.name, fmt.Sprintf("%d %s", row.count, row.what)})
		}
	}
	for _, list := range []struct {
		name   string
		counts []contract.Count
	}{{"by role", p.Roles}, {"by host", p.Hosts}, {"by person", p.People}} {
		if len(list.counts) > 0 {
			pairs = append(pairs, [2]string{list.name, countWords(list.counts)})
		}
	}
	for _, power := range p.Approvers {
		word := "loses"
		if power.Gained {
			word = "gains"
		}
		pairs = append(pairs, [2]string{word, fmt.Sprintf("%s: %s", power.Person, power.Where)})
	}
	for _, c := range p.Illegal {
		pairs = append(pairs, [2]string{"illegal", fmt.Sprintf("certificate %d of request %s: %s", c.Serial, c.Request, c.Why)})
	}
	if err := e.printPairs(pairs); err != nil || len(p.Changed) == 0 {
		return err
	}
	t := table{heading: []string{"request", "person", "role", "now", "then", "because"}}
	for _, c := range p.Changed {
		t.rows = append(t.rows, []string{string(c.Request), string(c.Person), c.Role, outcomeWords(c.Old, c.OldFor), outcomeWords(c.New, c.NewFor), planReason(c)})
	}
	return e.printTable(t)
}

// mostCounted is how many of a list are printed.
const mostCounted = 10

func countWords(counts []contract.Count) string {
	var words []string
	for _, c := range counts[:min(len(counts), mostCounted)] {
		words = append(words, c.ID+" "+strconv.Itoa(c.Count))
	}
	if more := len(counts) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

func outcomeWords(v contract.Verdict, seconds int64) string {
	if seconds == 0 {
		return string(v)
	}
	return string(v) + ", " + contract.FormatDuration(time.Duration(seconds)*time.Second)
}

// planReason says why a request would be decided otherwise.
func planReason(c contract.Replayed) string {
	switch {
	case c.Why != "":
		return c.Why
	case c.Unreached:
		return "who approved would not suffice"
	case len(c.Lost) > 0:
		return "without " + strings.Join(c.Lost, ", ")
	}
	return "path " + c.Path
}
