package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkE32: hours are hours of a zone whose rules stand in the terms.
func checkE32(l *linter) {
	for _, c := range l.Terms.Calendars {
		if c.Zone == "" {
			l.say("calendars."+c.ID+".zone", "calendar "+c.ID+" does not say by which rules of a time zone its hours are meant")
		}
	}
}

// keepFor is how long a framework wants records to stay readable.
var keepFor = map[string]time.Duration{
	"hipaa": 6 * 365 * day, // 45 CFR 164.316(b)(2)(i): six years
	"pci":   365 * day,     // PCI DSS 10.5.1: twelve months
}

func checkE33(l *linter) {
	for _, f := range l.Terms.Frameworks {
		if least := keepFor[f.ID]; l.Terms.Retention.Period < least {
			l.add("retention.period", fmt.Sprintf("who acted stays readable for %s; %s asks for %s", FormatDuration(l.Terms.Retention.Period), f.ID, FormatDuration(least)),
				"set `retention.period` to "+FormatDuration(least)+" or more, or leave the framework out")
		}
	}
}

// reviewEach is how often at least a framework wants access to be looked at again.
var reviewEach = map[string]time.Duration{
	"pci": 180 * day, // PCI DSS 7.2.4: every six months
}

func checkW38(l *linter) {
	for _, f := range l.Terms.Frameworks {
		most, ok := reviewEach[f.ID]
		if !ok {
			continue
		}
		l.eachRole(func(r *Role) {
			switch every := l.Terms.Review.Recertify[r.ID]; {
			case every == 0:
				l.say("review.recertify", fmt.Sprintf("nobody looks again at who may have role %s; %s asks for it every %s", r.ID, f.ID, FormatDuration(most)))
			case every > most:
				l.say("review.recertify."+r.ID, fmt.Sprintf("who may have role %s is looked at every %s; %s asks for every %s", r.ID, FormatDuration(every), f.ID, FormatDuration(most)))
			}
		})
	}
}

// checkW41: a revocation that hosts hear of when the grant is over revokes nothing.
func checkW41(l *linter) {
	for _, o := range l.Terms.Obligations {
		if o.Duty != DutyRevoke {
			continue
		}
		reach, at := o.Hosts, "obligations."+o.ID+".hosts"
		if reach == 0 {
			reach, at = o.Within, "obligations."+o.ID+".within"
		}
		l.eachRole(func(r *Role) {
			if reach >= r.Grant.Max {
				l.say(at, fmt.Sprintf("hosts refuse a revoked certificate within %s, and the longest grant of role %s is over after %s", FormatDuration(reach), r.ID, FormatDuration(r.Grant.Max)))
			}
		})
	}
}

func checkW43(l *linter) {
	if l.Exceptions == nil {
		l.unknown("", "which other ways into the hosts are open is not known here", "lint again where the hosts' settings are at hand")
		return
	}
	for _, e := range l.Exceptions {
		switch {
		case e.Until.IsZero():
			l.say("", fmt.Sprintf("%s on %s lets people in without a certificate, and never ends", e.Name, e.Host))
		case !l.Now.IsZero() && !e.Until.After(l.Now):
			l.say("", fmt.Sprintf("%s on %s lets people in without a certificate, and should have ended on %s", e.Name, e.Host, e.Until.UTC().Format(timeForm)))
		}
	}
}

func checkW44(l *linter) {
	if len(l.Terms.Obligations) == 0 {
		return
	}
	if l.Watched == nil {
		l.unknown("obligations", "which duties are watched is not known here", "lint again where the server is at hand")
		return
	}
	for _, o := range l.Terms.Obligations {
		if !slices.Contains(l.Watched, o.Duty) {
			l.say("obligations."+o.ID+".duty", "nothing sends the signals by which a program could tell whether the duty "+string(o.Duty)+" is done")
		}
	}
}

// checkW48: who owns the CA key can sign under each of its contracts.
func checkW48(l *linter) {
	if l.Beside == nil {
		l.unknown("", "which other contracts the same CA key signs for is not known here", "lint again where the server is at hand")
		return
	}
	for _, other := range l.Beside {
		var foreign []string
		for _, p := range other.Parties {
			if !slices.ContainsFunc(l.Terms.Parties, func(own Party) bool { return own.ID == p.ID && own.Name == p.Name }) {
				foreign = append(foreign, p.Name)
			}
		}
		if other.ID != l.Terms.ID && len(foreign) > 0 {
			l.say("parties", fmt.Sprintf("the same CA key signs for contract %s, to which %s is a party and not to this one", other.ID, list(foreign, "and")))
		}
	}
}

func checkE53(l *linter) {
	for _, gap := range Unenforced(l.Terms) {
		at, what, _ := strings.Cut(gap, ": ")
		l.say(at, "this release does not enforce "+at+": "+what)
	}
}
