package contract

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

// below tells whether a path of the terms is at or under another.
func below(at, above string) bool {
	rest, ok := strings.CutPrefix(at, above)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func checkE09(l *linter) {
	over := func(at string, d time.Duration, ceiling string, most time.Duration) {
		if d > most {
			l.say(at, fmt.Sprintf("%s is over ceilings.%s, %s", FormatDuration(d), ceiling, FormatDuration(most)))
		}
	}
	c := l.Terms.Ceilings
	l.eachRole(func(r *Role) {
		over(rolePath(r)+".grant.max", r.Grant.Max, "grant", c.Grant)
		over(rolePath(r)+".cert.ttl", r.Cert.TTL, "cert_ttl", c.CertTTL)
		if r.BreakGlass != nil {
			if c.BreakGlass != 0 {
				over(rolePath(r)+".break_glass.max", r.BreakGlass.Max, "break_glass", c.BreakGlass)
			} else {
				over(rolePath(r)+".break_glass.max", r.BreakGlass.Max, "grant", c.Grant)
			}
		}
	})
}

func checkE10(l *linter) {
	positive := func(at string, d time.Duration) {
		if d <= 0 {
			l.say(at, "the duration is zero or less")
		}
	}
	positive("ceilings.grant", l.Terms.Ceilings.Grant)
	positive("ceilings.cert_ttl", l.Terms.Ceilings.CertTTL)
	l.eachRole(func(r *Role) {
		positive(rolePath(r)+".grant.max", r.Grant.Max)
		positive(rolePath(r)+".cert.ttl", r.Cert.TTL)
		if g := r.BreakGlass; g != nil {
			positive(rolePath(r)+".break_glass.max", g.Max)
		}
	})
	l.eachStage(func(at string, _ *Role, s *Stage) {
		positive(at+".timeout", s.Timeout)
		if s.Escalate != nil {
			positive(at+".escalate.timeout", s.Escalate.Timeout)
		}
	})
	for _, o := range l.Terms.Obligations {
		positive("obligations."+o.ID+".within", o.Within)
	}
}

func checkE11(l *linter) {
	l.eachRole(func(r *Role) {
		if g := r.BreakGlass; g != nil && (len(g.Review.By) == 0 || g.Review.Within <= 0 || g.Review.Else == "") {
			l.say(rolePath(r)+".break_glass.review", "the break-glass of role "+r.ID+" lacks who looks at it afterwards, by when, or what follows else")
		}
	})
}

func checkE12(l *linter) {
	open := false
	static := func(g *BreakGlass) bool { return subset(g.Review.By, g.Who) && len(g.Review.By) > 0 }
	const what = "everybody who looks at the break-glass of role %s afterwards can use it"
	l.eachRole(func(r *Role) {
		switch g := r.BreakGlass; {
		case g == nil:
		case static(g):
			l.say(rolePath(r)+".break_glass.review.by", fmt.Sprintf(what, r.ID))
		default:
			open = true
		}
	})
	if !open || !l.people() {
		return
	}
	l.eachRole(func(r *Role) {
		g := r.BreakGlass
		if g == nil || static(g) {
			return
		}
		inside := func(best bool) bool {
			return l.crowd.of(g.Review.By, best).within(l.crowd.of(g.Who, !best))
		}
		if sure := inside(true); sure || inside(false) {
			l.judge(sure && !l.crowd.partial, rolePath(r)+".break_glass.review.by", fmt.Sprintf(what, r.ID))
		}
	})
}

func checkE20(l *linter) {
	l.eachRole(func(r *Role) {
		if len(r.Logins) == 0 {
			l.say(rolePath(r)+".logins", "role "+r.ID+" names no login; OpenSSH may take a certificate without one for every login")
		}
		for i, login := range r.Logins {
			if _, err := sshcert.ParseLogin(string(login)); err != nil {
				l.say(strictyaml.Item(rolePath(r)+".logins", i), err.Error())
			}
		}
	})
}

// demand returns how many different people say yes on a path at least; 0 if it
// grants without asking. Nobody decides twice on a request.
func (p *Path) demand() int {
	n := 0
	for _, s := range p.Stages {
		n += s.Quorum
	}
	return n
}

func checkE21(l *linter) {
	l.eachPath(func(r *Role, i int, p *Path) {
		if slices.Contains(r.Logins, "root") && p.demand() < 2 && (p.Auto || len(p.Stages) > 0) {
			l.say(pathPath(r, i), fmt.Sprintf("role %s has the login root, and path %s grants it after %s", r.ID, p.ID, yeses(p.demand())))
		}
	})
}

func yeses(n int) string {
	switch n {
	case 0:
		return "no approval at all"
	case 1:
		return "one approval"
	default:
		return fmt.Sprintf("%d approvals", n)
	}
}

func checkE22(l *linter) {
	l.eachRole(func(r *Role) {
		for i, p := range r.Cert.SourceAddress {
			at := strictyaml.Item(rolePath(r)+".cert.source_address", i)
			switch {
			case !p.IsValid():
				l.say(at, "no address range")
			case p.Bits() == 0:
				l.say(at, p.String()+" is every address: it limits nothing")
			case p.Masked() != p:
				l.say(at, fmt.Sprintf("%s has bits set beyond its %d; OpenSSH refuses it", p, p.Bits()))
			case p.Addr().Is4In6() || p.Addr().Zone() != "" || p == netip.Prefix{}:
				l.say(at, p.String()+" is written in a form that OpenSSH does not read")
			}
		}
	})
}

// shells give whoever reaches them every other command.
var shells = []string{
	"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "rbash", "busybox",
	"env", "sudo", "su", "doas", "python", "python3", "perl", "ruby", "node", "screen", "tmux",
}

// defeating are the extensions by which one gets past a forced command.
var defeating = []string{"permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-user-rc"}

func checkE23(l *linter) {
	l.eachRole(func(r *Role) {
		command := r.Cert.ForceCommand
		if command == "" {
			return
		}
		at := rolePath(r) + ".cert.force_command"
		program, _, _ := strings.Cut(command, " ")
		switch {
		case !strings.HasPrefix(program, "/"):
			l.say(at, program+" is no absolute path: the login's PATH decides what runs")
		case slices.Contains(shells, program[strings.LastIndexByte(program, '/')+1:]):
			l.say(at, program+" runs every other command, so it forces nothing")
		}
		for _, e := range r.Cert.Extensions {
			if slices.Contains(defeating, e) {
				l.add(rolePath(r)+".cert.extensions", "the command is forced, and "+e+" leads around it", "take "+e+" out of the extensions")
			}
		}
	})
}

func checkE24(l *linter) {
	l.eachRole(func(r *Role) {
		if slices.Contains(r.Cert.Extensions, "no-touch-required") {
			l.say(rolePath(r)+".cert.extensions", "no-touch-required lets a key sign that nobody touches")
		}
		if !r.Cert.VerifyRequired {
			return
		}
		soft := slices.DeleteFunc(slices.Clone(r.Cert.Keys), func(k string) bool { return strings.HasPrefix(k, "sk-") })
		switch {
		case len(r.Cert.Keys) == 0:
			l.say(rolePath(r)+".cert.verify_required", "only a FIDO key can verify its user, and the role takes every kind of key")
		case len(soft) > 0:
			l.say(rolePath(r)+".cert.keys", fmt.Sprintf("only a FIDO key can verify its user; %s can't", list(soft, "and")))
		}
	})
}

func checkW39(l *linter) {
	l.eachStage(func(at string, _ *Role, s *Stage) {
		if s.SLA == 0 {
			l.say(at, "stage "+s.ID+" does not promise how soon somebody answers")
		}
	})
}

func checkW40(l *linter) {
	l.eachStage(func(at string, r *Role, s *Stage) {
		if s.Timeout > r.Grant.Max {
			l.say(at+".timeout", fmt.Sprintf("stage %s waits %s, longer than the longest grant, %s: what is granted then may be wanted no more", s.ID, FormatDuration(s.Timeout), FormatDuration(r.Grant.Max)))
		}
	})
	if ttl := l.Terms.Ceilings.ApprovalTTL; ttl != 0 {
		l.eachRole(func(r *Role) {
			if ttl > r.Grant.Max {
				l.say("ceilings.approval_ttl", fmt.Sprintf("an approval is good for %s, longer than the longest grant of role %s, %s", FormatDuration(ttl), r.ID, FormatDuration(r.Grant.Max)))
			}
		})
	}
}

func checkW46(l *linter) {
	l.eachRole(func(r *Role) {
		if slices.Contains(r.Cert.Extensions, "permit-agent-forwarding") {
			l.say(rolePath(r)+".cert.extensions", "with agent forwarding, root on a host of role "+r.ID+" can use the keys of whoever is logged in there")
		}
	})
}

func checkW47(l *linter) {
	if l.Hosts == nil {
		l.unknown("", "which hosts there are is not known here", "lint again where the inventory is at hand")
		return
	}
	l.eachRole(func(r *Role) {
		n := 0
		for _, h := range l.Hosts {
			if r.Matches(h.Labels) {
				n++
			}
		}
		switch {
		case n == 0:
			l.say(rolePath(r)+".hosts", "role "+r.ID+" matches no host")
		case n == len(l.Hosts) && n > 1:
			l.say(rolePath(r)+".hosts", fmt.Sprintf("role %s matches all %d hosts", r.ID, n))
		}
	})
}
