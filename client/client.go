// Package client owns what `sally` does on an engineer's machine: logging in,
// asking for a login on a host, waiting for the answer, having a certificate
// made, handing it to stock ssh, and checking the ledger's word against the pin
// file.
//
// Each verb is an Options struct and one function: [Login], [Whoami], [Logout],
// [Request], [Wait], [Cancel], [Status], [List], [Hosts], [SSH], [LedgerList],
// [LedgerShow], [LedgerExport], [AuditVerify], [AuditExplain], [Version]. Results go to standard output, everything for people to
// standard error, and nothing that a server or a person wrote reaches a terminal before it
// went through visible.
// Nothing that the server says is believed beyond the pin file: a certificate is
// verified before it is used. docs/cli.md describes each verb.
package client

import (
	"io"
	"time"
)

// Env is what a verb has of the world besides the network and its state folder.
type Env struct {
	// Out takes results and nothing else.
	Out io.Writer
	// Err takes everything for people: progress, hints, questions.
	Err io.Writer
	// Getenv reads the environment, as os.Getenv does.
	Getenv func(string) string
	// Now is the clock.
	Now func() time.Time
	// Rand is a cryptographic source of randomness.
	Rand io.Reader
}
