package contract_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

const offices = "offices: {auditor: [dba, nw-support], reviewer: [sre]}\n\nceilings:\n"

func TestOffices(t *testing.T) {
	t.Parallel()
	text := strings.Replace(string(read(t, "good/terms.yaml")), "ceilings:\n", offices, 1)
	terms, err := contract.ParseTerms([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	known := func(issuer string, groups ...string) contract.Subject {
		return contract.Subject{Issuer: issuer, Groups: groups, GroupsKnown: true}
	}
	const northwind = "https://id.northwind.example/realms/ops"
	for _, tt := range []struct {
		name    string
		subject contract.Subject
		office  contract.Office
		want    error
	}{
		{"of the first group", known(acmeIssuer, "Database Admins"), contract.Auditor, nil},
		{"of the second group, of another issuer", known(northwind, "/ops/support"), contract.Auditor, nil},
		{"the group's name, said by the other issuer", known(northwind, "Database Admins"), contract.Auditor, contract.ErrNotHolder},
		{"of the group of another office", known(acmeIssuer, "sre"), contract.Auditor, contract.ErrNotHolder},
		{"of that other office", known(acmeIssuer, "sre"), contract.Reviewer, nil},
		{"an office that is not named", known(acmeIssuer, "sre", "Database Admins"), contract.Operator, contract.ErrNotHolder},
		{"groups that are not known", contract.Subject{Issuer: acmeIssuer, Groups: []string{"Database Admins"}}, contract.Auditor, contract.ErrGroupsUnknown},
		{"nobody", contract.Subject{}, contract.Auditor, contract.ErrNotHolder},
	} {
		if err := terms.CheckHolds(tt.subject, tt.office); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if in, _ := terms.Holds(tt.subject, tt.office); in != (tt.want == nil) {
			t.Errorf("%s: holds the office: %t", tt.name, in)
		}
	}
	if !terms.Concerns(known(acmeIssuer, "Database Admins")) {
		t.Error("a contract does not concern its auditor")
	}
	if in, err := goodVersion(t).Terms.Holds(known(acmeIssuer, "sre"), contract.Auditor); in || err != nil {
		t.Errorf("terms without offices have an auditor: %t, %v", in, err)
	}
}

func TestOfficesRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, with, want string }{
		{"an office that is none", "reviewer:", "inspector:", "terms.yaml:54:39: offices.inspector: no such office, expected one of auditor, host-admin, operator, reviewer"},
		{"misspelt", "auditor:", "auditr:", "terms.yaml:54:11: offices.auditr: no such office, did you mean auditor?"},
		{"a group that is none", "[sre]}", "[sra]}", "offices.reviewer: no group \"sra\" in groups, did you mean sre?"},
		{"nobody", "[sre]}", "[]}", "offices.reviewer: expected one or more groups, found none"},
		{"a group twice", "[sre]}", "[sre, sre]}", "\"sre\" stands twice in the list"},
		{"no offices at all", "{auditor: [dba, nw-support], reviewer: [sre]}", "{}", "offices: expected one or more offices by id, found none"},
	} {
		text := strings.Replace(string(read(t, "good/terms.yaml")), "ceilings:\n", string(replace(t, []byte(offices), tt.old, tt.with)), 1)
		if _, err := contract.ParseTerms([]byte(text)); !errors.Is(err, contract.ErrTerms) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}
