package record

import (
	"github.com/sallyport/sallyport/canon"
)

// Named returns the hashes of the leaves that facts name, in the order in which
// they stand in them: what has to be opened to whoever is to judge the facts.
func Named(facts Facts) []canon.Digest {
	var out []canon.Digest
	name := func(list ...canon.Digest) {
		for _, d := range list {
			if !d.IsZero() {
				out = append(out, d)
			}
		}
	}
	switch f := facts.(type) {
	case LedgerOpen, ContractPropose, ContractSign, ContractWithdraw, ContractCondition, ContractTerminate, KeyAdd, PersonLogin, PersonLink, PersonErase, PersonLock, HostCertify, LoginRefuse, LoginOffline:
	case HostInvite:
		name(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case HostJoin:
		name(f.InvitationLeaf)
	case HostLabel:
		name(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case HostRetire:
		name(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case HostRelease:
		name(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case LoginOpen:
		name(f.Certificate)
	case LoginClose:
		name(f.Open)
	case PersonSnapshot:
		name(f.Login)
	case RequestSubmit:
		name(f.Claims.Login, f.Claims.Snapshot)
	case RequestDecide:
		name(f.RequestLeaf, f.Claims.Login, f.Claims.Snapshot)
	case RequestExpire:
		name(f.RequestLeaf)
	case RequestCancel:
		name(f.RequestLeaf, f.Login)
	case AccessRevoke:
		name(f.Claims.Login, f.Claims.Snapshot)
	case PersonUnlock:
		name(f.Lock)
	case GrantCarry:
		name(f.GrantLeaf)
	case CertificateIssue:
		name(f.GrantLeaf, f.Claims.Login, f.Claims.Snapshot)
	case CertificateVoid:
		name(f.Leaf)
	}
	return out
}
