package api

import "github.com/sallyport/sallyport/canon"

// ContractVersion is a version of a contract and where it stands: GET /v1/contracts.
type ContractVersion struct {
	Contract       Contract          `json:"contract"`                                                 // which version it is
	Parent         string            `json:"parent,omitempty"`                                         // the version that it amends; absent of version 1
	Class          string            `json:"class,omitempty"`                                          // what the amendment does: equivalent, narrowing, widening or mixed
	Constitutional bool              `json:"constitutional,omitempty"`                                 // it touches who the parties are, who signs or whose word counts
	Changes        []string          `json:"changes,omitempty"`                                        // what it changes, a sentence each
	State          string            `json:"state" enum:"in-force,scheduled,proposed,superseded,over"` // scheduled: signed, and not before its day; over: it can't come into force any more
	Why            string            `json:"why,omitempty"`                                            // of one that is over
	ProposedAt     canon.Micros      `json:"proposed_at,omitempty"`                                    // absent of some versions 1
	InForceAt      canon.Micros      `json:"in_force_at,omitempty"`                                    // absent until it is signed
	Signed         []ContractSigned  `json:"signed"`                                                   // in the order in which they came
	Missing        []ContractMissing `json:"missing"`                                                  // the shortest way that is left
	Unmet          []string          `json:"unmet,omitempty"`                                          // conditions that it waits for
}

// ContractSigned is a signature over a version.
type ContractSigned struct {
	Party    string       `json:"party"`    // for which it was given
	Capacity string       `json:"capacity"` // in which it was given
	Signer   string       `json:"signer"`   // by the name that the terms have for the key
	At       canon.Micros `json:"at"`       // ledger time
}

// ContractMissing is a signature line that lacks somebody.
type ContractMissing struct {
	Party    string   `json:"party"`             // for which somebody has to sign
	Capacity string   `json:"capacity"`          // in which
	Need     int      `json:"need" range:"1..."` // how many more
	Of       []string `json:"of"`                // who can still sign
}

// ContractPath is the path of one contract version.
type ContractPath struct {
	Digest canon.Digest `json:"digest"` // of the version's manifest
}

// ContractFiles is a version with all its files: GET /v1/contracts/{digest}.
type ContractFiles struct {
	Version    ContractVersion     `json:"version"`    // where it stands
	Files      []ContractFile      `json:"files"`      // manifest.json among them, sorted by name
	Signatures []ContractSignature `json:"signatures"` // in the order in which they came
}

// ContractFile is one file of a version.
type ContractFile struct {
	Path string `json:"path"` // its name, such as terms.yaml
	Text string `json:"text"` // byte for byte
}

// ContractSignature is a signed statement, as the two files in sigs/ have it.
type ContractSignature struct {
	Statement string `json:"statement"` // what was signed, byte for byte
	Signature string `json:"signature"` // an armored SSHSIG
}

// ContractSend is the body of POST /v1/contracts.
type ContractSend struct {
	Folder string `json:"folder"` // canonical JSON of {files: [{path, text}], signatures: [{statement, signature}]}
}

// SentFolder is what ContractSend carries as text.
type SentFolder struct {
	Files      []SentFile      `json:"files"`                // all of the version's folder but those in sigs/
	Signatures []SentSignature `json:"signatures,omitempty"` // those that there are
}

// SentFile is one file of a version that is sent in.
type SentFile struct {
	Path string `json:"path"` // its name, such as terms.yaml
	Text string `json:"text"` // byte for byte
}

// SentSignature is a signed statement that is sent in.
type SentSignature struct {
	Statement string `json:"statement"` // sigs/PARTY.SIGNER.json, byte for byte
	Signature string `json:"signature"` // the .sig beside it, as ssh-keygen -Y sign writes it
}

// PlanRequest asks what a draft would have changed: POST /v1/contracts/plan.
type PlanRequest struct {
	Terms string `json:"terms"` // terms.yaml of the draft
	Days  string `json:"days"`  // how far to look back: 1 to 366, in digits
}

// Plan is what a draft would have changed.
type Plan struct {
	Plan string `json:"plan"` // the text of plan.json: canonical JSON (docs/formats.md, "Plan")
}
