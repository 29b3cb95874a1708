// Package hostcall owns the documents that a host signs with its own host key
// when it speaks to the server: their form, what may stand in them, and the check
// of the signature. Hosts, the server, the fold and auditors read them alike.
//
// A document says which ledger it is for, which host speaks, when, and what about,
// and carries a nonce that counts once. docs/formats.md lists the fields. The
// package is pure.
package hostcall

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Version is the version of the documents. A change needs a new one.
const Version = "sallyport.host-call/v1"

const (
	// Skew is how far a document's time may lie from the server's.
	Skew = 5 * time.Minute
	// MaxDocument bounds a document, in bytes.
	MaxDocument = 32 << 10
	// MaxEvents is how many events one document tells at most.
	MaxEvents = 64
	// MaxReasons is how many reasons one counted refusal has at most.
	MaxReasons = 16
	// maxCount bounds one count: a host refuses no more in a minute.
	maxCount = 1_000_000_000
)

// ErrCall is wrapped by every refusal of a document.
var ErrCall = errors.New("the host's call is refused")

// Call says what a document is for.
type Call string

// The calls.
const (
	Join      Call = "join"      // the host takes an invitation
	Heartbeat Call = "heartbeat" // it is alive, and says how it is set up
	Certify   Call = "certify"   // it wants a host certificate
	Events    Call = "events"    // it tells of logins, ends and refusals
)

// Header is what every document has.
type Header struct {
	Origin string       // of the ledger
	Host   sshcert.Host // who speaks
	At     canon.Micros // when, by the host's clock
	Nonce  canon.ID     // drawn by the host; the server takes it once
}

// document is the text of a call.
type document[B any] struct {
	V      string       `json:"v"`
	Origin string       `json:"origin"`
	Host   sshcert.Host `json:"host"`
	Call   Call         `json:"call"`
	At     canon.Micros `json:"at"`
	Nonce  canon.ID     `json:"nonce"`
	Body   B            `json:"body"`
}

// Body is what a call is about: one of JoinBody, HeartbeatBody, CertifyBody and
// EventsBody.
type Body interface {
	// Call returns the call that the body belongs to.
	Call() Call
	check() error
}

// JoinBody takes an invitation. The key is the one that signs the document, so
// whoever joins has it. The invitation's secret stands beside the document, not in
// it: documents are kept.
type JoinBody struct {
	Invitation canon.ID `json:"invitation"`
	HostKey    string   `json:"host_key"` // b64 of the SSH wire form
	// Aliases are the other names that the host will answer to, sorted; absent for none.
	Aliases []sshcert.Host `json:"aliases,omitempty"`
}

// CertifyBody asks for a host certificate for the key that the ledger has of the
// host.
type CertifyBody struct {
	HostKey string `json:"host_key"`
}

// Mode says what a host does about certificates that it should refuse.
type Mode string

// The modes.
const (
	Observe Mode = "observe" // it logs them
	Require Mode = "require" // it refuses them
)

// HeartbeatBody says how a host is set up. It is the host's word.
type HeartbeatBody struct {
	Mode      Mode         `json:"mode"`
	Verifier  string       `json:"verifier"`              // version of sally-host
	Findings  int64        `json:"findings,omitempty"`    // of sally-host doctor
	Bundle    int64        `json:"bundle,omitempty"`      // number of the trust bundle that it pins
	KRL       int64        `json:"krl,omitempty"`         // number of the revocation list that it uses
	KRLMadeAt canon.Micros `json:"krl_made_at,omitempty"` // when that was made
	// KRLTakenAt is when sshd began to refuse by that list, by the host's clock.
	KRLTakenAt canon.Micros `json:"krl_taken_at,omitempty"`
	Spooled    int64        `json:"spooled,omitempty"` // events that it has not told yet
}

// EventsBody tells what happened on a host, oldest first.
type EventsBody struct {
	Events []Event `json:"events"`
}

// What an event is.
const (
	Opened  = "open"    // somebody was let in
	Offline = "offline" // somebody was let in by a key for when everything else is down
	Closed  = "close"   // the session has ended
	Refused = "refuse"  // so many were refused in one minute
)

// Event is one thing that happened on a host. Which fields it has depends on What.
type Event struct {
	What string `json:"what"` // Opened, Offline, Closed or Refused

	Session canon.ID      `json:"session,omitempty"` // drawn by the host; Opened, Offline and Closed
	Login   sshcert.Login `json:"login,omitempty"`   // Opened, Offline: the account on the host
	// Serial is the certificate's, 0 if there was none: the owner's own key, say.
	Serial   uint64       `json:"serial,omitempty"`    // Opened
	OpenedAt canon.Micros `json:"opened_at,omitempty"` // Opened, Offline
	// Key is the security key that opened the login, b64 of its SSH wire form.
	Key string `json:"key,omitempty"` // Offline

	How      How          `json:"how,omitempty"`       // Closed
	ClosedAt canon.Micros `json:"closed_at,omitempty"` // Closed

	MinuteAt canon.Micros `json:"minute_at,omitempty"` // Refused: the minute's first moment
	Counts   []Count      `json:"counts,omitempty"`    // Refused: sorted by reason, each once
}

// How says what ended a session.
type How string

// How sessions end.
const (
	Left     How = "left"     // whoever was in it left
	Over     How = "over"     // the grant's time was up
	Released How = "released" // the grant was given back
	Revoked  How = "revoked"  // it was taken away
	Lost     How = "lost"     // the host does not know: it was restarted, say
)

// Count says how often a host refused for one reason within a minute.
type Count struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// Call returns the call that the body belongs to.
func (JoinBody) Call() Call { return Join }

// Call returns the call that the body belongs to.
func (CertifyBody) Call() Call { return Certify }

// Call returns the call that the body belongs to.
func (HeartbeatBody) Call() Call { return Heartbeat }

// Call returns the call that the body belongs to.
func (EventsBody) Call() Call { return Events }

// New returns the text of a document, which the host signs.
func New(h Header, body Body) (string, error) {
	d := document[Body]{V: Version, Origin: h.Origin, Host: h.Host, Call: body.Call(), At: h.At, Nonce: h.Nonce, Body: body}
	text, err := canon.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrCall, err)
	}
	if _, _, err := Parse(string(text)); err != nil {
		return "", err
	}
	return string(text), nil
}

// Sign returns a document and its signature by the host key.
func Sign(rand io.Reader, key ssh.Signer, h Header, body Body) (text, signature string, err error) {
	if text, err = New(h, body); err != nil {
		return "", "", err
	}
	signature, err = sshcert.Sign(rand, key, sshcert.NamespaceHost, []byte(text))
	return text, signature, err
}

// Parse reads a document. It refuses, with ErrCall, every text that New does not
// write. Nothing is verified: see Verify.
func Parse(text string) (Header, Body, error) {
	if len(text) > MaxDocument {
		return Header{}, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrCall, len(text), MaxDocument)
	}
	var which struct {
		Call Call `json:"call"`
	}
	if err := canon.Check([]byte(text)); err != nil {
		return Header{}, nil, fmt.Errorf("%w: %w", ErrCall, err)
	}
	if err := json.Unmarshal([]byte(text), &which); err != nil {
		return Header{}, nil, fmt.Errorf("%w: it is no object with a call", ErrCall)
	}
	switch which.Call {
	case Join:
		return parse[JoinBody](text)
	case Heartbeat:
		return parse[HeartbeatBody](text)
	case Certify:
		return parse[CertifyBody](text)
	case Events:
		return parse[EventsBody](text)
	}
	return Header{}, nil, fmt.Errorf("%w: there is no call %.40q", ErrCall, which.Call)
}

func parse[B Body](text string) (Header, Body, error) {
	var d document[B]
	if err := canon.Unmarshal([]byte(text), &d); err != nil {
		return Header{}, nil, fmt.Errorf("%w: %w", ErrCall, err)
	}
	if again, err := canon.Marshal(d); err != nil || string(again) != text {
		return Header{}, nil, fmt.Errorf("%w: a member is missing", ErrCall)
	}
	switch {
	case d.V != Version:
		return Header{}, nil, fmt.Errorf("%w: its version is %.60q, not %q", ErrCall, d.V, Version)
	case d.Origin == "" || d.At <= 0:
		return Header{}, nil, fmt.Errorf("%w: it names no ledger or no time", ErrCall)
	}
	if _, err := canon.ParseID(string(d.Nonce)); err != nil {
		return Header{}, nil, fmt.Errorf("%w: nonce: %w", ErrCall, err)
	}
	if err := d.Body.check(); err != nil {
		return Header{}, nil, fmt.Errorf("%w: %w", ErrCall, err)
	}
	return Header{Origin: d.Origin, Host: d.Host, At: d.At, Nonce: d.Nonce}, d.Body, nil
}

// Verify checks that a host key has signed exactly this document.
func Verify(key ssh.PublicKey, text, signature string) error {
	if err := sshcert.Verify(key, sshcert.NamespaceHost, []byte(text), signature); err != nil {
		return fmt.Errorf("%w: %w", ErrCall, err)
	}
	return nil
}

// Fresh refuses a document whose time is further than Skew from now.
func (h Header) Fresh(now canon.Micros) error {
	off := h.At.Time().Sub(now.Time())
	if off > Skew || off < -Skew {
		return fmt.Errorf("%w: it is dated %s, the server's clock says %s; they may differ by %s, so set the host's clock right", ErrCall,
			h.At.Time().Format(time.RFC3339), now.Time().Format(time.RFC3339), Skew)
	}
	return nil
}
