package record

import (
	"bytes"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// ParseFacts reads the facts of a leaf of the given kind from their canonical
// JSON.
func ParseFacts(kind ledger.Kind, text []byte) (Facts, error) {
	switch kind {
	case ledger.LedgerOpen:
		return parseFacts[LedgerOpen](text)
	case ledger.LedgerSucceed:
		return parseFacts[LedgerSucceed](text)
	case ledger.ContractPropose:
		return parseFacts[ContractPropose](text)
	case ledger.ContractSign:
		return parseFacts[ContractSign](text)
	case ledger.ContractWithdraw:
		return parseFacts[ContractWithdraw](text)
	case ledger.ContractCondition:
		return parseFacts[ContractCondition](text)
	case ledger.ContractTerminate:
		return parseFacts[ContractTerminate](text)
	case ledger.GrantCarry:
		return parseFacts[GrantCarry](text)
	case ledger.KeyAdd:
		return parseFacts[KeyAdd](text)
	case ledger.HostJoin:
		return parseFacts[HostJoin](text)
	case ledger.HostInvite:
		return parseFacts[HostInvite](text)
	case ledger.HostCertify:
		return parseFacts[HostCertify](text)
	case ledger.HostLabel:
		return parseFacts[HostLabel](text)
	case ledger.HostRetire:
		return parseFacts[HostRetire](text)
	case ledger.HostRelease:
		return parseFacts[HostRelease](text)
	case ledger.LoginOpen:
		return parseFacts[LoginOpen](text)
	case ledger.LoginClose:
		return parseFacts[LoginClose](text)
	case ledger.LoginRefuse:
		return parseFacts[LoginRefuse](text)
	case ledger.LoginOffline:
		return parseFacts[LoginOffline](text)
	case ledger.PersonLogin:
		return parseFacts[PersonLogin](text)
	case ledger.PersonSnapshot:
		return parseFacts[PersonSnapshot](text)
	case ledger.PersonLink:
		return parseFacts[PersonLink](text)
	case ledger.PersonErase:
		return parseFacts[PersonErase](text)
	case ledger.PersonRead:
		return parseFacts[PersonRead](text)
	case ledger.RequestSubmit:
		return parseFacts[RequestSubmit](text)
	case ledger.RequestDecide:
		return parseFacts[RequestDecide](text)
	case ledger.RequestExpire:
		return parseFacts[RequestExpire](text)
	case ledger.RequestCancel:
		return parseFacts[RequestCancel](text)
	case ledger.AccessRevoke:
		return parseFacts[AccessRevoke](text)
	case ledger.PersonLock:
		return parseFacts[PersonLock](text)
	case ledger.PersonUnlock:
		return parseFacts[PersonUnlock](text)
	case ledger.CertificateIssue:
		return parseFacts[CertificateIssue](text)
	case ledger.CertificateVoid:
		return parseFacts[CertificateVoid](text)
	default:
		return nil, fmt.Errorf("%w: kind %q", ErrEvent, kind)
	}
}

// ParsePerson reads the person part of a leaf of the given kind.
func ParsePerson(kind ledger.Kind, text []byte) (any, error) {
	switch kind {
	case ledger.PersonLogin:
		return parsePart[LoginPerson](text)
	case ledger.PersonLink:
		return parsePart[LinkPerson](text)
	case ledger.RequestSubmit:
		return parsePart[RequestPerson](text)
	case ledger.RequestDecide:
		return parsePart[DecidePerson](text)
	case ledger.AccessRevoke:
		return parsePart[RevokePerson](text)
	case ledger.PersonLock, ledger.PersonUnlock:
		return parsePart[LockPerson](text)
	case ledger.LedgerOpen, ledger.LedgerSucceed, ledger.ContractPropose, ledger.ContractSign, ledger.KeyAdd, ledger.HostJoin,
		ledger.ContractWithdraw, ledger.ContractCondition, ledger.ContractTerminate, ledger.GrantCarry,
		ledger.HostInvite, ledger.HostCertify, ledger.HostLabel, ledger.HostRetire, ledger.HostRelease, ledger.LoginOpen, ledger.LoginClose, ledger.LoginRefuse, ledger.LoginOffline,
		ledger.PersonSnapshot, ledger.PersonErase, ledger.PersonRead, ledger.RequestExpire, ledger.RequestCancel, ledger.CertificateIssue, ledger.CertificateVoid:
		return nil, fmt.Errorf("%w: %s has no person part", ErrEvent, kind)
	default:
		return nil, fmt.Errorf("%w: kind %q", ErrEvent, kind)
	}
}

func parseFacts[T Facts](text []byte) (Facts, error) {
	var f T
	if err := parseExactly(text, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	return f, nil
}

func parsePart[T any](text []byte) (any, error) {
	var p T
	if err := parseExactly(text, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	return p, nil
}

// parseExactly reads canonical JSON into v and refuses a text that v would not
// be written as: one that lacks a member, say.
func parseExactly(text []byte, v any) error {
	if err := canon.Unmarshal(text, v); err != nil {
		return err
	}
	again, err := canon.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, text) {
		return fmt.Errorf("%w: a member is missing", canon.ErrNotCanonical)
	}
	return nil
}
