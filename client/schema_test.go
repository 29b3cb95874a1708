package client

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/audit"
)

// schemaObject is an object of docs/cli.schema.json.
type schemaObject struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Additional *bool                      `json:"additionalProperties"`
}

// TestSchemaIsWhatIsPrinted holds the documented members of each object to those of
// the struct that is printed: none missing, none too many, and those required that
// always stand.
func TestSchemaIsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/cli.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Defs map[string]schemaObject `json:"$defs"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	results := map[string]any{
		"whoami": whoamiResult{}, "RequestResult": api.Request{}, "Status": dashboard{}, "list": requestsResult{}, "HostsResult": hostsResult{},
		"HostResult": hostResult{}, "ledger list": entriesResult{}, "ledger show": entryResult{}, "version": versionResult{}, "revoke": api.Revocation{}, "error": errorResult{},
		"ledger export": exportResult{}, "audit verify": auditResult{}, "audit explain": storyResult{}, "BundleResult": bundleResult{},
		"hosts list": fleetResult{}, "hosts invite": invitationResult{}, "hosts config": configResult{}, "HostAct": api.HostAct{},
		"ContractResult": contractResult{}, "contract lint": lintResult{}, "contract diff": diffResult{}, "contract class": classResult{}, "contract verify": chainResult{}, "contract export": contractExport{},
		"ContractListResult": contractListResult{}, "ContractStandingResult": api.ContractVersion{}, "contract plan": planResult{},
	}
	parts := map[string]any{
		"Request": api.Request{}, "Decision": api.Decision{}, "Grant": api.Grant{}, "Revoked": api.Revoked{}, "Contract": api.Contract{}, "Host": api.Host{}, "Heartbeat": api.Heartbeat{}, "RoleOption": api.RoleOption{},
		"RoleStage": api.RoleStage{}, "Entry": api.Entry{}, "EntryProof": api.EntryProof{}, "Check": Check{}, "CertificateHeld": certificateHeld{}, "HostRoles": hostRoles{},
		"AuditReport": audit.Report{}, "AuditCertificate": audit.Certificate{}, "AuditPart": audit.Part{}, "AuditContract": audit.Contract{}, "AuditFinding": audit.Finding{}, "AuditSuccession": audit.Succession{},
		"ContractParty": partyResult{}, "ContractSignature": signatureState{}, "MissingSignature": missingLine{}, "ContractVersion": contractVersion{},
		"ContractStanding": api.ContractVersion{}, "ContractSigned": api.ContractSigned{}, "ContractMissing": api.ContractMissing{},
		"LintedContract": lintedDir{}, "LintFinding": lintFinding{}, "TermsChange": termsChange{}, "ClassChange": classChange{}, "ClassWitness": classWitness{},
		"BundleRoot": bundleRoot{}, "StoryContract": storyContract{}, "StorySignature": storySignature{}, "StoryRequest": storyRequest{}, "StoryDecision": storyDecision{}, "StorySession": storySession{},
	}
	for name, v := range results {
		wantMembers(t, name, document.Defs[name], v, true)
	}
	for name, v := range parts {
		wantMembers(t, name, document.Defs[name], v, false)
	}
	for name, d := range document.Defs {
		if d.Properties != nil && results[name] == nil && parts[name] == nil {
			t.Errorf("$defs/%s is no object that sally prints", name)
		}
	}
	for member, v := range map[string]any{"ssh_now": sshNow{}, "session": sessionResult{}, "server": serverResult{}} {
		wantMembers(t, "Status."+member, within(t, document.Defs["Status"], member), v, false)
	}
	wantMembers(t, "error.error", within(t, document.Defs["error"], "error"), errorDetail{}, false)
}

func within(t *testing.T, d schemaObject, member string) schemaObject {
	t.Helper()
	var out schemaObject
	if err := json.Unmarshal(d.Properties[member], &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func wantMembers(t *testing.T, name string, d schemaObject, v any, isResult bool) {
	t.Helper()
	all, always := members(reflect.TypeOf(v))
	if isResult {
		all, always = append(all, "v"), append(always, "v")
	}
	if name == "whoami" { // it is taken out
		all = slices.DeleteFunc(all, func(m string) bool { return m == "bearer" })
	}
	slices.Sort(all)
	slices.Sort(always)
	if got := slices.Sorted(maps.Keys(d.Properties)); !slices.Equal(got, all) {
		t.Errorf("$defs/%s has the members %v, printed are %v", name, got, all)
	}
	if got := slices.Sorted(slices.Values(d.Required)); !slices.Equal(got, always) {
		t.Errorf("$defs/%s requires %v, always printed are %v", name, got, always)
	}
	if d.Additional == nil || *d.Additional {
		t.Errorf("$defs/%s allows members that it does not describe", name)
	}
}

// members lists the names of a struct's JSON members, and of those that always
// stand.
func members(t reflect.Type) (all, always []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			more, alwaysMore := members(f.Type)
			all, always = append(all, more...), append(always, alwaysMore...)
			continue
		}
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		all = append(all, name)
		if !strings.Contains(options, "omit") {
			always = append(always, name)
		}
	}
	return all, always
}
