package contract

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// refusal is the finding about terms that the loader refuses: the lint that looks
// for the same if there is one, so that people find it by its code.
func (l *linter) refusal(err error) Finding {
	f := Finding{Severity: SeverityError, Message: err.Error()}
	code := "E00"
	if flaw, ok := errors.AsType[*TermsError](err); ok {
		f.Path, f.Line, f.Message = flaw.Path, flaw.Line, flaw.Message
		for _, rule := range loaderRules {
			if rule.path.MatchString(flaw.Path) && rule.when(l, flaw) {
				code = rule.code
				break
			}
		}
	}
	i := slices.IndexFunc(lints, func(r lint) bool { return r.code == code })
	f.Code, f.Name, f.Mend = lints[i].code, lints[i].name, lints[i].mend
	return f
}

// loaderRule says which refusals of the loader belong to a lint.
type loaderRule struct {
	code string
	path *regexp.Regexp
	when func(*linter, *TermsError) bool
}

func always(*linter, *TermsError) bool { return true }

func says(text string) func(*linter, *TermsError) bool {
	return func(_ *linter, e *TermsError) bool { return strings.Contains(e.Message, text) }
}

var (
	anywhere      = regexp.MustCompile(``)
	emptyDuration = regexp.MustCompile(`^(-.*|[+]?0+([.]0*)?[a-z]*)$`)
	yesAfterAll   = regexp.MustCompile(`\b(auto|approve|approved|accept|allow|grant|yes)\b`)
)

// loaderRules are tried in order.
var loaderRules = []loaderRule{
	{"E02", regexp.MustCompile(`\.stages\[\d+\]\.from$`), says("found none")},
	{"E03", regexp.MustCompile(`^roles\.[^.]+\.who$`), says("found none")},
	{"E08", regexp.MustCompile(`\.stages\[\d+\]\.escalate\b`), silenceSaysYes},
	{"E09", anywhere, says("is over ceilings.")},
	{"E11", regexp.MustCompile(`\.break_glass\.review(\.(by|within|else))?$`), says("missing")},
	{"E13", anywhere, says(`no group "`)},
	{"E14", regexp.MustCompile(`^roles\.[^.]+\.paths$`), says("found none")},
	{"E15", regexp.MustCompile(`\.paths\[\d+\]`), says("never be reached")},
	{"E19", regexp.MustCompile(`\.when$`), says("no field")},
	{"E18", regexp.MustCompile(`\.when$`), always},
	{"E20", regexp.MustCompile(`^roles\.[^.]+\.logins\b`), always},
	{"E22", regexp.MustCompile(`\.cert\.source_address\b`), always},
	{"E23", regexp.MustCompile(`\.cert\.force_command$`), always},
	{"E24", regexp.MustCompile(`\.cert\.extensions\[\d+\]$`), func(l *linter, e *TermsError) bool { return l.lines.value(e.Path) == "no-touch-required" }},
	{"E24", regexp.MustCompile(`\.cert\.(verify_required|keys\b.*)$`), says("verif")},
	{"E26", regexp.MustCompile(`^(signatories\[\d+\]|parties\.[^.]+\.roots)\.need$`), always},
	{"E27", anywhere, keyOfTwoParties},
	{"E32", regexp.MustCompile(`^calendars\.[^.]+\.zone$`), always},
	{"E10", anywhere, says("is too short; at least")},
	{"E10", anywhere, func(l *linter, e *TermsError) bool {
		return strings.Contains(e.Message, "is no duration") && emptyDuration.MatchString(l.lines.value(e.Path))
	}},
}

// silenceSaysYes tells whether an escalation that can't be read asks for a yes.
func silenceSaysYes(l *linter, e *TermsError) bool {
	return yesAfterAll.MatchString(l.lines.value(e.Path)) || yesAfterAll.MatchString(e.Path[strings.LastIndexByte(e.Path, '.')+1:])
}

// keyOfTwoParties tells whether the loader found one key under two parties; under
// two names of one party it is another flaw.
func keyOfTwoParties(l *linter, e *TermsError) bool {
	rest, ok := strings.CutPrefix(e.Message, "the same key as ")
	first, _, _ := strings.Cut(rest, ";")
	return ok && l.party(e.Path) != l.party(first)
}

// party returns whose key stands at a path.
func (l *linter) party(at string) string {
	if rest, ok := strings.CutPrefix(at, "parties."); ok {
		id, _, _ := strings.Cut(rest, ".")
		return id
	}
	line, _, _ := strings.Cut(at, "]")
	return l.lines.value(line + "].party")
}

var proseLine = regexp.MustCompile(`contract\.md:(\d+):`)

func checkE29(l *linter) {
	if l.Prose == nil {
		l.unknown("", "the prose is not at hand", "lint again with contract.md")
		return
	}
	err := checkProse(l.Prose, l.Terms)
	if err == nil {
		return
	}
	l.say("", err.Error())
	if m := proseLine.FindStringSubmatch(err.Error()); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			l.found[len(l.found)-1].Line = line
		}
	}
}
