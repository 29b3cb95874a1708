// Package sallyport_test holds the packages of the module to the table of who may import whom (docs/adr, "package
// arrows"), the deciding packages to being pure, and the binaries to what must never be linked into them. Each check
// is a function over a tree, and is run on a planted violation as well.
package sallyport_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport"

// anything in a row allows every package of ours, helpers of tests included.
const anything = "*"

// imports says, per package, which packages of ours it may import directly outside of tests. "x/..." is x and what
// lies below it. Every package may import canon. A package named …test holds helpers for tests: it may import its
// parent and what its parent may, and nothing but tests, other such packages and the lab may import it.
var imports = map[string][]string{
	"canon":        {}, // the bottom: the encodings that every format shares
	"contract":     {"sshcert", "contract/..."},
	"contract/...": {"sshcert", "contract/..."},                                       // guard: the condition language; strictyaml: the YAML
	"sshcert":      {},                                                                // names, key ID, TBS, signatures
	"ledger":       {"sshcert"},                                                       // leaves, tree, checkpoints, proofs
	"ledger/...":   {"sshcert", "ledger/..."},                                         // certproof, trust and hostcall, for hosts too
	"approval":     {"sshcert", "contract/..."},                                       // request, decisions, grant
	"ca":           {"sshcert", "contract/...", "approval", "ledger/..."},             // template, certificate, Signer
	"ca/...":       {"ca", "sshcert", "contract/...", "approval", "ledger/..."},       // the homes of a signer
	"ca/krl":       {},                                                                // a file format, read by hosts
	"record":       {"sshcert", "contract/...", "approval", "ca", "ledger/..."},       // leaf kinds and the only fold
	"oidc":         {},                                                                // ID token to verified identity
	"authority":    append([]string{"oidc", "internal/store", "ca/..."}, deciding...), // the commands; never an engine
	"audit":        deciding,                                                          // replay and verdicts
	"audit/cosign": append([]string{"audit", "oidc"}, deciding...),                    // the party cosigner
	"api":          {"sshcert"},                                                       // JSON types without logic
	"docs":         {},                                                                // documents that are served
	"server": {
		"api", "docs", "authority", "audit", "oidc", "record", "sshcert", "contract/...", "approval", "ca", "ledger/...", "internal/store",
	}, // HTTP, sessions, pages
	"client":             append([]string{"api", "oidc", "audit", "audit/cosign", "host/sshdconf", "examples/contracts"}, deciding...),
	"examples/contracts": {},                                                                       // the folders, as they are
	"deploy/systemd":     {},                                                                       // the agent's unit, as a text
	"host":               {"api", "sshcert", "ledger/...", "ca/krl", "host/...", "deploy/systemd"}, // what runs on a host decides nothing
	"host/...":           {"api", "sshcert", "ledger/...", "ca/krl", "host/..."},
	"internal/store":     {"contract/...", "approval", "ca", "ledger/...", "record"}, // the queries, once
	"internal/store/...": {
		"contract/...", "approval", "ca", "ledger/...", "record", "internal/store",
	}, // the engines
	"internal/consumer":        {"internal/store", "record"},                                   // feeds who acts on the ledger outside
	"internal/siem":            {"internal/store", "record", "sshcert"},                        // what a SIEM is told
	"internal/metrics":         {"api", "authority", "ca", "internal/store", "oidc", "record"}, // what operators watch
	"internal/store/storetest": append([]string{"internal/store"}, deciding...),                // the suite that they pass
	"internal/lab":             {anything},                                                     // starts the real parts for tests and the demo
	"internal/lab/...":         {anything},
	"cmd/cmdtest":              {},         // holds the pages in docs/ to the commands
	"cmd/...":                  {anything}, // wiring; what may be linked into it stands in reach
}

// deciding is what all who work on decided state may import.
var deciding = []string{"sshcert", "contract/...", "approval", "ca", "ledger/...", "record"}

// pure are the packages whose answers depend on their arguments only.
var pure = []string{
	"canon", "contract", "contract/guard", "contract/strictyaml", "sshcert", "approval", "record", "ledger", "ledger/certproof", "ledger/hostcall", "ledger/trust", "ca", "ca/krl", "host/pamconf",
}

// impure maps what a pure package may not import to what it does instead. A folder stands for what is below it, too.
var impure = map[string]string{
	"net":          "declare a small interface that server or authority implements",
	"database/sql": "read through a small interface such as record.View",
	"os":           "take bytes or an io.Reader",
	"log":          "return an error that says what happened",
	"math/rand":    "take an io.Reader named rand",
	"crypto/rand":  "take an io.Reader named rand",
	"testing":      "put helpers into a _test.go file or a package named …test",
}

// clocks are the functions of package time that read or wait for the clock.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// banned is a package that must not be reachable.
type banned struct{ path, why string }

// reach says what must not be reachable from a package, tests aside. "cgo" stands for any package outside the
// standard library that needs a C compiler.
var reach = map[string][]banned{
	"cmd/cmdtest": {}, // holds the pages in docs/ to the commands
	"cmd/...": {
		{module + "/internal/lab", "the lab is for tests and the demo"},
		{"testing", "a product binary holds no test helper"},
		{"github.com/zitadel/oidc", "the identity provider of the lab stays in the lab"},
		{"github.com/chromedp", "the browser of the lab stays in the lab"},
	},
	"cmd/sally":      client,
	"cmd/sally-host": append([]banned{{module + "/contract", "a host decides nothing"}, {module + "/approval", "a host decides nothing"}}, client...),
	"canon":          noHTTP,
	"contract":       noHTTP,
	"sshcert":        noHTTP,
	"approval":       noHTTP,
}

var noHTTP = []banned{{"net/http", "what decides is not linked with the network"}}

// client is for the binaries that run on other people's machines: pure Go, static, small.
var client = []banned{
	{"cgo", "it is a static binary"},
	{"database/sql", "the client has no database"},
	{module + "/internal/store", "the client has no database"},
	{module + "/ca/vault", "the client holds no CA key"},
	{module + "/ca/pkcs11", "the client holds no CA key"},
	{"github.com/hashicorp/vault", "the client holds no CA key"},
	{"github.com/prometheus", "the client counts nothing"},
}

func TestImportTable(t *testing.T) {
	t.Parallel()
	report(t, checkImports, ".")
}

func TestPurePackages(t *testing.T) {
	t.Parallel()
	report(t, checkPure, ".")
}

func TestLinkedPackages(t *testing.T) {
	t.Parallel()
	report(t, checkReach, ".")
}

func report(t *testing.T, check func(root string) ([]string, error), root string) {
	t.Helper()
	violations, err := check(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// TestPlantedViolationsAreReported holds the three checks to finding what they are for, and nothing else.
func TestPlantedViolationsAreReported(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		check func(root string) ([]string, error)
		files map[string]string // by path; module stands for the module's path
		want  []string          // how each violation begins, sorted
	}{
		{
			name:  "allowed imports",
			check: checkImports,
			files: map[string]string{
				"canon/a.go":              `package canon; import _ "net/http"`,
				"canon/a_test.go":         `package canon; import _ "MODULE/server"`,
				"server/testdata/a.go":    `package x; import _ "MODULE/nowhere"`,
				"tools/go.mod":            "module MODULE/tools",
				"tools/a.go":              `package tools; import _ "MODULE/canon"`,
				"host/sshdconf/a.go":      `package sshdconf; import _ "MODULE/ledger/certproof"`,
				"ledger/ledgertest/a.go":  `package ledgertest; import _ "MODULE/ledger"; import _ "MODULE/sshcert"`,
				"oidc/oidctest/a.go":      `package oidctest; import _ "MODULE/ledger/ledgertest"; import _ "MODULE/oidc"`,
				"internal/lab/demo/a.go":  `package main; import _ "MODULE/ledger/ledgertest"; import _ "MODULE/internal/store/sqlite"`,
				"internal/store/st/a.go":  `package st; import _ "MODULE/internal/store"; import _ "MODULE/record"`,
				"authority/authority.go":  `package authority; import _ "MODULE/ca/softkey"; import _ "MODULE/canon"`,
				"contract/guard/guard.go": `package guard; import _ "MODULE/canon"`,
			},
		},
		{
			name:  "forbidden imports",
			check: checkImports,
			files: map[string]string{
				"a.go":                       `package sallyport`,
				"approval/a.go":              `package approval; import _ "MODULE/internal/store"`,
				"authority/a.go":             `package authority; import _ "MODULE/internal/store/sqlite"`,
				"ca/krl/a.go":                `package krl; import _ "MODULE/ca"`,
				"canon/a.go":                 `package canon; import _ "MODULE/ledger"`,
				"contract/contracttest/a.go": `package contracttest; import _ "MODULE/server"`,
				"host/a_windows.go":          `package host; import _ "MODULE/approval"`,
				"ledger/a.go":                `package ledger; import _ "MODULE/ledger/ledgertest"`,
				"record/a.go":                `package record; import _ "MODULE/ca/softkey"`,
				"util/a.go":                  `package util`,
			},
			want: []string{
				". has no row",
				"approval imports internal/store,",
				"authority imports internal/store/sqlite,",
				"ca/krl imports ca,",
				"canon imports ledger,",
				"contract/contracttest imports server,",
				"host imports approval,",
				"ledger imports ledger/ledgertest,",
				"record imports ca/softkey,",
				"util has no row",
			},
		},
		{
			name:  "purity",
			check: checkPure,
			files: map[string]string{
				"approval/a.go":      "package approval\nimport \"time\"\nfunc f(t time.Time) bool { return t.After(time.Unix(0, 0)) }",
				"approval/a_test.go": "package approval\nimport _ \"os\"",
				"ca/softkey/a.go":    "package softkey\nimport _ \"os\"\nfunc f() { go f() }",
				"canon/a.go":         "package canon\nfunc f() { go f() }",
				"contract/guard/a.go": "package guard\nimport _ \"net/http\"\nimport _ \"math/rand/v2\"\nimport _ \"log/slog\"\n" +
					"import _ \"database/sql\"\nimport _ \"os\"",
				"record/a.go":  "package record\nimport clock \"time\"\nvar now = clock.Now",
				"record/b.go":  "package record\nimport \"time\"\nfunc f() { <-time.After(1) }",
				"sshcert/a.go": "package sshcert\nimport . \"time\"\nvar _ = Now()",
			},
			want: []string{
				"canon/a.go:2: starts a goroutine",
				"contract/guard/a.go:2: imports net/http",
				"contract/guard/a.go:3: imports math/rand/v2",
				"contract/guard/a.go:4: imports log/slog",
				"contract/guard/a.go:5: imports database/sql",
				"contract/guard/a.go:6: imports os",
				"record/a.go:3: uses time.Now",
				"record/b.go:3: uses time.After",
				"sshcert/a.go:2: imports time with a dot",
			},
		},
		{
			name:  "linked packages",
			check: checkReach,
			files: map[string]string{
				"go.mod":             "module MODULE\n\ngo 1.26\n",
				"canon/a.go":         `package canon; import _ "net/url"`,
				"canon/a_test.go":    `package canon; import _ "net/http"`,
				"client/a.go":        `package client; import _ "MODULE/engine"; import _ "net"`,
				"cmd/sally/a.go":     `package main; import _ "MODULE/client"; func main() {}`,
				"cmd/sallyd/a.go":    `package main; import _ "MODULE/engine"; import _ "MODULE/server"; func main() {}`,
				"contract/a.go":      `package contract; import _ "net/http/httptrace"; import _ "MODULE/sshcert"`,
				"engine/a.go":        "package engine\n\nimport \"C\"\n",
				"internal/lab/a.go":  `package lab`,
				"server/a.go":        `package server; import _ "MODULE/internal/lab"; import _ "MODULE/canon"`,
				"sshcert/sshcert.go": `package sshcert; import _ "net/http"`,
			},
			want: []string{
				"cmd/sally is linked with " + module + "/engine,",
				"cmd/sallyd is linked with " + module + "/internal/lab,",
				"contract is linked with net/http,",
				"sshcert is linked with net/http,",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for name, text := range tt.files {
				file := filepath.Join(root, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "MODULE", module)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := tt.check(root)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("reported:\n\t%s\nwant lines that begin with:\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}
