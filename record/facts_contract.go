package record

import (
	"crypto/sha256"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// ContractWithdraw records that a version which is not signed by everybody shall not
// come into force any more.
type ContractWithdraw struct {
	At        canon.Micros `json:"at"`
	Contract  canon.Digest `json:"contract"`
	Lineage   canon.Digest `json:"lineage"`
	Statement string       `json:"act"`       // a contract.Act, as it is signed
	Signature string       `json:"signature"` // its armored SSHSIG
}

// ContractCondition records that something has happened which a version waits for.
type ContractCondition struct {
	At        canon.Micros `json:"at"`
	Contract  canon.Digest `json:"contract"`
	Lineage   canon.Digest `json:"lineage"`
	Condition string       `json:"condition"` // its id
	Statement string       `json:"act"`       // a contract.Act, as it is signed
	Signature string       `json:"signature"`
}

// ContractTerminate records that the contract ends, by the version in force.
type ContractTerminate struct {
	At        canon.Micros `json:"at"`
	Contract  canon.Digest `json:"contract"`
	Lineage   canon.Digest `json:"lineage"`
	EndsAt    canon.Micros `json:"ends_at"` // from when on nothing is issued and nothing lasts
	Statement string       `json:"act"`     // a contract.Act, as it is signed
	Signature string       `json:"signature"`
}

// GrantCarry records that a grant goes on under the version in force: it would have
// allowed it, by the decisions that it was given by.
type GrantCarry struct {
	At        canon.Micros `json:"at"`
	Carry     canon.ID     `json:"carry"`
	Lineage   canon.Digest `json:"lineage"`
	Grant     canon.ID     `json:"grant"`
	GrantLeaf canon.Digest `json:"grant_leaf"` // hash of the last approval's leaf
	From      canon.Digest `json:"from"`       // the version that the grant was under
	To        canon.Digest `json:"to"`         // the version in force
}

// digestOf is a reference that is the digest of what was signed.
func digestOf(text string) string { return canon.Digest(sha256.Sum256([]byte(text))).String() }

func (ContractWithdraw) Kind() ledger.Kind         { return ledger.ContractWithdraw }
func (f ContractWithdraw) When() canon.Micros      { return f.At }
func (f ContractWithdraw) InLineage() canon.Digest { return f.Lineage }

// Reference returns the digest of the signed act.
func (f ContractWithdraw) Reference() string { return digestOf(f.Statement) }

func (ContractCondition) Kind() ledger.Kind         { return ledger.ContractCondition }
func (f ContractCondition) When() canon.Micros      { return f.At }
func (f ContractCondition) InLineage() canon.Digest { return f.Lineage }

// Reference returns the digest of the signed act.
func (f ContractCondition) Reference() string { return digestOf(f.Statement) }

func (ContractTerminate) Kind() ledger.Kind         { return ledger.ContractTerminate }
func (f ContractTerminate) When() canon.Micros      { return f.At }
func (f ContractTerminate) InLineage() canon.Digest { return f.Lineage }

// Reference returns the digest of the signed act.
func (f ContractTerminate) Reference() string { return digestOf(f.Statement) }

func (GrantCarry) Kind() ledger.Kind         { return ledger.GrantCarry }
func (f GrantCarry) When() canon.Micros      { return f.At }
func (f GrantCarry) Reference() string       { return string(f.Carry) }
func (f GrantCarry) InLineage() canon.Digest { return f.Lineage }
