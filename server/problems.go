package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Refusals of this package's own.
var (
	errMalformed = errors.New("the request is not understood")
	errMedia     = errors.New("the body has another content type")
	errMethod    = errors.New("this address does not take that method")
	errNoRoute   = errors.New("there is nothing at this address")
	errNoBearer  = errors.New("no bearer; log in with `sally login`")
	errCrossSite = errors.New("this form does not come from a page of this server")
	errHost      = errors.New("this is not the server that was asked for")
	errPanic     = errors.New("a handler panicked")
	errNotHere   = errors.New("a host joins by POST /v1/hosts/join")

	errStreams    = fmt.Errorf("this session has %d open event streams already; close some pages", maxOfSession)
	errAllStreams = errors.New("too many event streams are open; ask from time to time instead")
	errStopping   = errors.New("the server is stopping")
)

// A kind is one type of problem: its slug and status never change, clients rely
// on them.
type kind struct {
	slug   string
	status int
	title  string // the same for every problem of the kind
	next   string // what somebody who meets it on a page can do
}

// The kinds of problems.
var (
	malformed         = kind{"malformed", http.StatusBadRequest, "not understood", "Go back and try again."}
	badMedia          = kind{"malformed", http.StatusUnsupportedMediaType, "not understood", "Go back and try again."}
	unauthenticated   = kind{"unauthenticated", http.StatusUnauthorized, "not signed in", "Sign in again."}
	loginTooOld       = kind{"login-too-old", http.StatusUnauthorized, "your sign-in is too old for this", "Sign in again, then repeat what you did."}
	forbidden         = kind{"forbidden", http.StatusForbidden, "not allowed", "Open the page again and do it there."}
	selfApproval      = kind{"self-approval", http.StatusForbidden, "nobody decides on their own request", "Somebody else has to decide."}
	notEligible       = kind{"not-eligible", http.StatusForbidden, "you are not among those who decide", "Ask somebody of the groups that the request names."}
	notRequester      = kind{"not-requester", http.StatusForbidden, "only who asked can cancel it", "If it should not be granted, deny it."}
	groupsUnknown     = kind{"groups-unknown", http.StatusForbidden, "your groups are not known", "Sign in again. If that does not help, ask whoever runs the identity provider to send your groups."}
	contractForbids   = kind{"contract-forbids", http.StatusForbidden, "the contract does not allow this", "Whoever approves, it stays forbidden; ask for what the contract allows."}
	notFound          = kind{"not-found", http.StatusNotFound, "not found", "It may never have been here, or it is not yours to see."}
	wrongMethod       = kind{"method-not-allowed", http.StatusMethodNotAllowed, "not done this way", "Open the page again and use its buttons."}
	hostRetired       = kind{"host-retired", http.StatusGone, "the host is retired", "If it should live again, it is invited and joins again."}
	invitationRefused = kind{"invitation-refused", http.StatusForbidden, "the invitation is refused", "Have another one made."}
	sameAdmin         = kind{"same-admin", http.StatusForbidden, "another host admin has to agree", "Ask another host admin to do the same."}
	settled           = kind{"settled", http.StatusConflict, "it is settled", "A settled request never changes; look at how it ended."}
	changed           = kind{"changed", http.StatusConflict, "it changed meanwhile", "Look at it again and decide then."}
	decidedTwice      = kind{"decided-twice", http.StatusConflict, "you have decided already", "One person counts once."}
	notGranted        = kind{"not-granted", http.StatusConflict, "it is not granted", "Wait for the decision."}
	revoked           = kind{"revoked", http.StatusConflict, "it was revoked", "Ask again, if you still need it."}
	notRevoker        = kind{"not-revoker", http.StatusForbidden, "this is not yours to revoke", "Ask whoever asked for it, decides on it, or holds the office."}
	lockedOut         = kind{"locked", http.StatusForbidden, "your account is locked", "Ask the operator of the server why."}
	grantOver         = kind{"grant-over", http.StatusGone, "the grant is over", "Ask again."}
	tooLarge          = kind{"too-large", http.StatusRequestEntityTooLarge, "too large", "Send less."}
	misdirected       = kind{"misdirected", http.StatusMisdirectedRequest, "another server was asked for", "Check the address."}
	keyRefused        = kind{"key-refused", http.StatusUnprocessableEntity, "this key is not accepted", "An ed25519 key always passes: ssh-keygen -t ed25519."}
	fieldRefused      = kind{"field-refused", http.StatusUnprocessableEntity, "a field is not accepted", "Go back and mend it."}
	tooMuch           = kind{"rate", http.StatusTooManyRequests, "too much at once", "Wait a little and try again."}
	internal          = kind{"internal", http.StatusInternalServerError, "something went wrong here", "Tell the operator the number below; the log says more under it."}
	unavailable       = kind{"unavailable", http.StatusServiceUnavailable, "not available now", "Try again in a moment; trying again is safe."}
)

// A problemRow says which kind of problem an error is. plain replaces the
// error's own text, which for most rows is written for the person who caused it;
// where it is not, it names what only the operator should read.
type problemRow struct {
	err   error
	kind  kind
	plain string
}

// problemTable is searched from the top; the first row whose error is in the
// chain counts. What is not in it is internal, without detail.
var problemTable = []problemRow{
	// What the operator has to know, whatever it came wrapped in.
	{authority.ErrHalted, unavailable, "the authority found its own records at odds and has stopped signing; tell the operator"},
	{store.ErrClock, unavailable, "this server's clock can't be right, so nothing is recorded; tell the operator"},
	{store.ErrBusy, unavailable, "too many people are writing at once; what you asked for was not done"},
	{store.ErrUnknownOutcome, unavailable, "the database did not say whether what you asked for was done; look again in a moment"},
	{store.ErrUnsafe, unavailable, "the database could lose what it acknowledges, so nothing is recorded; tell the operator"},
	{authority.ErrMark, unavailable, "the server can't note how far it has signed, so nothing is signed; what was decided and granted stays so"},
	{store.ErrUnavailable, unavailable, "the database is not available; what you asked for was not done"},
	{authority.ErrMarkMoved, unavailable, "another server of this ledger signed at the same moment, again and again"},
	{store.ErrConflict, unavailable, "somebody else wrote at the same moment; what you asked for was not done"},
	{authority.ErrWithheld, unavailable, ""},
	{authority.ErrUncosigned, unavailable, "too few witnesses have confirmed the ledger, so no certificate was made; the request stays granted"},
	{authority.ErrVoid, unavailable, "the certificate took too long to be signed and was given up; the request stays granted"},
	{ca.ErrUnavailable, unavailable, "the authority key can't be reached, so no certificate was made; the request stays granted"},
	{authority.ErrNoHostKeys, unavailable, ""},
	{ca.ErrSigner, unavailable, "the authority key gave no signature; no certificate was made"},
	{oidc.ErrMetadata, unavailable, "the identity provider answered with something that can't be used; tell the operator"},
	{errAllStreams, unavailable, "too many event streams are open; ask from time to time instead"},
	{errStopping, unavailable, "the server is stopping; try again in a moment"},
	{errExporting, unavailable, ""},
	{errExports, unavailable, ""},
	{context.Canceled, unavailable, "the connection was closed before the answer was ready"},
	{context.DeadlineExceeded, unavailable, "it took too long"},
	{oidc.ErrUnreachable, unavailable, "the identity provider does not answer"},

	// Who it is.
	{errNoBearer, unauthenticated, ""},
	{store.ErrNoSession, unauthenticated, ""},
	{store.ErrNoFlow, unauthenticated, ""},
	{store.ErrUsed, unauthenticated, ""},
	{oidc.ErrTokenTooLarge, unauthenticated, ""},
	{oidc.ErrMalformed, unauthenticated, ""},
	{oidc.ErrAlgorithm, unauthenticated, ""},
	{oidc.ErrSignature, unauthenticated, ""},
	{oidc.ErrIssuer, unauthenticated, ""},
	{oidc.ErrAudience, unauthenticated, ""},
	{oidc.ErrExpired, unauthenticated, ""},
	{oidc.ErrTokenTooOld, unauthenticated, ""},
	{oidc.ErrNotYet, unauthenticated, ""},
	{oidc.ErrLifetime, unauthenticated, ""},
	{oidc.ErrNonce, unauthenticated, ""},
	{oidc.ErrAuthTime, unauthenticated, ""},
	{oidc.ErrSubject, unauthenticated, ""},
	{oidc.ErrState, unauthenticated, ""},
	{oidc.ErrAnswer, unauthenticated, ""},
	{oidc.ErrDenied, unauthenticated, ""},
	{oidc.ErrExchange, unauthenticated, ""},
	{oidc.ErrRefresh, unauthenticated, ""},
	{record.ErrRefresh, unauthenticated, ""},
	{record.ErrErased, unauthenticated, ""},
	{record.ErrClaimsOld, loginTooOld, ""},
	{record.ErrOtherLogin, loginTooOld, ""},
	{errCrossSite, forbidden, ""},

	// Hosts.
	{record.ErrHostRetired, hostRetired, ""},
	{record.ErrInvitation, invitationRefused, ""},
	{record.ErrHostOther, fieldRefused, ""},
	{record.ErrAlias, fieldRefused, ""},
	{record.ErrSameAdmin, sameAdmin, ""},
	{authority.ErrTooSoon, tooMuch, ""},
	{authority.ErrReplay, fieldRefused, ""},
	{authority.ErrNoBundle, notFound, ""},
	{authority.ErrNoHostKeys, unavailable, "this server has no keys for hosts; tell its operator"},
	{hostcall.ErrCall, forbidden, ""},
	{errNotHere, fieldRefused, ""},

	// Deciding.
	{approval.ErrSelfApproval, selfApproval, ""},
	{approval.ErrDecidedTwice, decidedTwice, ""},
	{approval.ErrSettled, settled, ""},
	{approval.ErrNotEligible, notEligible, ""},
	{approval.ErrNotRequester, notRequester, ""},
	{approval.ErrWidening, fieldRefused, ""},
	{approval.ErrDecision, fieldRefused, ""},
	{approval.ErrNotGranted, notGranted, ""},
	{approval.ErrGrantOver, grantOver, ""},
	{approval.ErrRevoked, revoked, ""},
	{record.ErrNotRevoker, notRevoker, ""},
	{record.ErrLocked, lockedOut, ""},
	{authority.ErrShown, changed, ""},

	// What the contract says; most arrive in a *contract.ClauseError, whose text
	// names field, clause and limit.
	{contract.ErrGroupsUnknown, groupsUnknown, ""},
	{contract.ErrRoleUnknown, contractForbids, ""},
	{contract.ErrNotMember, contractForbids, ""},
	{contract.ErrNoLogin, contractForbids, ""},
	{contract.ErrLoginNotInRole, contractForbids, ""},
	{contract.ErrNoHost, contractForbids, ""},
	{contract.ErrHostNotInRole, contractForbids, ""},
	{contract.ErrRepeated, contractForbids, ""},
	{contract.ErrTooMany, contractForbids, ""},
	{contract.ErrTooShort, contractForbids, ""},
	{contract.ErrTooLong, contractForbids, ""},
	{contract.ErrNotSeconds, contractForbids, ""},
	{contract.ErrReasonTooShort, contractForbids, ""},
	{contract.ErrTooManyHosts, contractForbids, ""},
	{contract.ErrNoTicket, contractForbids, ""},
	{contract.ErrTicket, contractForbids, ""},
	{contract.ErrFactUnknown, contractForbids, ""},
	{contract.ErrNoPath, contractForbids, ""},
	{contract.ErrExclusive, contractForbids, ""},
	{contract.ErrNotHolder, contractForbids, ""},
	{record.ErrNotInForce, contractForbids, ""},
	{record.ErrNotCarried, contractForbids, ""},

	// What was sent.
	{errMalformed, malformed, ""},
	{errMedia, badMedia, ""},
	{errMethod, wrongMethod, ""},
	{errHost, misdirected, ""},
	{sshcert.ErrKeyPolicy, keyRefused, ""},
	{sshcert.ErrLogin, fieldRefused, ""},
	{sshcert.ErrHost, fieldRefused, ""},
	{authority.ErrField, fieldRefused, ""},
	{authority.ErrIssuer, fieldRefused, ""},
	{authority.ErrTooManyOpen, tooMuch, ""},
	{authority.ErrTooManyCancelled, tooMuch, ""},
	{errTooFast, tooMuch, ""},
	{errStreams, tooMuch, ""},
	{store.ErrNoChallenge, fieldRefused, ""},
	{record.ErrDocument, fieldRefused, ""},
	{record.ErrExists, fieldRefused, ""},
	{authority.ErrNotYours, notFound, ""},
	{record.ErrNotFound, notFound, ""},
	{errNoRoute, notFound, ""},
	{ledger.ErrTile, notFound, ""},
	{ledger.ErrMessage, forbidden, ""},
	{audit.ErrFeed, fieldRefused, ""},
}

// maxDetail bounds what of an error is told: its text may repeat what was sent.
const maxDetail = 600

// classify returns the kind of problem that an error is, and what to say of it.
func classify(err error) (kind, string) {
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge, "the body is larger than the " + bytesText(e.Limit) + " that are read"
	}
	for _, row := range problemTable {
		if !errors.Is(err, row.err) {
			continue
		}
		if row.plain != "" {
			return row.kind, row.plain
		}
		return row.kind, clip(visible(err.Error()), maxDetail)
	}
	return internal, ""
}

// refuse answers with the problem that err is: as a document under /v1, as a page
// elsewhere. Errors whose text the person does not get are logged.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	k, detail := classify(err)
	t := traceOf(r.Context())
	t.problem = k.slug
	id := string(t.id)
	if k.status >= http.StatusInternalServerError {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "not answered as asked",
			slog.String("request_id", id), slog.String("problem", k.slug), slog.Any("error", err))
	}
	if limit, ok := errors.AsType[*limitError](err); ok {
		w.Header().Set("Retry-After", limit.retryAfter())
		s.watch.Limited(limit.limit)
	} else if k.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if !strings.HasPrefix(r.URL.Path, apiPrefix) {
		s.problemPage(w, r, k, detail, id)
		return
	}
	if k.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	body, err := json.Marshal(api.Problem{Type: "/problems/" + k.slug, Title: k.title, Status: k.status, Detail: detail, Instance: id})
	if err != nil {
		http.Error(w, k.title, k.status)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(k.status)
	_, _ = w.Write(append(body, '\n')) // a client that went away needs no answer
}
