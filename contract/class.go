package contract

// Class says what an amendment does to what is allowed. It is computed from both
// versions, never written by hand.
type Class string

// The classes of an amendment.
const (
	Equivalent Class = "equivalent" // allows the same
	Narrowing  Class = "narrowing"  // allows less, and nothing more
	Widening   Class = "widening"   // allows more, and nothing less
	Mixed      Class = "mixed"      // allows more here and less there, or can't be compared
)

// Comparison is what an amendment changes.
type Comparison struct {
	Class          Class
	Constitutional bool     // it touches who the parties are, who signs, or whose word counts: all parties sign
	Changes        []Change // by path
}

// Change is one path of the terms that differs between two versions.
type Change struct {
	Path           string // such as roles.prod.grant.max
	Class          Class
	Constitutional bool
	Old, New       string   // as terms.yaml would write it; empty if it is not there
	Witness        *Witness // for Widening and Mixed: a request that the new version lets through more easily; nil if the path has none
}

// Witness is a request that two versions treat differently.
type Witness struct {
	Role  string
	Facts map[string]string // what it says, by the names that guards use
	Old   string            // what the old version does with it, such as "denied"
	New   string            // what the new one does, such as "granted without asking"
}
