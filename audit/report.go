package audit

import (
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// Verdict is what a replay makes of a certificate, or of a part of what it rests
// on.
type Verdict string

// The verdicts, from the best to the worst. What is made of several parts has the
// worst of theirs.
const (
	// Proved rests on a signature that the server can't make: a party's, or that of
	// the key itself.
	Proved Verdict = "proved"
	// Attested rests on the server's word, which is in the ledger and can't be
	// changed any more.
	Attested Verdict = "attested"
	// Unknown rests on an opening that is missing. It never passes.
	Unknown Verdict = "unknown"
	// Unjustified may not stand in the ledger by the rules that were in force.
	Unjustified Verdict = "unjustified"
)

func (v Verdict) rank() int {
	switch v {
	case Proved:
		return 0
	case Attested:
		return 1
	case Unknown:
		return 2
	case Unjustified:
		return 3
	}
	return 3
}

// worse returns the worse of two verdicts.
func worse(a, b Verdict) Verdict {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// PartName says what a part is.
type PartName string

// The parts of what a certificate rests on.
const (
	PartContract    PartName = "contract"
	PartRequest     PartName = "request"
	PartDecision    PartName = "decision"
	PartCarry       PartName = "carry" // the grant goes on under an amendment
	PartCertificate PartName = "certificate"
)

// Part is one thing that a certificate rests on.
type Part struct {
	Name    PartName `json:"part"`
	Verdict Verdict  `json:"verdict"`
	Leaf    int64    `json:"leaf"`
	By      string   `json:"by"` // whose word or signature it is
}

// Certificate is the verdict on one recorded certificate.
type Certificate struct {
	Serial  uint64  `json:"serial"`
	Leaf    int64   `json:"leaf"`
	Verdict Verdict `json:"verdict"`
	Waived  bool    `json:"waived,omitempty"` // unknown, and waived by name
	// Rule says, of an unjustified certificate, which rule is broken first, and of an
	// unknown one what is missing. Cause is the leaf that breaks it, or is missing.
	Rule      string `json:"rule,omitempty"`
	Cause     int64  `json:"cause,omitempty"`
	CauseKind string `json:"cause_kind,omitempty"`
	// Signed says that the bundle has the signed certificate. Void is the leaf that
	// voids it, 0 for none.
	Signed bool  `json:"signed,omitempty"`
	Void   int64 `json:"void_leaf,omitempty"`
	// Erased is the leaf by which the person was erased since, 0 for none: who it was
	// can't be shown any more, and is the server's word.
	Erased int64 `json:"erased_leaf,omitempty"`

	Lineage canon.Digest `json:"lineage"`
	// What follows is from the facts, and absent while they are closed.
	Contract      canon.Digest `json:"contract,omitzero"`
	Person        canon.ID     `json:"person,omitempty"`
	Request       canon.ID     `json:"request,omitempty"`
	At            canon.Micros `json:"at,omitempty"`
	Principals    []string     `json:"principals,omitempty"`
	ValidAfterAt  canon.Micros `json:"valid_after_at,omitempty"`
	ValidBeforeAt canon.Micros `json:"valid_before_at,omitempty"`
	Key           string       `json:"key,omitempty"` // fingerprint of the subject key
	Parts         []Part       `json:"parts,omitempty"`
}

// Failed reports whether the verdict does not pass.
func (c Certificate) Failed() bool {
	return c.Verdict == Unjustified || c.Verdict == Unknown && !c.Waived
}

// Finding is something that may not be as it is, beside a certificate.
type Finding struct {
	Leaf int64  `json:"leaf"`
	Kind string `json:"kind"` // of the leaf
	Rule string `json:"rule"` // the first that is broken
	// Cause is the leaf that breaks it: the leaf itself, or one that it rests on.
	Cause     int64  `json:"cause"`
	CauseKind string `json:"cause_kind"`
}

// Contract is a contract version that the ledger holds.
type Contract struct {
	Lineage   canon.Digest `json:"lineage"`
	Contract  canon.Digest `json:"digest"`
	ID        string       `json:"id"`
	Version   int64        `json:"version"`
	Leaf      int64        `json:"leaf"`
	Signed    []string     `json:"signed,omitempty"` // signer for party
	InForceAt canon.Micros `json:"in_force_at,omitempty"`
	Vouched   bool         `json:"vouched,omitempty"` // its version 1 is one that the auditor named
}

// Succession is the ledger in whose place another one goes on. That its log key
// has signed for so many leaves is proved; that it has for no more, and why it
// ended, is the word of whoever began the other one.
type Succession struct {
	Origin string `json:"origin"`
	LogKey string `json:"log_key"` // a vkey
	Size   int64  `json:"size"`    // leaves that it signed for
	Root   string `json:"root"`    // of these; padded base64, as in checkpoints
	Kept   int64  `json:"kept"`    // of these, how many are kept
}

// Report is what a replay came to.
type Report struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"` // padded base64, as in checkpoints
	// Cosigned names those of the cosigners that were asked for that have confirmed
	// the checkpoint.
	Cosigned []string `json:"cosigned,omitempty"`

	// Succeeds is the ledger in whose place this one goes on, nil for none.
	Succeeds     *Succession   `json:"succeeds,omitempty"`
	Contracts    []Contract    `json:"contracts,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
	// Findings are leaves other than certificates that are unjustified, and what is
	// wrong with the contracts.
	Findings []Finding `json:"findings,omitempty"`

	Closed   int64 `json:"closed,omitempty"`    // leaves whose facts are not shown
	NoPerson int64 `json:"no_person,omitempty"` // leaves whose person part is not shown, and no erasure says why
	Erased   int64 `json:"erased,omitempty"`    // leaves whose person part was erased, as a leaf that stands says
	// Unconfirmed counts the signed certificates that carry a proof without the words
	// of the cosigners: they are older than those, or were made past them.
	Unconfirmed  int64                 `json:"unconfirmed,omitempty"`
	UnknownKinds map[ledger.Kind]int64 `json:"unknown_kinds,omitempty"` // leaves of kinds that this version does not know
	IdleWaivers  []string              `json:"idle_waivers,omitempty"`  // waivers that waived nothing
}

// Count returns how many certificates have a verdict.
func (r Report) Count(v Verdict) int {
	n := 0
	for _, c := range r.Certificates {
		if c.Verdict == v {
			n++
		}
	}
	return n
}

// Failed returns how many certificates and findings keep the ledger from passing.
func (r Report) Failed() int {
	n := len(r.Findings)
	for _, c := range r.Certificates {
		if c.Failed() {
			n++
		}
	}
	return n
}

// OK reports whether everything passed.
func (r Report) OK() bool { return r.Failed() == 0 }
