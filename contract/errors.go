package contract

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// Reasons why the files of a contract version are refused.
var (
	ErrTerms    = errors.New("terms refused")
	ErrProse    = errors.New("prose refused")
	ErrManifest = errors.New("manifest refused")
)

// Reasons why a signed statement is refused.
var (
	ErrStatement     = errors.New("not a signed statement we accept")
	ErrOtherContract = errors.New("the statement is about another contract version")
	ErrNotSignatory  = errors.New("not a signatory of the contract")
	ErrBadSignature  = errors.New("the signature does not hold")
)

// Reasons why the terms refuse a request. Terms.Evaluate wraps each in a
// *ClauseError that names the clause and what would pass.
var (
	ErrRoleUnknown    = errors.New("not a role of the contract")
	ErrGroupUnknown   = errors.New("not a group of the contract")
	ErrGroupsUnknown  = errors.New("the identity provider has not said which groups the person is in")
	ErrNotMember      = errors.New("the person is in none of the role's groups")
	ErrNoLogin        = errors.New("no login asked for")
	ErrLoginNotInRole = errors.New("not a login of the role")
	ErrNoHost         = errors.New("no host asked for")
	ErrHostNotInRole  = errors.New("not a host of the role")
	ErrRepeated       = errors.New("asked for twice")
	ErrTooMany        = errors.New("more than one certificate can carry")
	ErrTooShort       = errors.New("too short")
	ErrTooLong        = errors.New("too long")
	ErrNotSeconds     = errors.New("not a whole number of seconds")
	ErrReasonTooShort = errors.New("too few words")
	ErrTooManyHosts   = errors.New("more than one request may name")
	ErrNoTicket       = errors.New("no ticket named")
	ErrTicket         = errors.New("not a ticket of the form that the role asks for")
	ErrFactUnknown    = errors.New("what the role's guards ask about is not known")
	ErrNoPath         = errors.New("the role has no path to a decision")
	ErrExclusive      = errors.New("another role is held that excludes this one")
	ErrNotHolder      = errors.New("the person does not hold the office")
)

// TermsError says where terms.yaml is wrong and what would pass. It wraps
// ErrTerms.
type TermsError strictyaml.Error

// Error returns "terms.yaml:LINE:COLUMN: PATH: MESSAGE".
func (e *TermsError) Error() string { return TermsFile + ":" + (*strictyaml.Error)(e).Error() }

// Unwrap returns ErrTerms.
func (e *TermsError) Unwrap() error { return ErrTerms }

// ClauseError is the contract's no to a request, with the clause to read and
// what would pass.
type ClauseError struct {
	Clause string // such as "§4.1"; empty if no clause is about it
	Field  string // of the request: role, who, logins, hosts, for, reason, ticket; path if it is about none of them
	Limit  string // what would pass, such as "at most 1h"
	Err    error  // wraps the sentinel that says why
}

// Error returns one plain sentence: field, reason, clause and limit.
func (e *ClauseError) Error() string {
	source := "the contract"
	if e.Clause != "" {
		source = "clause " + e.Clause
	}
	return fmt.Sprintf("%s: %v; %s allows %s", e.Field, e.Err, source, e.Limit)
}

// Unwrap returns the reason.
func (e *ClauseError) Unwrap() error { return e.Err }
