package audit

import (
	"errors"
	"slices"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// gap is a leaf that is not applied: closed, of a kind that nobody here knows,
// resting on such a leaf, or unjustified. It changes nothing in the replay.
type gap struct {
	index   int64
	leaf    ledger.Leaf
	hash    canon.Digest
	facts   record.Facts // nil if closed
	verdict Verdict      // Unknown or Unjustified
	rule    string       // of the cause
	cause   cause        // what it comes from in the end
	waived  bool         // the cause is
}

// cause is the leaf that something comes from.
type cause struct {
	leaf int64
	kind ledger.Kind
}

// gaps are the leaves that are not applied so far.
type gaps struct {
	waive     Waivers
	byHash    map[canon.Digest]*gap
	byRequest map[canon.ID][]*gap     // submissions by their reference; what else is about a request, if its facts are known
	byVersion map[canon.Digest][]*gap // proposals by their reference, and signatures whose facts are known
	// first has the first closed leaf of each kind, per lineage for the kinds that
	// have one.
	first map[kindIn]*gap
	// doubt is the first leaf that could undo what stands behind it: everything,
	// under the zero digest, else one lineage. One that is waived stands only until
	// there is one that is not.
	doubt map[canon.Digest]*gap
}

type kindIn struct {
	kind    ledger.Kind
	lineage canon.Digest
}

func newGaps(w Waivers) gaps {
	return gaps{
		waive: w, byHash: make(map[canon.Digest]*gap), byRequest: make(map[canon.ID][]*gap), byVersion: make(map[canon.Digest][]*gap),
		first: make(map[kindIn]*gap), doubt: make(map[canon.Digest]*gap),
	}
}

func (s *gaps) add(g *gap) {
	s.byHash[g.hash] = g
	if g.leaf.Kind == ledger.RequestSubmit {
		s.byRequest[canon.ID(g.leaf.Reference)] = append(s.byRequest[canon.ID(g.leaf.Reference)], g)
	}
	if d, err := canon.ParseDigest(g.leaf.Reference); err == nil && g.leaf.Kind == ledger.ContractPropose {
		s.byVersion[d] = append(s.byVersion[d], g)
	}
	switch f := g.facts.(type) {
	case record.ContractSign:
		s.byVersion[f.Contract] = append(s.byVersion[f.Contract], g)
	case record.ContractCondition:
		s.byVersion[f.Contract] = append(s.byVersion[f.Contract], g)
	case record.GrantCarry:
		s.byRequest[f.Grant] = append(s.byRequest[f.Grant], g)
	case record.RequestDecide:
		s.byRequest[f.Request] = append(s.byRequest[f.Request], g)
	case record.RequestExpire:
		s.byRequest[f.Request] = append(s.byRequest[f.Request], g)
	case record.RequestCancel:
		s.byRequest[f.Request] = append(s.byRequest[f.Request], g)
	case record.AccessRevoke:
		if id := requestOf(f.Target); id != "" {
			s.byRequest[id] = append(s.byRequest[id], g)
		}
	}
	if g.verdict == Unjustified {
		return // it stands for nothing, so it undoes nothing
	}
	if k := (kindIn{g.leaf.Kind, g.leaf.Lineage}); s.first[k] == nil {
		s.first[k] = g
	}
	if g.cause.leaf == g.index {
		g.waived = s.waive.leaf(g.index, g.leaf.Kind)
	}
	if undoes, lineage := reach(g.leaf); undoes {
		if before := s.doubt[lineage]; before == nil || before.waived && !g.waived {
			s.doubt[lineage] = g
		}
	}
}

// reach tells whether a leaf that nobody can read could undo what stands behind
// it, and where: in one lineage, or, with the zero digest, anywhere.
func reach(l ledger.Leaf) (undoes bool, lineage canon.Digest) {
	switch l.Kind {
	case ledger.PersonRead:
		return false, lineage // nothing rests on who looked
	case ledger.HostInvite, ledger.HostCertify, ledger.LoginOpen, ledger.LoginClose, ledger.LoginRefuse, ledger.LoginOffline:
		return false, lineage // no certificate of a person rests on it but through a leaf that names it
	case ledger.HostLabel, ledger.HostRetire, ledger.HostRelease:
		return true, l.Lineage // a host that the role does not reach any more
	case ledger.CertificateIssue, ledger.CertificateVoid:
		return false, lineage // nothing rests on another's certificate
	case ledger.RequestSubmit:
		return false, lineage // its reference says which request it is
	case ledger.RequestDecide, ledger.RequestExpire, ledger.RequestCancel, ledger.AccessRevoke:
		return true, l.Lineage // a denial, say
	case ledger.LedgerSucceed, ledger.KeyAdd:
		return false, lineage // no certificate of a person rests on it
	case ledger.GrantCarry:
		return false, lineage // a grant that it does not carry gives no certificate
	case ledger.ContractWithdraw, ledger.ContractCondition, ledger.ContractTerminate:
		return true, l.Lineage // another version in force, or none
	case ledger.LedgerOpen, ledger.ContractPropose, ledger.ContractSign, ledger.HostJoin, ledger.PersonLogin, ledger.PersonSnapshot, ledger.PersonLink, ledger.PersonErase,
		ledger.PersonLock, ledger.PersonUnlock:
	}
	return true, lineage
}

// doubts returns the first leaf that could undo a certificate of a lineage which
// the fold has just allowed, nil if there is none.
func (s *gaps) doubts(lineage canon.Digest) *gap {
	everywhere, here := s.doubt[canon.Digest{}], s.doubt[lineage]
	switch {
	case everywhere == nil:
		return here
	case here == nil:
		return everywhere
	case everywhere.waived != here.waived && everywhere.waived, everywhere.waived == here.waived && here.index < everywhere.index:
		return here
	}
	return everywhere
}

// blame says what a refusal of the fold comes from: the leaf itself, one that it
// rests on and that was not applied, or one that nobody can read and that may have
// said what is missed. missed is the row that was looked for last, open says that
// the request which it is about, if any, waits for decisions.
func (s *gaps) blame(g *gap, err error, missed record.Key, open bool) {
	g.verdict, g.rule = Unjustified, err.Error()
	if !absence(err, open) {
		return // whatever else there is, this may not be
	}
	var unknown *gap
	for _, on := range s.rests(g) {
		if on.verdict == Unjustified {
			g.rule, g.cause = on.rule, on.cause
			return
		}
		if unknown == nil {
			unknown = on
		}
	}
	if _, erases := g.facts.(record.PersonErase); erases && unknown == nil {
		unknown = s.earliest() // it depends on everything that they did
	}
	if errors.Is(err, record.ErrHostOther) && unknown == nil {
		unknown = s.released() // by a contract that may be another's than the leaf's
	}
	for _, kind := range missing(err, missed) {
		if on := s.first[kindIn{kind, lineageOf(kind, g.leaf.Lineage)}]; on != nil && unknown == nil {
			unknown = on
		}
	}
	if unknown != nil {
		g.verdict, g.rule, g.cause, g.waived = Unknown, unknown.rule, unknown.cause, unknown.waived
	}
}

// earliest returns the first leaf of all that nobody can read, nil if there is
// none.
func (s *gaps) earliest() *gap {
	var out *gap
	for _, g := range s.first {
		if out == nil || g.index < out.index {
			out = g
		}
	}
	return out
}

// released returns the first release of a host that nobody can read, of any contract,
// nil if there is none.
func (s *gaps) released() *gap {
	var out *gap
	for k, g := range s.first {
		if k.kind == ledger.HostRelease && (out == nil || g.index < out.index) {
			out = g
		}
	}
	return out
}

// absence reports whether a refusal may come from something that is not there. As
// long as a request is open, a decision that is missing may have ended its stage:
// then others decide, and later.
func absence(err error, open bool) bool {
	return anyOf(err, record.ErrNotFound, record.ErrNotInForce, record.ErrSuperseded, record.ErrNotCarried, record.ErrUncarried, record.ErrClaimsOld, record.ErrRefresh, record.ErrSigners, record.ErrRetained, record.ErrAccounts, record.ErrNotRevoker, record.ErrLocked, record.ErrHostOther, contract.ErrHostNotInRole) || open && staged(err)
}

// staged reports whether a refusal depends on the decisions so far.
func staged(err error) bool {
	return anyOf(err, approval.ErrNotGranted, approval.ErrDecision, approval.ErrNotEligible, approval.ErrSettled)
}

func anyOf(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// rests returns the leaves that facts name and that were not applied, in the order
// in which they are named.
func (s *gaps) rests(g *gap) []*gap {
	var out []*gap
	hash := func(list ...canon.Digest) {
		for _, d := range list {
			if on := s.byHash[d]; on != nil {
				out = append(out, on)
			}
		}
	}
	request := func(id canon.ID) {
		for _, on := range s.byRequest[id] {
			if on.index < g.index {
				out = append(out, on)
			}
		}
	}
	version := func(d canon.Digest) {
		out = append(out, s.byVersion[d]...)
	}
	switch f := g.facts.(type) {
	case record.ContractPropose:
		version(parentOf(f))
	case record.ContractSign:
		version(f.Contract)
	case record.ContractWithdraw:
		version(f.Contract)
	case record.ContractCondition:
		version(f.Contract)
	case record.ContractTerminate:
		version(f.Contract)
	case record.GrantCarry:
		request(f.Grant)
		hash(f.GrantLeaf)
		version(f.To)
	case record.HostJoin:
		version(f.Lineage)
		hash(f.InvitationLeaf)
	case record.HostInvite:
		version(f.Contract)
		hash(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case record.HostLabel:
		version(f.Contract)
		hash(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case record.HostRetire:
		version(f.Contract)
		hash(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case record.HostRelease:
		version(f.Contract)
		hash(f.Who.Claims.Login, f.Who.Claims.Snapshot)
	case record.LoginOpen:
		hash(f.Certificate)
	case record.LoginClose:
		hash(f.Open)
	case record.PersonSnapshot:
		hash(f.Login)
	case record.PersonRead:
		version(f.Contract)
		hash(f.Claims.Login, f.Claims.Snapshot)
	case record.RequestSubmit:
		version(f.Lineage)
		hash(f.Claims.Login, f.Claims.Snapshot)
	case record.RequestDecide:
		request(f.Request)
		hash(f.RequestLeaf, f.Claims.Login, f.Claims.Snapshot)
		version(f.Contract)
	case record.RequestExpire:
		request(f.Request)
		hash(f.RequestLeaf)
	case record.RequestCancel:
		request(f.Request)
		hash(f.RequestLeaf, f.Login)
	case record.AccessRevoke:
		if id := requestOf(f.Target); id != "" {
			request(id)
		}
		hash(f.Claims.Login, f.Claims.Snapshot)
		version(f.Contract)
	case record.PersonUnlock:
		hash(f.Lock)
	case record.CertificateIssue:
		request(f.Grant)
		hash(f.GrantLeaf, f.Claims.Login, f.Claims.Snapshot)
		version(f.Contract)
	case record.CertificateVoid:
		hash(f.Leaf)
	}
	return out
}

// parentOf returns the version that a proposal amends, zero for none.
func parentOf(f record.ContractPropose) canon.Digest {
	for _, file := range f.Files {
		if file.Path == contract.ManifestFile {
			d, _ := contract.ParentOf([]byte(file.Text)) // the fold has refused what is no manifest
			return d
		}
	}
	return canon.Digest{}
}

// requestOf returns the request that a revocation is of, empty for anything else.
func requestOf(t record.Target) canon.ID {
	if t.Type == record.TargetGrant || t.Type == record.TargetRequest {
		return t.ID
	}
	return ""
}

// missing returns the kinds of leaf that could have made what a refusal misses.
func missing(err error, missed record.Key) []ledger.Kind {
	switch {
	case staged(err):
		return []ledger.Kind{ledger.RequestDecide}
	case errors.Is(err, record.ErrNotRevoker):
		return []ledger.Kind{ledger.RequestDecide} // who decided revokes
	case errors.Is(err, record.ErrLocked):
		return []ledger.Kind{ledger.PersonUnlock}
	case errors.Is(err, record.ErrUncarried): // it wraps ErrNotInForce
		return []ledger.Kind{ledger.GrantCarry, ledger.ContractSign, ledger.ContractPropose, ledger.ContractCondition}
	case anyOf(err, record.ErrNotInForce, record.ErrSuperseded):
		return []ledger.Kind{ledger.ContractSign, ledger.ContractPropose, ledger.ContractCondition, ledger.GrantCarry}
	case errors.Is(err, contract.ErrHostNotInRole):
		if missed.Table == record.TableHost {
			return []ledger.Kind{ledger.HostJoin}
		}
		return []ledger.Kind{ledger.HostLabel, ledger.HostJoin} // by which the role reached it, or by which it came from another contract
	case errors.Is(err, record.ErrClaimsOld):
		return nil // the snapshot that would do is named
	}
	switch missed.Table {
	case record.TableLog:
		return []ledger.Kind{ledger.LedgerOpen}
	case record.TableContract, record.TableLineage, record.TableContractID, record.TableIssuer:
		return []ledger.Kind{ledger.ContractPropose, ledger.ContractSign, ledger.ContractCondition}
	case record.TableKey:
		return []ledger.Kind{ledger.KeyAdd}
	case record.TableInvitation:
		return []ledger.Kind{ledger.HostInvite}
	case record.TableSession:
		return []ledger.Kind{ledger.LoginOpen, ledger.LoginOffline}
	case record.TableLabelling, record.TableAlias, record.TableRelease, record.TableHostCertificate, record.TableRefusal:
		return nil // what misses them begins something
	case record.TableHost:
		return []ledger.Kind{ledger.HostJoin}
	case record.TablePerson, record.TableIdentity, record.TableLogin, record.TableDevice:
		return []ledger.Kind{ledger.PersonLogin}
	case record.TableSnapshot:
		return []ledger.Kind{ledger.PersonSnapshot}
	case record.TableRequest, record.TableExpiry, record.TableDecision:
		return nil // a request is named by its id, and so is its submission
	case record.TableErased, record.TableRevocation, record.TableRevoked:
		return nil // they are missed by nobody
	case record.TableCertificate:
		return []ledger.Kind{ledger.CertificateIssue}
	}
	return nil
}

// lineageOf returns the lineage in which a leaf of a kind would stand.
func lineageOf(kind ledger.Kind, lineage canon.Digest) canon.Digest {
	switch kind {
	case ledger.LedgerOpen, ledger.LedgerSucceed, ledger.KeyAdd, ledger.PersonLogin, ledger.PersonSnapshot, ledger.PersonLink, ledger.PersonErase, ledger.PersonLock, ledger.PersonUnlock:
		return canon.Digest{}
	case ledger.ContractPropose, ledger.ContractSign, ledger.ContractWithdraw, ledger.ContractCondition, ledger.ContractTerminate, ledger.GrantCarry, ledger.HostJoin, ledger.PersonRead, ledger.RequestSubmit, ledger.RequestDecide, ledger.RequestExpire, ledger.RequestCancel,
		ledger.AccessRevoke, ledger.CertificateIssue, ledger.CertificateVoid,
		ledger.HostInvite, ledger.HostCertify, ledger.HostLabel, ledger.HostRetire, ledger.HostRelease, ledger.LoginOpen, ledger.LoginClose, ledger.LoginRefuse, ledger.LoginOffline:
	}
	return lineage
}
