package record_test

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func TestLedgerOpenRefuses(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	empty := w.NewMap()
	honest := plain(w.Open(empty))
	_, strange, err := ledger.NewLogKey(w.Rand(), "other.example")
	if err != nil {
		t.Fatal(err)
	}
	bend := func(f func(*record.LedgerOpen)) recordtest.Draft { return bent(honest, f) }
	refuses(t, empty, honest, []refusal{
		{"no origin", bend(func(f *record.LedgerOpen) { f.Origin = "Not An Origin" }), record.ErrEvent},
		{"the log key of another origin", bend(func(f *record.LedgerOpen) { f.LogKey = strange }), record.ErrEvent},
		{"no log key", bend(func(f *record.LedgerOpen) { f.LogKey = "x" }), record.ErrEvent},
		{"a CA key that is no base64", bend(func(f *record.LedgerOpen) { f.UserCA = "=" }), record.ErrEvent},
		{"a CA key that is no key", bend(func(f *record.LedgerOpen) { f.UserCA = "AAAA" }), record.ErrEvent},
		{"a CA key that is too long", bend(func(f *record.LedgerOpen) { f.UserCA = canon.B64(make([]byte, 4097)) }), record.ErrEvent},
		{"a certificate as CA key", bend(func(f *record.LedgerOpen) { f.UserCA = certificateWire(t, w) }), record.ErrEvent},
		{"no time", bend(func(f *record.LedgerOpen) { f.At = 0 }), record.ErrEvent},
	})
	_, m := newLedger(t)
	if err := m.Check(honest); !errors.Is(err, record.ErrEvent) {
		t.Errorf("a second %s: %v, want ErrEvent", ledger.LedgerOpen, err)
	}
	if _, err := record.Check(m, record.Event{Index: m.Next()}); !errors.Is(err, record.ErrEvent) {
		t.Errorf("no facts: %v, want ErrEvent", err)
	}
}

// Leaf 0 opens the ledger: no other kind may stand there, and a view without it
// allows nothing.
func TestLeafZeroOpensTheLedger(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	granted := w.Granted(m, 0)
	issue, err := w.Issue(m, w.Alice, granted, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []recordtest.Draft{
		plain(w.Propose(m, w.Other)), plain(w.Sign(m, w.Version, "chris")), plain(w.Join(m, "web-3.demo", "demo")),
		w.Login(m, w.Alice), plain(w.Snapshot(m, w.Alice, w.Alice.Claims.Login)), w.Submit(m, w.Alice, w.Ask(m, w.Alice)),
		w.Decide(m, w.Bob, granted, "approve", 0), plain(w.Expire(m, granted)), plain(w.Cancel(m, w.Alice, granted)), plain(issue),
	} {
		if _, err := record.Check(m, record.Event{Index: 0, Facts: d.Facts, Person: d.Person}); !errors.Is(err, record.ErrEvent) {
			t.Errorf("%s as leaf 0: %v, want ErrEvent", d.Facts.Kind(), err)
		}
		if _, err := record.Check(w.NewMap(), record.Event{Index: 1, Facts: d.Facts, Person: d.Person}); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("%s in no ledger: %v, want ErrNotFound", d.Facts.Kind(), err)
		}
	}
	if _, err := record.Check(m, record.Event{Index: m.Next(), Facts: moonLanding{}}); !errors.Is(err, record.ErrEvent) {
		t.Errorf("facts of an unknown kind: %v, want ErrEvent", err)
	}
}

// moonLanding are facts that no rule is for.
type moonLanding struct{}

func (moonLanding) Kind() ledger.Kind       { return "moon.landing" }
func (moonLanding) When() canon.Micros      { return 1 }
func (moonLanding) Reference() string       { return "" }
func (moonLanding) InLineage() canon.Digest { return canon.Digest{} }

func TestContractProposeRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	honest := plain(w.Propose(m, w.Other))
	bend := func(f func(*record.ContractPropose)) recordtest.Draft {
		return bent(honest, func(p *record.ContractPropose) {
			p.Files = append([]record.ContractFile(nil), p.Files...)
			f(p)
		})
	}
	refuses(t, m, honest, []refusal{
		{"the same version again", plain(w.Propose(m, w.Version)), record.ErrExists},
		{"another digest", bend(func(f *record.ContractPropose) { f.Contract = canon.Sum("x") }), record.ErrEvent},
		{"another lineage", bend(func(f *record.ContractPropose) { f.Lineage = w.Version.Lineage() }), record.ErrEvent},
		{"files out of order", bend(func(f *record.ContractPropose) { f.Files[0], f.Files[1] = f.Files[1], f.Files[0] }), record.ErrEvent},
		{"a file twice", bend(func(f *record.ContractPropose) { f.Files = append(f.Files, f.Files[2]) }), record.ErrEvent},
		{"a file missing", bend(func(f *record.ContractPropose) { f.Files = f.Files[:2] }), contract.ErrManifest},
		{"one more file", bend(func(f *record.ContractPropose) {
			f.Files = append(f.Files, record.ContractFile{Path: "zzz", Text: "x"})
		}), contract.ErrManifest},
		{"a changed file", bend(func(f *record.ContractPropose) { f.Files[0].Text += "And root for all.\n" }), contract.ErrManifest},
	})
}

func TestContractSignRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	appendAll(t, m, plain(w.Propose(m, w.Other)))
	honest := plain(w.Sign(m, w.Other, "chris"))
	bend := func(f func(*record.ContractSign)) recordtest.Draft { return bent(honest, f) }
	of := func(signer string) record.ContractSign { return w.Sign(m, w.Other, signer) }
	refuses(t, m, honest, []refusal{
		{"a version nobody proposed", bend(func(f *record.ContractSign) { f.Contract = canon.Sum("x") }), record.ErrNotFound},
		{"in another lineage", bend(func(f *record.ContractSign) { f.Lineage = w.Version.Lineage() }), record.ErrEvent},
		{"over another version", bend(func(f *record.ContractSign) {
			other := w.Sign(m, w.Version, "chris")
			f.Statement, f.Signature = other.Statement, other.Signature
		}), contract.ErrOtherContract},
		{"by a stranger's key", bend(func(f *record.ContractSign) {
			f.Signature = w.Signature(w.Key(), sshcert.NamespaceContract, f.Statement)
		}), contract.ErrBadSignature},
		{"of the other signatory", bend(func(f *record.ContractSign) { f.Signature = of("dana").Signature }), contract.ErrBadSignature},
		{"made for another purpose", bend(func(f *record.ContractSign) {
			f.Signature = w.Signature(w.Chris, sshcert.NamespaceDevice, f.Statement)
		}), contract.ErrBadSignature},
		{"by somebody who is no signatory", bend(func(f *record.ContractSign) {
			f.Statement = strings.ReplaceAll(f.Statement, "chris", "mallory")
		}), contract.ErrNotSignatory},
		{"no signature", bend(func(f *record.ContractSign) { f.Signature = "x" }), contract.ErrBadSignature},
		{"no statement", bend(func(f *record.ContractSign) { f.Statement = "{}" }), contract.ErrStatement},
	})
	appendAll(t, m, honest)
	if err := m.Check(honest); !errors.Is(err, record.ErrExists) {
		t.Errorf("a signature twice: %v, want ErrExists", err)
	}
}

// A version is in force with the last of the signatures that it names, and one
// signatory counts once however often they sign.
func TestPromiseP10_InForceOnlyWhenAllHaveSigned(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	m := w.NewMap()
	appendAll(t, m, plain(w.Open(m)), plain(w.Propose(m, w.Version)))
	lineage := w.Version.Lineage()
	notYet := func(when string) {
		t.Helper()
		if _, err := record.InForce(m, lineage, m.Clock); !errors.Is(err, record.ErrNotInForce) {
			t.Errorf("%s: %v, want ErrNotInForce", when, err)
		}
		if err := m.Check(plain(w.Join(m, "web-1.demo", "demo"))); !errors.Is(err, record.ErrNotInForce) {
			t.Errorf("a host, %s: %v, want ErrNotInForce", when, err)
		}
	}
	notYet("unsigned")
	appendAll(t, m, plain(w.Sign(m, w.Version, "chris")))
	notYet("signed by one of two")
	m.Clock += 1e6
	if err := m.Check(plain(w.Sign(m, w.Version, "chris"))); !errors.Is(err, record.ErrExists) {
		t.Errorf("one signs for two: %v, want ErrExists", err)
	}
	m.Clock += 1e6
	appendAll(t, m, plain(w.Sign(m, w.Version, "dana")))
	row, err := record.Contract(m, w.Version.Digest)
	if err != nil || row.InForceAt != m.Clock || len(row.Signed) != 2 {
		t.Errorf("in force at %d with %d signatures, %v; want %d", row.InForceAt, len(row.Signed), err, m.Clock)
	}
	if v, err := record.InForce(m, lineage, m.Clock); err != nil || v.Digest != w.Version.Digest {
		t.Errorf("signed by both: %v", err)
	}
	if _, err := record.InForce(m, lineage, m.Clock-1); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("before the last signature: %v, want ErrNotInForce", err)
	}
	if _, err := record.InForce(m, canon.Sum("x"), m.Clock); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a lineage of nobody: %v, want ErrNotFound", err)
	}
}

func TestPromiseP10_NothingBeforeTheContractsOwnDay(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	m := w.NewMap()
	later := w.Contract("later", "effect: {not_before: \"2027-01-01T00:00:00Z\"}\n")
	appendAll(t, m, plain(w.Open(m)), plain(w.Propose(m, later)), plain(w.Sign(m, later, "chris")), plain(w.Sign(m, later, "dana")))
	day := canon.At(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	if _, err := record.InForce(m, later.Lineage(), day-1); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("the day before: %v, want ErrNotInForce", err)
	}
	if _, err := record.InForce(m, later.Lineage(), day); err != nil {
		t.Errorf("on the day: %v", err)
	}
}

func TestHostJoinRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	appendAll(t, m, plain(w.Propose(m, w.Other)))
	honest := plain(w.Join(m, "web-3.demo", "demo"))
	bend := func(f func(*record.HostJoin)) recordtest.Draft { return bent(honest, f) }
	label := func(name, value string) recordtest.Draft {
		return bend(func(f *record.HostJoin) { f.Labels = []record.Label{{Name: name, Value: value}} })
	}
	list := []refusal{
		{"twice", bend(func(f *record.HostJoin) { f.Name = "web-1.demo" }), record.ErrExists},
		{"in a contract that is not signed", bend(func(f *record.HostJoin) { f.Lineage = w.Other.Lineage() }), record.ErrNotInForce},
		{"in no contract", bend(func(f *record.HostJoin) { f.Lineage = canon.Sum("x") }), record.ErrNotFound},
		{"a host key that is no key", bend(func(f *record.HostJoin) { f.HostKey = "AAAA" }), record.ErrEvent},
		{"a certificate as host key", bend(func(f *record.HostJoin) { f.HostKey = certificateWire(t, w) }), record.ErrEvent},
		{"port 0", bend(func(f *record.HostJoin) { f.Port = 0 }), record.ErrEvent},
		{"port 65536", bend(func(f *record.HostJoin) { f.Port = 65536 }), record.ErrEvent},
		{"labels out of order", bend(func(f *record.HostJoin) { f.Labels = []record.Label{{"site", "a"}, {"env", "b"}} }), record.ErrEvent},
		{"a label twice", bend(func(f *record.HostJoin) { f.Labels = []record.Label{{"env", "demo"}, {"env", "prod"}} }), record.ErrEvent},
		{"a label in upper case", label("Env", "demo"), record.ErrEvent},
		{"a label with a comma", label("env", "demo,prod"), record.ErrEvent},
		{"a label with a letter outside ASCII", label("env", "d\u00e9mo"), record.ErrEvent},
		{"a label of 64 bytes", label("env", strings.Repeat("a", 64)), record.ErrEvent},
	}
	for _, address := range []string{
		"-oProxyCommand=x", "-v", "-", "a b", "a\nb", "UPPER", "a,b", "$(x)", "a;b", "a%h", "*", "a/b", "user@host", strings.Repeat("a", 254),
	} {
		list = append(list, refusal{"address " + address, bend(func(f *record.HostJoin) { f.Address = address }), record.ErrEvent})
	}
	refuses(t, m, honest, list)
	for _, address := range []string{"2001:db8::1", "10.0.0.1", "web-1.demo.example", strings.Repeat("a", 253)} {
		if err := m.Check(bend(func(f *record.HostJoin) { f.Address = address })); err != nil {
			t.Errorf("address %s: %v", address, err)
		}
	}
}

// A contract id belongs to the lineage that came into force with it first. A
// draft takes nothing: it may be proposed by anybody and signed by nobody.
func TestPromiseP10_AnIDBelongsToOneLineage(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	second := w.Contract("acme", "effect: {not_before: \"2027-01-01T00:00:00Z\"}\n")
	if _, err := m.Append(plain(w.Propose(m, second))); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(plain(w.Sign(m, second, "chris"))); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(plain(w.Sign(m, second, "dana"))); !errors.Is(err, record.ErrExists) {
		t.Errorf("the signature that would bring it into force: %v, want ErrExists", err)
	}
	if _, err := record.InForce(m, second.Lineage(), m.Now()); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("InForce = %v, want ErrNotInForce", err)
	}
}

// No leaf is dated before the one before it.
func TestPromiseP11_LeavesAreInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	m.Clock--
	if err := m.Check(plain(w.Join(m, "web-3.demo", "demo"))); !errors.Is(err, record.ErrEvent) {
		t.Errorf("a leaf dated before the newest: %v, want ErrEvent", err)
	}
	m.Clock++
	if err := m.Check(plain(w.Join(m, "web-3.demo", "demo"))); err != nil {
		t.Errorf("a leaf of the same moment: %v", err)
	}
}

// Contracts in force read an issuer in one way: else one account could be two
// people.
func TestPromiseP03_ContractsInForceReadAnIssuerAlike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, old, changed string
		want               error
	}{
		{"alike", "", "", nil},
		{"other clients", "cli: sally", "cli: other", nil},
		{"another subject", "flows: [code]", "subject: email, flows: [code]", record.ErrIssuerRead},
		{"other groups", "flows: [code]", "groups: roles, flows: [code]", record.ErrIssuerRead},
		{"other algorithms", "algs: [ES256]", "algs: [ES256, RS256]", record.ErrIssuerRead},
		{"another issuer", recordtest.Issuer, "https://login.other.example", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, m := newLedger(t)
			files := maps.Clone(w.Other.Files)
			delete(files, contract.ManifestFile)
			files[contract.TermsFile] = bytes.Replace(files[contract.TermsFile], []byte(tt.old), []byte(tt.changed), 1)
			manifest, err := contract.NewManifest(files)
			if err != nil {
				t.Fatal(err)
			}
			files[contract.ManifestFile] = manifest
			v, err := contract.Load(files)
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, m, plain(w.Propose(m, v)), plain(w.Sign(m, v, "chris")))
			if err := m.Check(plain(w.Sign(m, v, "dana"))); !errors.Is(err, tt.want) {
				t.Errorf("the last signature: %v, want %v", err, tt.want)
			}
		})
	}
}
