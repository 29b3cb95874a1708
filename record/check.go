package record

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/sshcert"
)

// Reasons why an event may not stand in the ledger, beside those of contract,
// approval and ca.
var (
	ErrNotInForce   = errors.New("the contract is not in force")
	ErrSuperseded   = errors.New("it amends a version that is not the newest")
	ErrProposalOver = errors.New("this version can't come into force any more")
	ErrExists       = errors.New("it is in the ledger already")
	ErrEvent        = errors.New("the event contradicts the ledger")
	ErrClaimsOld    = errors.New("what your identity provider said about you is too old")
	ErrOtherLogin   = errors.New("you are logged in under another contract")
	ErrIssuerRead   = errors.New("another contract in force reads this issuer in another way")
	ErrRefresh      = errors.New("this does not renew the login; log in again")
	ErrNotRevoker   = errors.New("this is not yours to revoke")
	ErrUnenforced   = errors.New("the terms say what this release does not enforce")
	ErrLocked       = errors.New("this account is locked; the operator of the server unlocks it")
)

// Event is one leaf with its opening, about to be appended or being replayed.
type Event struct {
	Index    int64        // of the leaf
	LeafHash canon.Digest // RFC 6962 hash of the leaf
	Previous canon.Micros // ledger time of the leaf before, 0 for leaf 0
	Facts    Facts
	Person   any // the person part, nil where there is none or it was erased
	// PersonCommitment is the leaf's, zero where there is no person part.
	PersonCommitment canon.Digest
}

// Check decides whether an event may follow the state in v and returns the rows
// that it writes. It is the only place where that is decided: what a server may
// append and what an auditor finds justified are the same. It changes nothing.
func Check(v View, e Event) ([]Change, error) {
	if err := e.checkOrder(v); err != nil {
		return nil, err
	}
	switch f := e.Facts.(type) {
	case LedgerOpen:
		return e.ledgerOpen(f)
	case LedgerSucceed:
		return e.ledgerSucceed(v, f)
	case ContractPropose:
		return e.contractPropose(v, f)
	case ContractSign:
		return e.contractSign(v, f)
	case ContractWithdraw:
		return e.contractWithdraw(v, f)
	case ContractCondition:
		return e.contractCondition(v, f)
	case ContractTerminate:
		return e.contractTerminate(v, f)
	case GrantCarry:
		return e.grantCarry(v, f)
	case KeyAdd:
		return e.keyAdd(v, f)
	case HostJoin:
		return e.hostJoin(v, f)
	case HostInvite:
		return e.hostInvite(v, f)
	case HostCertify:
		return e.hostCertify(v, f)
	case HostLabel:
		return e.hostLabel(v, f)
	case HostRetire:
		return e.hostRetire(v, f)
	case HostRelease:
		return e.hostRelease(v, f)
	case LoginOpen:
		return e.loginOpen(v, f)
	case LoginClose:
		return e.loginClose(v, f)
	case LoginRefuse:
		return e.loginRefuse(v, f)
	case LoginOffline:
		return e.loginOffline(v, f)
	case PersonLogin:
		return e.personLogin(v, f)
	case PersonSnapshot:
		return e.personSnapshot(v, f)
	case PersonLink:
		return e.personLink(v, f)
	case PersonErase:
		return e.personErase(v, f)
	case PersonRead:
		return e.personRead(v, f)
	case RequestSubmit:
		return e.requestSubmit(v, f)
	case RequestDecide:
		return e.requestDecide(v, f)
	case RequestExpire:
		return e.requestExpire(v, f)
	case RequestCancel:
		return e.requestCancel(v, f)
	case AccessRevoke:
		return e.accessRevoke(v, f)
	case PersonLock:
		return e.personLock(v, f)
	case PersonUnlock:
		return e.personUnlock(v, f)
	case CertificateIssue:
		return e.certificateIssue(v, f)
	case CertificateVoid:
		return e.certificateVoid(v, f)
	default:
		return nil, fmt.Errorf("%w: no rule for %T", ErrEvent, e.Facts)
	}
}

// checkOrder holds every event to what all have in common: the log opens with
// its identity, and each fact carries a time.
func (e Event) checkOrder(v View) error {
	if e.Facts == nil || e.Facts.When() <= 0 {
		return fmt.Errorf("%w: it carries no time", ErrEvent)
	}
	if e.Facts.When() < e.Previous {
		return fmt.Errorf("%w: it is dated before the leaf before it", ErrEvent)
	}
	_, opens := e.Facts.(LedgerOpen)
	if opens != (e.Index == 0) {
		return fmt.Errorf("%w: %s is leaf 0, and only that", ErrEvent, ledger.LedgerOpen)
	}
	if opens {
		return nil
	}
	_, err := Log(v)
	return err
}

func (e Event) ledgerOpen(f LedgerOpen) ([]Change, error) {
	if _, err := ledger.NewPolicy(f.Origin, f.LogKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if _, err := parseKey(f.UserCA); err != nil {
		return nil, err
	}
	return changes(put(TableLog, "log", LogRow{Origin: f.Origin, LogKey: f.LogKey, UserCA: f.UserCA}))
}

// changes collects one row that may have failed to be written.
func changes(c Change, err error) ([]Change, error) {
	if err != nil {
		return nil, err
	}
	return []Change{c}, nil
}

// fresh marks a row that must not be there yet.
func fresh(c Change, err error) (Change, error) {
	c.New = true
	return c, err
}

func parseKey(b64 string) (ssh.PublicKey, error) {
	wire, err := canon.ParseB64(b64)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if len(wire) > sshcert.MaxSubjectKey {
		return nil, fmt.Errorf("%w: a key of %d bytes", ErrEvent, len(wire))
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no SSH public key", ErrEvent)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, fmt.Errorf("%w: it is a certificate, not a key", ErrEvent)
	}
	return key, nil
}

func sortedUnique(list []string) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			return false
		}
	}
	return true
}
