package server

import (
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// maxCommands bounds how many commands a page proposes.
const maxCommands = 3

// over is what the pages call a granted request under which no certificate can be
// had any more.
const over = "over"

// standing is how a request stands, in one word.
func standing(state string, grant bool, active bool) string {
	if grant && !active && state != string(approval.Revoked) {
		return over
	}
	return state
}

// settle finds the words for how the request stands, and for what to do next.
func (v *requestView) settle() {
	switch v.Standing() {
	case string(approval.Pending):
		switch {
		case v.Form != nil:
			v.Heading = "Your decision is asked for"
		case v.Own:
			v.Heading = "Your request waits"
			v.Next = "Tell one of them: this page's address is all they need. A terminal that waits goes on by itself once it is decided."
		default:
			v.Heading = "This request waits"
		}
	case string(approval.Granted):
		v.Heading = "Granted"
		v.next("The terminal that waits goes on by itself, and the grant ends by itself. There is nothing more to do here.",
			"A terminal that waits goes on by itself. Or go in now:", v.commands(""))
	case over:
		v.Heading = "Granted; it is over"
		v.next("No certificate is made under it any more.", "No certificate is made under it any more. If you still need it, ask again:", v.again())
	case string(approval.Denied):
		v.Heading = "Denied"
		v.next("It stays so: a settled request never changes. The terminal that waits is told, with the words.",
			"It stays so: a settled request never changes. If the words say what would pass, ask for that:", v.again())
	case string(approval.Expired):
		v.Heading = "Expired unanswered"
		v.next("Nobody decided in time; it can be asked for again.",
			"Nobody decided in time. Ask again, and tell somebody of "+anyOf(v.unanswered())+":", v.again())
	case string(approval.Cancelled):
		v.Heading = "Cancelled"
		v.next("Whoever asked took it back before it was decided. There is nothing to do.",
			"You took it back before it was decided. If you need it after all, ask again:", v.again())
	case string(approval.Revoked):
		v.Heading = "Revoked"
		v.next("It was taken away, and stays so: no certificate is made under it any more, and hosts refuse those that were.",
			"It was taken away, and stays so: hosts refuse the certificates that were made under it. If you still need it, ask again:", v.again())
	case string(approval.Ended):
		v.Heading = "Ended with a change of the contract"
		v.next("The contract that it was asked for under was amended or has ended, and does not allow it any more: no certificate is made under it.",
			"The contract that it was asked for under was amended or has ended, and does not allow it any more. If you still need it, ask again under the contract in force:", v.again())
	default: // a state of a later version
		v.Heading = "It is " + v.R.State
	}
}

// next sets what others, and what the requester can do.
func (v *requestView) next(others, own string, commands []string) {
	v.Next = others
	if v.Own {
		v.Next, v.Commands = own, commands
	}
}

// unanswered are the groups of the stage that was silent.
func (v requestView) unanswered() []string {
	for _, s := range v.Stages {
		if s.State == stageOver {
			return s.From
		}
	}
	return []string{"those who decide"}
}

// Standing is how the request stands, in one word.
func (v requestView) Standing() string {
	return standing(v.R.State, v.R.Grant != nil, v.R.Grant != nil && v.R.Grant.Active)
}

// Granted is how many seconds were granted.
func (v requestView) Granted() int64 {
	return int64(v.R.Grant.End.Time().Sub(v.R.Grant.Start.Time()) / time.Second)
}

// Last is the decision that settled the request, nil if it waits or nobody
// decided.
func (v requestView) Last() *api.Decision {
	n := len(v.R.Decisions)
	if n == 0 || v.R.State == string(approval.Revoked) || v.R.Grant == nil && v.R.State != string(approval.Denied) {
		return nil
	}
	return &v.R.Decisions[n-1]
}

// again are commands that ask for the same once more.
func (v requestView) again() []string {
	return v.commands(" --for " + contract.FormatDuration(time.Duration(v.R.Seconds)*time.Second) + ` --because "…"`)
}

func (v requestView) commands(flags string) []string {
	principals, err := sshcert.Principals(v.R.Logins, v.R.Hosts)
	if err != nil {
		return nil // there is none to go in by
	}
	var out []string
	for _, p := range principals[:min(len(principals), maxCommands)] {
		out = append(out, "sally ssh "+p+flags)
	}
	return out
}
