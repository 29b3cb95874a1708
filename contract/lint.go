package contract

import (
	"cmp"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Severity says what a finding keeps from happening.
type Severity string

// Severities, gravest first.
const (
	SeverityError   Severity = "error"   // nobody should sign
	SeverityWarning Severity = "warning" // whoever signs says that they know
	SeverityInfo    Severity = "info"    // to be read
)

// Finding is one thing that a lint has to say about a contract version.
type Finding struct {
	Code     string // such as "E01"; docs/lints.md lists them
	Name     string // such as "unsatisfiable-quorum"
	Severity Severity
	Path     string // of the terms, such as roles.web.paths[0]; empty: the whole
	Line     int    // of terms.yaml, or of contract.md for a finding about the prose; from 1, 0 if not known
	Message  string // what is wrong, one sentence
	Mend     string // the smallest change that helps, one sentence
	// Unknown says that the lint could not be checked, as what it needs is not
	// known. Its severity is SeverityInfo then, and that is not a pass.
	Unknown bool
}

// LintInput is what the lints look at. All but the terms may be left out; what a
// lint can't see, it says.
type LintInput struct {
	Terms     *Terms // nil: TermsText is read; what it is refused for is the finding then
	TermsText []byte // terms.yaml, for lines; nil: findings have none
	Prose     []byte // contract.md; nil: what it says is not checked, and that is said

	// Parent is the version that this one amends, nil for version 1; Compared is
	// what the amendment changes, nil if it was not compared.
	Parent      *Version
	Compared    *Comparison
	ParentNamed canon.Digest // the parent that the files name; zero for version 1
	SignedBy    []Signed     // whose signatures lie beside the version, whether they hold or not
	InForce     bool         // signed and in force already: it comes into force no more

	People     *Directory   // nil: nobody is known
	Usage      *Usage       // nil: not known
	Hosts      []HostLabels // the hosts of the contract; nil: not known
	Exceptions []Exception  // what lets people around certificates; nil: not known
	Watched    []Duty       // duties whose signals something sends; nil: not known
	Beside     []*Terms     // other contracts whose certificates the same CA key signs; nil: not known
	Now        time.Time    // zero: not known
}

// Directory is what is known of people.
type Directory struct {
	People []DirectoryPerson
	// Groups are the groups that the identity providers have; nil: they do not say.
	Groups []DirectoryGroup
	// Partial says that there are others, as when only those are known who have
	// logged in. Then nothing is missing for good.
	Partial bool
}

// DirectoryPerson is somebody, or something, that can log in.
type DirectoryPerson struct {
	ID       string    // unique in the directory, for findings
	Accounts []Subject // accounts that the server holds as one person's
	Manager  string    // their manager, an ID or any other name; NoManager; empty: not known
	Same     string    // ID of an entry that is the same human, though the server does not hold it so; else empty
	Owner    string    // ID of the human who runs this service identity; empty for people
	Party    string    // id of the party they work for; empty: not known
	Signs    []Signatures
	Left     bool // they have left: no longer anybody
}

// NoManager is the manager of who has none.
const NoManager = "-"

// Signatures says under which name of a party's signatories somebody signs.
type Signatures struct{ Party, Name string }

// DirectoryGroup is a group as an identity provider has it.
type DirectoryGroup struct {
	Issuer    string // URL of the issuer
	Claim     string // the value of its groups claim
	OwnerLeft bool   // nobody answers for who is in it
}

// Usage is what happened under the contract until now.
type Usage struct {
	Requests     map[string]int // by role, in the last 180 days
	Decisions    map[string]int // by ID of the person, in the last 90 days
	Acknowledged map[string]int // by ID of the person: how often they acknowledged in the last 90 days
}

// Exception is a way into a host that is no certificate of the contract, such as
// a key that the host pins.
type Exception struct {
	Host  sshcert.Host
	Name  string
	Until time.Time // zero: for good
}

// Lint looks at a contract version as a careful reader would who knows what has
// gone wrong with such contracts before, and says what it found, gravest first.
// docs/lints.md lists what it looks for.
//
// Terms that ParseTerms refuses have one finding: why.
func Lint(in LintInput) []Finding {
	l := &linter{LintInput: in, lines: lineIndex(in.TermsText), seen: make(map[string][]outlook), byRole: make(map[string]*roleGuards)}
	if l.Terms == nil {
		terms, err := ParseTerms(in.TermsText)
		if err != nil {
			return []Finding{l.refusal(err)}
		}
		l.Terms = terms
	}
	l.crowd = newCrowd(l.Terms, l.People)
	for i := range lints {
		if lints[i].check != nil {
			l.current = &lints[i]
			lints[i].check(l)
		}
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.Code, b.Code))
	})
	return l.found
}

// Blocking tells whether a finding keeps the version from being signed.
func Blocking(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == SeverityError })
}

func (s Severity) rank() int {
	return slices.Index([]Severity{SeverityError, SeverityWarning, SeverityInfo}, s)
}

// linter is one run of the lints.
type linter struct {
	LintInput
	lines   lines
	crowd   *crowd
	seen    map[string][]outlook   // by role, path and best
	byRole  map[string]*roleGuards // as they are asked for
	current *lint
	found   []Finding
}

// say adds a finding of the current lint, with the mend of its row in the table.
func (l *linter) say(path, message string) { l.add(path, message, l.current.mend) }

// add adds a finding of the current lint.
func (l *linter) add(path, message, mend string) {
	l.found = append(l.found, Finding{
		Code: l.current.code, Name: l.current.name, Severity: l.current.severity(),
		Path: path, Line: l.lines.at(path), Message: message, Mend: mend,
	})
}

// unknown says that the current lint can't be checked.
func (l *linter) unknown(path, why, mend string) {
	l.found = append(l.found, Finding{
		Code: l.current.code, Name: l.current.name, Severity: SeverityInfo, Unknown: true,
		Path: path, Line: l.lines.at(path), Message: "unknown: " + why, Mend: mend,
	})
}
