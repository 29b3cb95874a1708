package server

import (
	"net/http"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/docs"
)

// An operation is what docs/openapi.json says of a route beside method, path and
// who may call it. What every route answers (usual) and what follows from the
// rest (problemsOf) is left out here.
type operation struct {
	id      string // unique; clients are generated with it as a name
	tag     string
	summary string
	more    string // what the summary leaves out; may be empty

	// Types from package api; nil: none. A body has all its members and no other.
	path, query, body any

	mayBear bool      // without a bearer it answers, too; with one, something else
	streams bool      // it answers server-sent events, whose data is the answer's body
	answers []success // at least one
	refuses []kind    // problems of its own
}

// A success is an answer to a request that was done as asked.
type success struct {
	status int
	body   any // its type; nil: no body; lines: JSON Lines, of several types
	means  string
}

// lines stands for an answer in mediaLines.
type lines struct{}

// mediaLines is the type of JSON Lines.
const mediaLines = "application/x-ndjson"

// apiRoutes lists the JSON interface, all below apiPrefix.
func (s *Server) apiRoutes() []route {
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	return []route{
		{method: get, path: "/v1/server", anyone: s.about, doc: &operation{
			id: "getServer", tag: "server", summary: "What a client must know before it can log in",
			more:    "Nothing in it is to be trusted beyond the pin file.",
			answers: []success{{200, api.Server{}, "origin, contracts in force and their identity providers"}},
		}},
		{method: get, path: "/v1/openapi.json", anyone: s.openAPI, doc: &operation{
			id: "getOpenAPI", tag: "server", summary: "This document",
			answers: []success{{200, map[string]any{}, "OpenAPI 3.1"}},
		}},

		{method: post, path: "/v1/challenges", anyone: s.challenge, doc: &operation{
			id: "createChallenge", tag: "sessions", summary: "Draw a challenge to sign",
			more:    "For the purpose session it takes no bearer, for the purpose issue it needs one.",
			body:    api.ChallengeRequest{},
			mayBear: true,
			answers: []success{{200, api.Challenge{}, "good once, for five minutes"}},
			refuses: []kind{unauthenticated, fieldRefused},
		}},
		{method: post, path: "/v1/sessions", anyone: s.openSession, doc: &operation{
			id: "openSession", tag: "sessions", summary: "Log in with an ID token, or renew the claims of a session",
			more: "The ID token's nonce commits to the device key (docs/formats.md, \"Nonce commitment\"). With the bearer of a live session " +
				"it is renewed by a newer ID token for the same person and device key.",
			body:    api.SessionRequest{},
			mayBear: true,
			answers: []success{
				{201, api.Session{}, "a new session, with its bearer"},
				{200, api.Session{}, "the session of the bearer, with newer claims"},
			},
			refuses: []kind{unauthenticated, fieldRefused, keyRefused},
		}},
		{method: get, path: "/v1/sessions/current", bearer: s.currentSession, doc: &operation{
			id: "getSession", tag: "sessions", summary: "Who is logged in",
			answers: []success{{200, api.Session{}, "the session of the bearer"}},
		}},
		{method: del, path: "/v1/sessions/current", bearer: s.endSession, doc: &operation{
			id: "endSession", tag: "sessions", summary: "Log out",
			more:    "Open requests and grants stay.",
			answers: []success{{204, nil, "the bearer is good for nothing any more"}},
		}},

		{method: get, path: "/v1/hosts", bearer: s.hosts, doc: &operation{
			id: "listHosts", tag: "requests", summary: "The hosts of the contracts that concern one",
			more: "A contract concerns those in a group that it names, as askers or as deciders. With limit there is one page; the next one is asked for " +
				"with after, the name of its last host, whatever joined or left meanwhile. A page that is shorter than limit is the last.",
			query:   api.HostsQuery{},
			answers: []success{{200, []api.Host{}, "sorted by name"}},
			refuses: []kind{fieldRefused},
		}},
		{method: post, path: "/v1/hosts/acts", bearer: s.actOnHost, doc: &operation{
			id: "actOnHost", tag: "hosts", summary: "Invite, relabel or retire a host, as its host admin",
			more: "The document is signed by the device key of the session (docs/formats.md, \"Signed documents\"). Labels change once two host " +
				"admins have asked for the same. A repeat is safe.",
			body:    api.HostActRequest{},
			answers: []success{{200, api.HostAct{}, "recorded"}},
			refuses: []kind{loginTooOld, fieldRefused, contractForbids, groupsUnknown, notFound, hostRetired, invitationRefused, sameAdmin},
		}},
		{method: post, path: "/v1/hosts/join", anyone: s.joinHost, doc: &operation{
			id: "joinHost", tag: "hosts", summary: "Take an invitation, as the host that it is for",
			more: "The document is signed by the host's own key (docs/formats.md, \"A host's call\"). A repeat by the same key is safe while nothing " +
				"else became of the host.",
			body:    api.HostJoinRequest{},
			answers: []success{{201, api.JoinedHost{}, "the host is in the inventory"}},
			refuses: []kind{forbidden, invitationRefused, fieldRefused, contractForbids},
		}},
		{method: post, path: hostCallsPath, anyone: s.hostCall, doc: &operation{
			id: "callAsHost", tag: "hosts", summary: "What a host says that has joined: heartbeats, events, the wish for a host certificate",
			more: "The document is signed by the host's own key (docs/formats.md, \"A host's call\"), counts once, and is dated within five minutes. " +
				"A host may call 120 times a minute, and gets one certificate a minute.",
			body:    api.HostCallRequest{},
			answers: []success{{200, api.HostCallAnswer{}, "done; nothing more is said of a heartbeat"}},
			refuses: []kind{forbidden, fieldRefused, hostRetired, notFound},
		}},
		{method: get, path: "/v1/hosts/bundle", anyone: s.hostBundle, doc: &operation{
			id: "getBundle", tag: "hosts", summary: "A trust bundle for the hosts of a contract",
			more:    "It is the file that was published, byte for byte (docs/formats.md, \"Trust bundle\"). Whoever takes it checks it: by its digest, or by the roots in the one before.",
			query:   api.BundleQuery{},
			answers: []success{{200, map[string]any{}, "the bundle with its signatures"}},
			refuses: []kind{notFound, fieldRefused},
		}},
		{method: get, path: "/v1/roles", bearer: s.roles, doc: &operation{
			id: "listRoles", tag: "requests", summary: "By which roles one may ask for logins on hosts",
			more:    "Each login on each host is asked about. Without parameters it lists all that one may ask for, with the hosts.",
			query:   api.RolesQuery{},
			answers: []success{{200, []api.RoleOption{}, "where logins and hosts were asked about one or more: if there is none, the refusal says what would pass"}},
			refuses: []kind{fieldRefused, contractForbids, groupsUnknown},
		}},
		{method: get, path: "/v1/contracts", bearer: s.contracts, doc: &operation{
			id: "listContracts", tag: "contracts", summary: "Every version of the contracts that concern one: who signed, who has to sign still",
			answers: []success{{200, []api.ContractVersion{}, "by contract, newest version first"}},
			refuses: []kind{groupsUnknown},
		}},
		{method: post, path: "/v1/contracts", bearer: s.sendContract, doc: &operation{
			id: "sendContract", tag: "contracts", summary: "Propose an amendment, or bring signatures over one",
			more: "The files are those of the version's folder. A signature counts for who made it, whoever brings it. Each must hold, or nothing is " +
				"recorded; a repeat is safe. Version 1 is added by the operator.",
			body:    api.ContractSend{},
			answers: []success{{200, api.ContractVersion{}, "recorded, and where it stands"}},
			refuses: []kind{notFound, fieldRefused, groupsUnknown},
		}},
		{method: get, path: "/v1/contracts/{digest}", bearer: s.contractFiles, doc: &operation{
			id: "getContract", tag: "contracts", summary: "A contract version with its files and signatures",
			path:    api.ContractPath{},
			answers: []success{{200, api.ContractFiles{}, "byte for byte as it was proposed"}},
			refuses: []kind{notFound, groupsUnknown},
		}},
		{method: post, path: "/v1/contracts/plan", bearer: s.planContract, doc: &operation{
			id: "planContract", tag: "contracts", summary: "What a draft of a contract's terms would have changed",
			more: "Each request of the last days is decided again, as far as possible, by the draft, on what was known when it was made. It is " +
				"for holders of an office of the contract, names people by their ids alone, and keeps nothing. Two are answered at the same time, others get 503.",
			body:    api.PlanRequest{},
			answers: []success{{200, api.Plan{}, "the plan, as plan.json has it"}},
			refuses: []kind{notFound, fieldRefused, contractForbids, groupsUnknown},
		}},
		{method: post, path: "/v1/requests", bearer: s.submit, doc: &operation{
			id: "submitRequest", tag: "requests", summary: "Ask for logins on hosts",
			more:    "The document is signed by the device key of the session (docs/formats.md, \"Signed documents\"). A repeat of a document is safe.",
			body:    api.RequestRequest{},
			answers: []success{{201, api.Request{}, "recorded"}, {200, api.Request{}, "recorded before: the same document came already"}},
			refuses: []kind{loginTooOld, fieldRefused, contractForbids, groupsUnknown, lockedOut},
		}},
		{method: get, path: "/v1/requests", bearer: s.listRequests, doc: &operation{
			id: "listRequests", tag: "requests", summary: "One's own requests, or those that wait for one's decision",
			query:   api.RequestsQuery{},
			answers: []success{{200, api.Requests{}, "one page, newest first"}},
			refuses: []kind{fieldRefused, groupsUnknown},
		}},
		{method: get, path: "/v1/requests/{id}", bearer: s.showRequest, doc: &operation{
			id: "getRequest", tag: "requests", summary: "A request",
			more:    "It is there for whoever asked, decided, or is in a group that decides on it.",
			path:    api.RequestPath{},
			answers: []success{{200, api.Request{}, "the request as it stands"}},
			refuses: []kind{notFound, groupsUnknown},
		}},
		{method: post, path: "/v1/requests/{id}/cancel", bearer: s.cancelRequest, counts: countsAsTakingAway, doc: &operation{
			id: "cancelRequest", tag: "requests", summary: "Cancel one's own pending request",
			more:    "The document is signed by the device key. A repeat is safe.",
			path:    api.RequestPath{},
			body:    api.CancelRequest{},
			answers: []success{{200, api.Request{}, "the request, cancelled"}},
			refuses: []kind{notFound, notRequester, groupsUnknown, fieldRefused, settled},
		}},
		{method: post, path: "/v1/revocations", bearer: s.revoke, counts: countsAsTakingAway, doc: &operation{
			id: "revoke", tag: "requests", summary: "Revoke a certificate, a grant, a request, or all that was asked for by a person, in a role or on a host",
			more: "The document is signed by the device key (docs/formats.md, \"Signed documents\") and says what is revoked. Whose that is " +
				"is in docs/revocation.md. A repeat of a document is safe.",
			body:    api.RevocationRequest{},
			answers: []success{{200, api.Revocation{}, "recorded; hosts are told"}},
			refuses: []kind{notFound, notRevoker, lockedOut, loginTooOld, contractForbids, fieldRefused, settled, revoked, notGranted, grantOver},
		}},
		{method: get, path: krlPath, anyone: s.revocationList, doc: &operation{
			id: "getRevocationList", tag: "hosts", summary: "The list of revoked certificates, for hosts",
			more: "It is in OpenSSH's own form, with a statement about it that the server's key for lists has signed for the hosts of one contract " +
				"(docs/revocation.md). With after it is left out if it is the one that the host has; with wait, too, the answer comes when there is " +
				"another one, or when the time is up. If-None-Match is answered.",
			query:   api.RevocationListQuery{},
			answers: []success{{200, api.RevocationList{}, "the newest list"}, {304, nil, "it is the one of If-None-Match"}},
			refuses: []kind{notFound, fieldRefused},
		}},
		{method: post, path: "/v1/grants/{id}/certificates", bearer: s.issue, doc: &operation{
			id: "issueCertificate", tag: "requests", summary: "Have a certificate issued under a grant",
			more: "The document is signed by the device key and by the key that the certificate is for. A repeat for the same key " +
				"answers the same certificate while half its life is left.",
			path:    api.RequestPath{},
			body:    api.CertificateRequest{},
			answers: []success{{200, api.Certificate{}, "in the ledger, signed, and valid"}},
			refuses: []kind{loginTooOld, notFound, fieldRefused, keyRefused, contractForbids, groupsUnknown, notGranted, revoked, lockedOut, grantOver},
		}},

		{method: get, path: "/v1/events", bearer: s.apiEvents, doc: &operation{
			id: "streamEvents", tag: "requests", summary: "What changes about requests, as server-sent events",
			more: "The stream stays open until the session is over, the server stops or the client goes. An event's id is an entry of the ledger; " +
				"whoever comes back with it as Last-Event-ID is told what happened since. Events are \"request\" (its data is an Event), " +
				"\"reset\" (anything may have changed: ask for it anew), \"ping\" (nothing changed; every 20 seconds) and \"bye\" (its data says in reason " +
				"why it is the last: session, stopping). The stream does not prolong the session.",
			query:   api.EventsQuery{},
			streams: true,
			answers: []success{{200, api.Event{}, "events, for as long as it is open"}},
			refuses: []kind{notFound, groupsUnknown, fieldRefused},
		}},
		{method: get, path: "/v1/ledger/entries", bearer: s.listEntries, doc: &operation{
			id: "listEntries", tag: "ledger", summary: "Entries of the ledger",
			more: "Those that mention everything that is asked for, as far as one may see. A cursor stays good while the ledger grows; with order=oldest " +
				"and no until it never ends: asked again, it tells what came since. With people the reading is recorded before it is answered.",
			query:   api.EntriesQuery{},
			answers: []success{{200, api.Entries{}, "one page, newest first unless asked otherwise"}},
			refuses: []kind{fieldRefused, loginTooOld, contractForbids, groupsUnknown},
		}},
		{method: get, path: "/v1/ledger/entries/{index}", bearer: s.showEntry, doc: &operation{
			id: "getEntry", tag: "ledger", summary: "An entry with its proof",
			more:    "With people the reading is recorded before it is answered.",
			path:    api.EntryPath{},
			query:   api.EntryQuery{},
			answers: []success{{200, api.EntryProof{}, "the leaf, what of its opening one may see, and the proof that it is in the ledger"}},
			refuses: []kind{notFound, fieldRefused, loginTooOld, contractForbids, groupsUnknown},
		}},
		{method: get, path: "/v1/ledger/export", bearer: s.export, doc: &operation{
			id: "exportLedger", tag: "ledger", summary: "The whole ledger as one bundle",
			more: "It is JSON Lines, as docs/formats.md says under \"Export bundle\", of one committed state, with what of each opening one may " +
				"see. An answer without the last line was broken off. Two are answered at the same time, others get 503. With people the reading is " +
				"recorded before the first line.",
			query:   api.ExportQuery{},
			refuses: []kind{fieldRefused, loginTooOld, contractForbids, groupsUnknown},
			answers: []success{{200, lines{}, "a head, a line for each leaf in order, and an end"}},
		}},
		{method: post, path: openingsPath, anyone: s.openings, doc: &operation{
			id: "openLeaves", tag: "ledger", summary: "Leaves with what they hide, for a party cosigner",
			more: "The document is signed by the key of a cosigner that a contract in force names (docs/formats.md, \"Openings for a party " +
				"cosigner\"). Opened are the leaves of that contract, and the logins and snapshots that these name, ID tokens included.",
			body:    api.OpeningsRequest{},
			answers: []success{{200, lines{}, "leaves that others name, leaves in order, and an end"}},
			refuses: []kind{forbidden, fieldRefused, notFound},
		}},
	}
}

// usual are the problems that any route may answer.
var usual = []kind{malformed, misdirected, tooMuch, internal, unavailable}

// problemsOf lists all problems that a route of the JSON interface may answer.
func problemsOf(r route) []kind {
	out := append([]kind{}, usual...)
	if r.bearer != nil {
		out = append(out, unauthenticated)
	}
	if r.doc.body != nil {
		out = append(out, badMedia, tooLarge)
	}
	return append(out, r.doc.refuses...)
}

// openAPI answers GET /v1/openapi.json.
func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(docs.OpenAPI) // a client that went away needs no answer
	return nil
}
