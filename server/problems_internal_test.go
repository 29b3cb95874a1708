package server

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// inTable names each sentinel that the table has a row for.
var inTable = map[string]error{
	"approval.ErrSelfApproval": approval.ErrSelfApproval, "approval.ErrDecidedTwice": approval.ErrDecidedTwice,
	"approval.ErrSettled": approval.ErrSettled, "approval.ErrNotEligible": approval.ErrNotEligible, "approval.ErrNotRequester": approval.ErrNotRequester,
	"approval.ErrWidening": approval.ErrWidening, "approval.ErrDecision": approval.ErrDecision,
	"approval.ErrNotGranted": approval.ErrNotGranted, "approval.ErrGrantOver": approval.ErrGrantOver, "approval.ErrRevoked": approval.ErrRevoked,
	"record.ErrNotRevoker": record.ErrNotRevoker, "record.ErrLocked": record.ErrLocked,

	"authority.ErrField": authority.ErrField, "authority.ErrTooManyOpen": authority.ErrTooManyOpen, "authority.ErrTooManyCancelled": authority.ErrTooManyCancelled, "authority.ErrShown": authority.ErrShown,
	"authority.ErrNotYours": authority.ErrNotYours, "authority.ErrHalted": authority.ErrHalted, "authority.ErrIssuer": authority.ErrIssuer,

	"ca.ErrSigner": ca.ErrSigner, "ca.ErrUnavailable": ca.ErrUnavailable,

	"contract.ErrGroupsUnknown": contract.ErrGroupsUnknown, "contract.ErrRoleUnknown": contract.ErrRoleUnknown,
	"contract.ErrNotMember": contract.ErrNotMember, "contract.ErrNoLogin": contract.ErrNoLogin, "contract.ErrLoginNotInRole": contract.ErrLoginNotInRole,
	"contract.ErrNoHost": contract.ErrNoHost, "contract.ErrHostNotInRole": contract.ErrHostNotInRole, "contract.ErrRepeated": contract.ErrRepeated,
	"contract.ErrTooMany": contract.ErrTooMany, "contract.ErrTooShort": contract.ErrTooShort, "contract.ErrTooLong": contract.ErrTooLong,
	"contract.ErrNotSeconds": contract.ErrNotSeconds, "contract.ErrReasonTooShort": contract.ErrReasonTooShort, "contract.ErrNoPath": contract.ErrNoPath, "contract.ErrNotHolder": contract.ErrNotHolder,
	"contract.ErrTooManyHosts": contract.ErrTooManyHosts, "contract.ErrNoTicket": contract.ErrNoTicket, "contract.ErrTicket": contract.ErrTicket, "contract.ErrFactUnknown": contract.ErrFactUnknown, "contract.ErrExclusive": contract.ErrExclusive,

	"oidc.ErrUnreachable": oidc.ErrUnreachable, "oidc.ErrMetadata": oidc.ErrMetadata, "oidc.ErrTokenTooLarge": oidc.ErrTokenTooLarge,
	"oidc.ErrMalformed": oidc.ErrMalformed, "oidc.ErrAlgorithm": oidc.ErrAlgorithm, "oidc.ErrSignature": oidc.ErrSignature,
	"oidc.ErrIssuer": oidc.ErrIssuer, "oidc.ErrAudience": oidc.ErrAudience, "oidc.ErrExpired": oidc.ErrExpired, "oidc.ErrTokenTooOld": oidc.ErrTokenTooOld,
	"oidc.ErrNotYet": oidc.ErrNotYet, "oidc.ErrLifetime": oidc.ErrLifetime, "oidc.ErrNonce": oidc.ErrNonce, "oidc.ErrAuthTime": oidc.ErrAuthTime,
	"oidc.ErrSubject": oidc.ErrSubject, "oidc.ErrState": oidc.ErrState, "oidc.ErrAnswer": oidc.ErrAnswer, "oidc.ErrDenied": oidc.ErrDenied,
	"oidc.ErrExchange": oidc.ErrExchange, "oidc.ErrRefresh": oidc.ErrRefresh,

	"record.ErrNotFound": record.ErrNotFound, "record.ErrNotInForce": record.ErrNotInForce, "record.ErrNotCarried": record.ErrNotCarried, "record.ErrExists": record.ErrExists,
	"record.ErrClaimsOld": record.ErrClaimsOld, "record.ErrRefresh": record.ErrRefresh, "record.ErrErased": record.ErrErased, "record.ErrDocument": record.ErrDocument,

	"sshcert.ErrLogin": sshcert.ErrLogin, "sshcert.ErrHost": sshcert.ErrHost, "sshcert.ErrKeyPolicy": sshcert.ErrKeyPolicy,

	"store.ErrNoSession": store.ErrNoSession, "store.ErrNoChallenge": store.ErrNoChallenge, "store.ErrNoFlow": store.ErrNoFlow,
	"store.ErrUsed": store.ErrUsed, "store.ErrBusy": store.ErrBusy, "store.ErrClock": store.ErrClock, "authority.ErrVoid": authority.ErrVoid,
	"authority.ErrUncosigned": authority.ErrUncosigned, "authority.ErrWithheld": authority.ErrWithheld, "ledger.ErrMessage": ledger.ErrMessage, "ledger.ErrTile": ledger.ErrTile,
	"record.ErrOtherLogin":  record.ErrOtherLogin,
	"record.ErrHostRetired": record.ErrHostRetired, "record.ErrHostOther": record.ErrHostOther, "record.ErrAlias": record.ErrAlias, "record.ErrInvitation": record.ErrInvitation, "record.ErrSameAdmin": record.ErrSameAdmin,
	"authority.ErrTooSoon": authority.ErrTooSoon, "authority.ErrReplay": authority.ErrReplay, "authority.ErrNoBundle": authority.ErrNoBundle, "authority.ErrNoHostKeys": authority.ErrNoHostKeys,
	"hostcall.ErrCall":     hostcall.ErrCall,
	"store.ErrUnavailable": store.ErrUnavailable, "authority.ErrMark": authority.ErrMark, "store.ErrConflict": store.ErrConflict, "authority.ErrMarkMoved": authority.ErrMarkMoved,
	"store.ErrUnknownOutcome": store.ErrUnknownOutcome, "store.ErrUnsafe": store.ErrUnsafe,
}

const (
	offline  = "made by the operator's commands, which do not go through HTTP"
	starting = "keeps the server from starting"
	ours     = "our own records or settings are wrong: internal, without detail"
	wrapped  = "reaches us inside record.ErrDocument or authority.ErrField, which have rows"
)

// exempt are the sentinels without a row, each with the reason.
var exempt = map[string]string{
	"authority.ErrDegraded": "told by GET /readyz and nowhere else",
	"authority.ErrCopy":     offline, "authority.ErrBundleKeys": offline, "hostcall.ErrInvitation": "for who makes an invitation or takes one: hosts post its parts",

	"ca.ErrLint": ours, "ca.ErrTemplate": ours, "softkey.ErrKeyFile": starting,
	"canon.ErrNotCanonical": "what a client signs arrives in record.ErrDocument; alone it says that " + ours,
	"canon.ErrEncoding":     wrapped,

	"certproof.ErrNoProof": ours, "certproof.ErrExtra": ours, "certproof.ErrSerial": ours, "certproof.ErrSignature": ours, "certproof.ErrEmbed": ours,

	"contract.ErrTerms": offline, "contract.ErrProse": offline, "contract.ErrManifest": offline, "contract.ErrStatement": offline,
	"contract.ErrOtherContract": offline, "contract.ErrNotSignatory": offline, "contract.ErrBadSignature": offline,
	"contract.ErrZone":         "the terms were checked to have rules of zones only: " + ours,
	"contract.ErrGroupUnknown": "the terms were checked to have every group that they name: " + ours,

	"ledger.ErrLeaf": ours, "ledger.ErrTree": ours, "ledger.ErrOrigin": ours, "ledger.ErrLogKey": ours, "ledger.ErrCheckpoint": ours,
	"ledger.ErrUntrusted": ours, "ledger.ErrProof": ours, "ledger.ErrNotIncluded": ours, "ledger.ErrPolicy": ours,
	"ledger.ErrForked": "reaches us inside authority.ErrHalted", "ledger.ErrRewound": "reaches us inside authority.ErrHalted",
	"ledger.ErrSalt": wrapped, "ledger.ErrCosigner": starting,
	"ledger.ErrCosignature": "reaches us inside authority.ErrUncosigned", "ledger.ErrAddCheckpoint": "for witnesses, which we ask and are not",

	"authority.ErrNoAddress": "its text stands in authority.ErrWithheld",
	"witness.ErrConfig":      starting, "witness.ErrUnreachable": "its text stands in authority.ErrUncosigned", "witness.ErrRefused": "its text stands in authority.ErrUncosigned",
	"witness.ErrFork": "reaches us inside authority.ErrHalted", "witness.ErrClock": "its text stands in authority.ErrUncosigned",
	"witness.ErrUnjustified": "its text stands in authority.ErrUncosigned", "witness.ErrNoHead": "for witnesses, which we ask and are not",

	"oidc.ErrConfig": ours, "oidc.ErrNoAnswer": "made by the loopback listener of the command-line client",

	"store.ErrSealed": ours, "store.ErrNoKey": ours,
	"store.ErrHeld":   "for consumers of the ledger, which no request is",
	"record.ErrEvent": ours, "record.ErrOpening": ours, "record.ErrSecond": ours, "record.ErrIssuerRead": offline, "record.ErrUnenforced": offline,
	"record.ErrSuperseded": offline, "record.ErrProposalOver": offline, "contract.ErrAmendment": offline, "contract.ErrConflict": offline, "contract.ErrNotTerminable": offline,
	"record.ErrUncarried": "wraps record.ErrNotInForce, which has a row; the next call carries the grant",
	"record.ErrRetained":  offline, "record.ErrSigners": offline, "record.ErrAccounts": offline,

	"sshcert.ErrSignature": wrapped, "sshcert.ErrCertificate": ours, "sshcert.ErrNotCanonical": ours, "sshcert.ErrKeyID": ours, "sshcert.ErrPrincipal": ours,

	"store.ErrSchema": starting, "postgres.ErrConfig": starting,
}

// TestEverySentinelHasAPlace finds every exported sentinel of the packages below
// and demands a row of the table or a written exemption, and nothing stale.
func TestEverySentinelHasAPlace(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, dir := range []string{
		"approval", "authority", "ca", "ca/softkey", "canon", "contract", "internal/store", "internal/store/postgres", "internal/store/sqlite",
		"ledger", "ledger/certproof", "ledger/hostcall", "ledger/witness", "oidc", "record", "sshcert",
	} {
		for _, name := range sentinels(t, filepath.Join("..", filepath.FromSlash(dir))) {
			found[path.Base(dir)+"."+name] = true
		}
	}
	if len(found) < 80 {
		t.Fatalf("only %d sentinels found", len(found))
	}
	for name := range found {
		err, has := inTable[name]
		reason, free := exempt[name]
		row := rowOf(err)
		switch {
		case has == free:
			t.Errorf("%s needs a row in problemTable and in inTable, or a reason in exempt: one of them", name)
		case has && row == nil:
			t.Errorf("%s has no row in problemTable", name)
		case free && reason == "":
			t.Errorf("%s is exempt without a reason", name)
		}
	}
	for name := range inTable {
		if !found[name] {
			t.Errorf("inTable names %s, which is gone", name)
		}
	}
	for name := range exempt {
		if !found[name] {
			t.Errorf("exempt names %s, which is gone", name)
		}
	}
}

// rowOf returns the row for exactly this error.
func rowOf(err error) *problemRow {
	for i := range problemTable {
		if err != nil && problemTable[i].err == err { //nolint:errorlint // the row itself is meant, not a chain
			return &problemTable[i]
		}
	}
	return nil
}

// sentinels lists the exported variables Err… of a package folder.
func sentinels(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	var out []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, id := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(id.Name, "Err") {
						out = append(out, id.Name)
					}
				}
			}
		}
	}
	return out
}

func TestKindsAreStable(t *testing.T) {
	t.Parallel()
	status := map[string]int{}
	for _, row := range problemTable {
		k := row.kind
		if k.slug == "" || k.title == "" || k.next == "" || k.status < 400 || k.status > 599 {
			t.Errorf("%v: kind %+v", row.err, k)
		}
		if known, ok := status[k.slug]; ok && known != k.status && k != badMedia && k != malformed {
			t.Errorf("%s has the statuses %d and %d", k.slug, known, k.status)
		}
		status[k.slug] = k.status
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	clause := &contract.ClauseError{Clause: "§1", Field: "for", Limit: "10s to 30m", Err: fmt.Errorf("2h is %w", contract.ErrTooLong)}
	for _, tt := range []struct {
		name   string
		err    error
		kind   kind
		detail string // empty: there must be none
	}{
		{"a plain row", fmt.Errorf("it was denied: %w", approval.ErrSettled), settled, "it was denied: this request is settled"},
		{"the contract's words", clause, contractForbids, clause.Error()},
		{"groups unknown in a clause", &contract.ClauseError{Field: "who", Limit: "x", Err: contract.ErrGroupsUnknown}, groupsUnknown, "who: "},
		{"halted, whatever is below", fmt.Errorf("%w: request x in the tables (%w)", authority.ErrHalted, record.ErrNotFound), unavailable, "tell the operator"},
		{"a database's words stay inside", fmt.Errorf("%w: disk I/O error at /var/lib/x", store.ErrUnavailable), unavailable, "the database is not available"},
		{"a login in a document", fmt.Errorf("document: %w: %w", record.ErrDocument, sshcert.ErrLogin), fieldRefused, "document: "},
		{"a key in a document", fmt.Errorf("%w: rsa", sshcert.ErrKeyPolicy), keyRefused, "key refused: rsa"},
		{"an old login", fmt.Errorf("it is 2h old: %w", record.ErrClaimsOld), loginTooOld, "it is 2h old"},
		{"a large body", fmt.Errorf("%w: %w", errMalformed, &http.MaxBytesError{Limit: maxBody}), tooLarge, "64 KiB"},
		{"a client that went away", fmt.Errorf("beginning: %w", context.Canceled), unavailable, "closed"},
		{"not in the table", errors.New("secret path /etc/x"), internal, ""},
		{"an exempt one", fmt.Errorf("leaf 7: %w", record.ErrEvent), internal, ""},
		{"a row that can't be read", canon.ErrNotCanonical, internal, ""},
		{"a panic", errPanic, internal, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k, detail := classify(tt.err)
			if k != tt.kind || !strings.Contains(detail, tt.detail) || tt.detail == "" && detail != "" {
				t.Errorf("got %s %q, want %s %q", k.slug, detail, tt.kind.slug, tt.detail)
			}
			if strings.Contains(detail, "/var/lib") || strings.Contains(detail, "tables") {
				t.Errorf("the detail tells what only the operator should read: %q", detail)
			}
		})
	}
}

// TestPromiseP16_ErrorTextIsShort checks that an error which repeats what was
// sent stays short and can't hide anything.
func TestPromiseP16_ErrorTextIsShort(t *testing.T) {
	t.Parallel()
	_, detail := classify(fmt.Errorf("%w: %s", authority.ErrField, "a\u202eb\x1b[2J\n"+strings.Repeat("é", 5000)))
	if len(detail) > maxDetail+len("…") || !strings.HasSuffix(detail, "é…") {
		t.Errorf("%d bytes, ends in %q", len(detail), detail[len(detail)-6:])
	}
	if !strings.HasPrefix(detail, "not accepted: a⟨U+202E⟩b⟨U+001B⟩[2J⟨U+000A⟩é") {
		t.Errorf("got %.60q", detail)
	}
}
