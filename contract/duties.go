package contract

import "time"

// Effect says when a version comes into force, and what becomes of what is under
// way then.
type Effect struct {
	NotBefore  time.Time     // no effect earlier; zero if the terms set no such day
	SignWithin time.Duration // after its proposal; a version not signed by then is dead. 0: no deadline
	InFlight   InFlight      // InFlightNarrowed unless set
	// UnilateralNarrowing are the parties whose signatures alone bring an amendment
	// into force that takes rights away, gives none and leaves the prose as it is, sorted.
	UnilateralNarrowing []string
	Conditions          []Condition // by ID; all must be met before the version is in force
}

// InFlight says what becomes of requests that wait when an amendment comes into
// force.
type InFlight string

// What becomes of waiting requests.
const (
	InFlightNarrowed InFlight = "restart-if-narrowed" // ended if the new version would decide otherwise; else they go on
	InFlightRestart  InFlight = "restart"             // all are ended, to be asked again
)

// Condition is something outside of the contract that must have happened before
// the version is in force (a condition precedent), said by a signatory of a party.
type Condition struct {
	ID     string
	Clause string
	MetBy  string // id of the party whose signatory says so
}

// Calendar is a set of hours that repeats each week, in a zone whose rules stand
// in the terms: a change of the law is an amendment, and a replay years later
// needs no time zone database.
type Calendar struct {
	ID       string
	Zone     string   // rules of the zone as in POSIX.1-2017 §8.3, TZ: such as CET-1CEST,M3.5.0,M10.5.0/3
	Days     []string // of mon, tue, wed, thu, fri, sat, sun, in this order
	From     int      // minutes after midnight, 0 to 1439
	To       int      // minutes after midnight, From+1 to 1440: no longer in it
	Holidays []string // dates YYYY-MM-DD on which no hour is in it, sorted
}

// Consequence is what follows when a duty is not done.
type Consequence string

// Consequences, mildest first.
const (
	FindingHigh     Consequence = "finding-high"
	FindingCritical Consequence = "finding-critical"
	SuspendRole     Consequence = "suspend-role" // nothing more is granted under the role
)

// Duty is something that the parties owe, of a kind that a program can watch.
type Duty string

// The duties that terms can name.
const (
	DutyLog         Duty = "log"         // each login reaches the ledger
	DutyRecord      Duty = "record"      // each session's recording is anchored
	DutyRevoke      Duty = "revoke"      // access ends when its reason does
	DutyNotify      Duty = "notify"      // a party is told
	DutyAcknowledge Duty = "acknowledge" // people acknowledge what concerns them
)

// Obligation is a duty with its deadline and what follows if it is not kept.
type Obligation struct {
	ID        string
	Clause    string
	Duty      Duty
	Within    time.Duration
	Heartbeat time.Duration // longest silence of a host; DutyLog only, 0: none is set
	Hosts     time.Duration // by when hosts refuse; DutyRevoke only, 0: none is set
	Party     string        // whom to tell; DutyNotify only
	Else      Consequence
}

// Review says what is looked at again, and how often.
type Review struct {
	Contract    time.Duration            // 0: no date is set
	Recertify   map[string]time.Duration // by role
	Due         time.Duration
	Undecided   string // "revoke" or "keep"
	UnusedFor   time.Duration
	ReviewerNot []string // of "subject", "sole-approver", sorted
}

// Monitoring says how often the checks run and how soon findings are looked at.
type Monitoring struct {
	Checks         string        // "daily"; empty: none is promised
	TriageCritical time.Duration // 0: none is promised
	TriageHigh     time.Duration
	Outliers       string // profile, "default-v1"; empty: none
}

// Framework is a standard with the controls that the contract is meant to answer.
type Framework struct {
	ID       string   // such as "hipaa"
	Controls []string // sorted
}

// Law is what programs carry and do not enforce, but for how the contract ends.
type Law struct {
	Governing  string // such as "DE"; empty: not named
	Precedence string // "amendment-over-base"; empty: not named
	Severable  bool
	Terminate  Termination
}

// Termination says how the contract can be ended.
type Termination struct {
	Clause string        // empty: it can't be ended but by an amendment
	Notice time.Duration // between a party's notice and the end
	Cause  bool          // a party may end it at once for cause
}
