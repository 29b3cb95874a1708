package contract_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// setup is what the terms of a test vary in.
type setup struct {
	title    string
	groups   []string
	roles    []string            // sorted
	who      map[string][]string // by role
	paths    map[string][]string // by role, in order
	quorum   map[string]int      // by path
	signers  int
	signLast bool // a second signature line
}

func drawSetup(t *rapid.T, label string) setup {
	some := func(from []string, least int, what string) []string {
		out := rapid.SliceOfNDistinct(rapid.SampledFrom(from), least, len(from), rapid.ID[string]).Draw(t, label+what)
		return out
	}
	s := setup{
		title: rapid.SampledFrom([]string{"One", "Two"}).Draw(t, label+"title"), groups: []string{"a", "b", "c"}, roles: some([]string{"r", "s", "t"}, 1, "roles"),
		who: map[string][]string{}, paths: map[string][]string{}, quorum: map[string]int{},
		signers: rapid.IntRange(1, 3).Draw(t, label+"signers"), signLast: rapid.Bool().Draw(t, label+"line"),
	}
	slices.Sort(s.roles)
	for _, r := range s.roles {
		s.who[r] = some(s.groups, 1, "who")
		s.paths[r] = some([]string{"normal"}, 1, "paths")
		for _, p := range s.paths[r] {
			s.quorum[r+p] = rapid.IntRange(1, 2).Draw(t, label+"quorum")
		}
	}
	return s
}

// mutate changes some things of s.
func (s setup) mutate(t *rapid.T, label string) setup {
	other, out := drawSetup(t, label), s
	out.who, out.quorum = map[string][]string{}, map[string]int{}
	for r := range s.who {
		out.who[r] = s.who[r]
	}
	for p := range s.quorum {
		out.quorum[p] = s.quorum[p]
	}
	for range rapid.IntRange(0, 3).Draw(t, label+"changes") {
		switch rapid.IntRange(0, 4).Draw(t, label+"what") {
		case 0:
			out.title = other.title
		case 1:
			out.signers = other.signers
		case 2:
			out.signLast = other.signLast
		case 3:
			role := rapid.SampledFrom(s.roles).Draw(t, label+"role")
			if w, ok := other.who[role]; ok {
				out.who[role] = w
			}
		case 4:
			role := rapid.SampledFrom(s.roles).Draw(t, label+"role")
			if q, ok := other.quorum[role+"normal"]; ok {
				out.quorum[role+"normal"] = q
			}
		}
	}
	return out
}

func (s setup) yaml(keys []string) string {
	var b strings.Builder
	of := make([]string, s.signers)
	for i := range of {
		of[i] = fmt.Sprintf("p%d: %s", i, keys[i])
	}
	fmt.Fprintf(&b, "terms: sallyport/v1\ncontract: {id: small, title: %s}\nparties: {acme: {name: Acme}}\nsignatories:\n", s.title)
	fmt.Fprintf(&b, "- {party: acme, capacity: owner, need: 1, of: {%s}, assurance: ssh}\n", strings.Join(of, ", "))
	if s.signLast {
		fmt.Fprintf(&b, "- {party: acme, capacity: ciso, need: 1, of: {last: %s}, assurance: ssh}\n", keys[3])
	}
	b.WriteString("issuers: {idp: {url: \"https://idp.example\", clients: {cli: sally}, algs: [ES256]}}\ngroups: {a: oidc:idp/a, b: oidc:idp/b, c: oidc:idp/c}\nceilings: {grant: 8h}\nroles:\n")
	for _, r := range s.roles {
		fmt.Fprintf(&b, "  %s:\n    clause: §1\n    who: [%s]\n    hosts: {env: [prod]}\n    logins: [ops]\n    grant: {max: 1h}\n    paths: [", r, strings.Join(s.who[r], ", "))
		for _, p := range s.paths[r] {
			fmt.Fprintf(&b, "{id: %s, clause: §1, stages: [{id: lead, from: [a], quorum: %d, timeout: 15m}]}", p, s.quorum[r+p])
		}
		b.WriteString("]\n")
	}
	return b.String()
}

func newKeys(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	for range n {
		out = append(out, newPerson(t).line())
	}
	return out
}

type fatal interface{ Fatal(...any) }

func parseTerms(t fatal, text string) (*contract.Terms, []byte) {
	terms, err := contract.ParseTerms([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := terms.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return terms, canonical
}

func diff(t fatal, old, new *contract.Terms) []contract.Op {
	ops, err := contract.Diff(old, new)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// TestPromiseP10_ChangesMakeTheNewTerms holds the changes that an amendment names to
// the terms that it makes, and to those alone from which it makes them.
func TestPromiseP10_ChangesMakeTheNewTerms(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 4)
	rapid.Check(t, func(t *rapid.T) {
		old, before := parseTerms(t, drawSetup(t, "old ").yaml(keys))
		new, after := parseTerms(t, drawSetup(t, "new ").yaml(keys))
		ops := diff(t, old, new)
		made, err := contract.Apply(before, ops)
		if err != nil || !bytes.Equal(made, after) {
			t.Fatalf("%v\nmade %s\nwant %s", err, made, after)
		}
		if bytes.Equal(before, after) != (len(ops) == 0) {
			t.Fatalf("%d changes", len(ops))
		}
		// Each change says what was there: it is made once, and of no other terms.
		for _, op := range ops {
			if op.Op == contract.OpOrder {
				continue
			}
			if again, err := contract.Apply(after, []contract.Op{op}); err == nil {
				t.Fatalf("%s %s is made a second time: %s", op.Op, op.Path, again)
			}
		}
	})
}

// TestRebase: two amendments of one version either touch the same, and then neither
// is made on top of the other, or the order in which they come makes no difference.
func TestRebase(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 4)
	conflicts, clean := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		base := drawSetup(t, "base ")
		parent, before := parseTerms(t, base.yaml(keys))
		mine, _ := parseTerms(t, base.mutate(t, "mine ").yaml(keys))
		theirs, theirCanonical := parseTerms(t, base.mutate(t, "theirs ").yaml(keys))
		a, b := diff(t, parent, mine), diff(t, parent, theirs)
		rebased, err := contract.Rebase(a, b)
		var conflict *contract.ConflictError
		if errors.As(err, &conflict) {
			conflicts++
			// The other way round as well.
			if _, err := contract.Rebase(b, a); !errors.Is(err, contract.ErrConflict) {
				t.Fatalf("mine conflicts with theirs, and not theirs with mine: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		clean++
		one, err := contract.Apply(theirCanonical, rebased)
		if err != nil {
			t.Fatalf("no conflict, and mine does not follow theirs: %v", err)
		}
		other, err := contract.Apply(before, slices.Concat(a, b))
		if err != nil || !bytes.Equal(one, other) {
			t.Fatalf("%v\n%s\n%s", err, one, other)
		}
	})
	if conflicts == 0 || clean == 0 {
		t.Errorf("%d conflicts and %d without: the test looks at one side alone", conflicts, clean)
	}
}

func op(kind contract.OpKind, path, was, value string) contract.Op {
	o := contract.Op{Op: kind, Path: path}
	if was != "" {
		o.Was = json.RawMessage(was)
	}
	if value != "" {
		o.Value = json.RawMessage(value)
	}
	return o
}

// TestRebaseWithin: what is within what the other changes is touched by both, and so
// is a member that comes or goes in a list that the other orders.
func TestRebaseWithin(t *testing.T) {
	t.Parallel()
	order := op(contract.OpOrder, "roles[a].paths", `["x","y"]`, `["y","x"]`)
	for _, tt := range []struct {
		mine, theirs contract.Op
		meet         bool
	}{
		{op(contract.OpRemove, "roles[a]", `{}`, ""), op(contract.OpReplace, "roles[a].grant.max_seconds", "1", "2"), true},
		{op(contract.OpRemove, "roles[a]", `{}`, ""), op(contract.OpReplace, "roles[ab].grant.max_seconds", "1", "2"), false},
		{op(contract.OpAdd, "roles[a].who[x]", "", `"x"`), op(contract.OpAdd, "roles[a].who[y]", "", `"y"`), false},
		{order, op(contract.OpAdd, "roles[a].paths[z]", "", `{"id":"z"}`), true},
		{order, op(contract.OpReplace, "roles[a].paths[x].stages[s].quorum", "1", "2"), false},
		{order, order, true},
		{order, op(contract.OpRemove, "roles[a]", `{}`, ""), true},
		{order, op(contract.OpAdd, "roles[b]", "", `{"id":"b"}`), false},
	} {
		for _, pair := range [][2]contract.Op{{tt.mine, tt.theirs}, {tt.theirs, tt.mine}} {
			_, err := contract.Rebase(pair[:1], pair[1:])
			if errors.Is(err, contract.ErrConflict) != tt.meet {
				t.Errorf("%s %s and %s %s: %v", pair[0].Op, pair[0].Path, pair[1].Op, pair[1].Path, err)
			}
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	const terms = `{"list":[{"id":"b","n":1},{"id":"a","n":2}],"names":["a","c"],"odd":["z","a"],"one":{"deep":1},"signatories":[{"capacity":"ciso","need":1,"party":"acme"}]}`
	for _, tt := range []struct {
		name string
		op   contract.Op
		want string // what changes, or the refusal
	}{
		{"a key", op(contract.OpReplace, "one.deep", "1", "7"), `"one":{"deep":7}`},
		{"the last key of an object", op(contract.OpRemove, "one.deep", "1", ""), `"odd":["z","a"],"signatories"`},
		{"a key of an object that is not there", op(contract.OpAdd, "new.deep", "", "7"), `"new":{"deep":7}`},
		{"a member in its place", op(contract.OpAdd, "names[b]", "", `"b"`), `["a","b","c"]`},
		{"a member of a list that is not there", op(contract.OpAdd, "new[b]", "", `"b"`), `"new":["b"]`},
		{"a line", op(contract.OpReplace, "signatories[acme/ciso].need", "1", "2"), `"need":2`},
		{"another order", op(contract.OpOrder, "list", `["b","a"]`, `["a","b"]`), `"list":[{"id":"a","n":2},{"id":"b","n":1}]`},
		{"a member that has a bracket", op(contract.OpAdd, `names[b\]\\x]`, "", `"b]\\x"`), `["a","b]\\x","c"]`},
		{"it was otherwise", op(contract.OpReplace, "one.deep", "2", "7"), "there stands 1, not 2"},
		{"it was not there", op(contract.OpRemove, "one.shallow", "2", ""), "there stands nothing, not 2"},
		{"it was there", op(contract.OpAdd, "names[a]", "", `"a"`), `there stands "a", not nothing`},
		{"another member", op(contract.OpAdd, "names[b]", "", `"x"`), "the value is not the member b"},
		{"a member's id", op(contract.OpReplace, "list[a].id", `"a"`, `"q"`), "the value is not the member a"},
		{"the order was otherwise", op(contract.OpOrder, "list", `["a","b"]`, `["b","a"]`), `the members are ["b","a"]`},
		{"a member twice", op(contract.OpOrder, "list", `["b","a"]`, `["a","a"]`), "is no order of the same members"},
		{"a member too many", op(contract.OpOrder, "list", `["b","a"]`, `["a","b","c"]`), "is no order of the same members"},
		{"no list", op(contract.OpAdd, "one[b]", "", `"b"`), "there is no list"},
		{"no object", op(contract.OpAdd, "names.b", "", `"b"`), "there is no object"},
		{"no path", op(contract.OpAdd, "", "", `"b"`), "is no path"},
		{"path with an empty step", op(contract.OpAdd, "one..b", "", `"b"`), "amendment refused"},
		{"path of a member alone", op(contract.OpAdd, "[b]", "", `"b"`), "is no path"},
		{"path with an open bracket", op(contract.OpAdd, "names[b", "", `"b"`), "is no path"},
		{"a was too many", op(contract.OpAdd, "names[b]", `"b"`, `"b"`), `it has no "was"`},
		{"no was", op(contract.OpRemove, "one.deep", "", ""), `it needs a "was"`},
		{"another change", op("turn", "one.deep", "1", "2"), "one of add, remove, replace and order"},
		{"an empty value", op(contract.OpReplace, "one.deep", "1", `""`), "not canonical"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			made, err := contract.Apply([]byte(terms), []contract.Op{tt.op})
			got := string(made)
			if err != nil {
				if got = err.Error(); !errors.Is(err, contract.ErrAmendment) {
					t.Errorf("%v wraps no ErrAmendment", err)
				}
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// planOf is the plan.json of a draft that has another limit than the example contract.
func planOf(t testing.TB, parent *contract.Version, limit string) []byte {
	t.Helper()
	draft, err := contract.ParseTerms(replace(t, parent.Files[contract.TermsFile], "{max: 1h}", limit))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := contract.MakePlan(contract.PlanInput{Old: parent.Terms, New: draft, Parent: parent.Digest, From: time.Unix(1, 0), To: time.Unix(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := canon.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// amended are the files of version 2 of the example contract, with one hour more.
func amended(t testing.TB, parent *contract.Version, plan []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{
		contract.ProseFile: parent.Files[contract.ProseFile],
		contract.TermsFile: replace(t, parent.Files[contract.TermsFile], "{max: 1h}", "{max: 2h}"),
	}
	all, err := contract.NewAmendment(files, parent, plan)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLoadAmendment(t *testing.T) {
	t.Parallel()
	parent := goodVersion(t)
	v, err := contract.LoadAmendment(amended(t, parent, planOf(t, parent, "{max: 2h}")), parent)
	if err != nil {
		t.Fatal(err)
	}
	if v.Manifest.Version != 2 || v.Parent != parent || v.Lineage() != parent.Digest || v.Digest == parent.Digest || v.Manifest.Plan.IsZero() {
		t.Errorf("version 2 is %+v in lineage %s", v.Manifest, v.Lineage())
	}
	if len(v.Ops) != 1 || v.Ops[0].Path == "" || string(v.Ops[0].Was) != "3600" || string(v.Ops[0].Value) != "7200" {
		t.Errorf("changes %s", v.Ops)
	}
	if v.Compared.Class != v.Manifest.Class || v.Manifest.Class == contract.Equivalent {
		t.Errorf("class %s, compared %s", v.Manifest.Class, v.Compared.Class)
	}
	if _, err := contract.Load(v.Files); !errors.Is(err, contract.ErrManifest) {
		t.Errorf("an amendment read by itself: %v", err)
	}
	for name, plan := range map[string][]byte{
		"other terms":  planOf(t, parent, "{max: 3h}"),
		"no plan":      []byte(`{"v":"plan"}`),
		"one key more": bytes.Replace(planOf(t, parent, "{max: 2h}"), []byte(`{`), []byte(`{"also":1,`), 1),
	} {
		files := map[string][]byte{contract.ProseFile: v.Files[contract.ProseFile], contract.TermsFile: v.Files[contract.TermsFile]}
		if _, err := contract.NewAmendment(files, parent, plan); !errors.Is(err, contract.ErrManifest) || !strings.Contains(err.Error(), "plan.json") {
			t.Errorf("%s: %v, want the plan refused", name, err)
		}
	}
}

// TestPromiseP10_AnAmendmentIsOfItsParent changes one thing in an amendment each.
func TestPromiseP10_AnAmendmentIsOfItsParent(t *testing.T) {
	t.Parallel()
	parent := goodVersion(t)
	second, err := contract.LoadAmendment(amended(t, parent, nil), parent)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(t *testing.T, f map[string][]byte, name, old, with string) {
		t.Helper()
		f[name] = replace(t, f[name], old, with)
		m := contract.Manifest{}
		if err := json.Unmarshal(f["manifest.json"], &m); err != nil {
			t.Fatal(err)
		}
		for _, file := range m.Files {
			if file.Path == name {
				f["manifest.json"] = replace(t, f["manifest.json"], file.SHA256.String(), sha256Digest(f[name]).String())
				f["manifest.json"] = replace(t, f["manifest.json"], fmt.Sprintf(`"bytes":%d,"path":"%s"`, file.Bytes, name), fmt.Sprintf(`"bytes":%d,"path":"%s"`, len(f[name]), name))
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, f map[string][]byte)
		is     error
		want   string
	}{
		{"as it is", func(*testing.T, map[string][]byte) {}, nil, ""},
		{"two versions on", edit(`"version":2`, `"version":3`), contract.ErrManifest, "version is 3, and it amends version 1"},
		{"version 1", edit(`"version":2`, `"version":1`), contract.ErrManifest, "version 1 has no parent"},
		{"another parent", edit(parent.Digest.String(), second.Digest.String()), contract.ErrManifest, "it amends the version " + second.Digest.String()},
		{"milder class", func(t *testing.T, f map[string][]byte) {
			t.Helper()
			f["manifest.json"] = replace(t, f["manifest.json"], fmt.Sprintf(`"class":%q`, second.Manifest.Class), `"class":"narrowing"`)
		}, contract.ErrManifest, "class is narrowing, and the amendment is "},
		{"no amendment", func(_ *testing.T, f map[string][]byte) { delete(f, "amendment.json") }, contract.ErrManifest, "amendment.json is missing"},
		{"a plan that the manifest has not", func(_ *testing.T, f map[string][]byte) { f["plan.json"] = []byte(`{"v":"x"}`) }, contract.ErrManifest, "plan.json is there if and only if the manifest names it"},
		{"other changes", func(t *testing.T, f map[string][]byte) { rewrite(t, f, "amendment.json", "7200", "7201") }, contract.ErrAmendment, "its changes do not make the terms of terms.yaml"},
		{"changes of something else", func(t *testing.T, f map[string][]byte) { rewrite(t, f, "amendment.json", "3600", "3601") }, contract.ErrAmendment, "there stands 3600, not 3601"},
		{"changes of another version", func(t *testing.T, f map[string][]byte) {
			rewrite(t, f, "amendment.json", parent.Digest.String(), second.Digest.String())
		}, contract.ErrAmendment, "it changes the version " + second.Digest.String()},
		{"changes in another format", func(t *testing.T, f map[string][]byte) {
			rewrite(t, f, "amendment.json", "amendment/v1", "amendment/v2")
		}, contract.ErrAmendment, `v is "sallyport.amendment/v2"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := amended(t, parent, nil)
			tt.change(t, files)
			_, err := contract.LoadAmendment(files, parent)
			if !errors.Is(err, tt.is) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	t.Run("another contract", func(t *testing.T) {
		t.Parallel()
		files := map[string][]byte{
			contract.ProseFile: parent.Files[contract.ProseFile],
			contract.TermsFile: replace(t, parent.Files[contract.TermsFile], "id: acme-northwind", "id: acme-southwind"),
		}
		if _, err := contract.NewAmendment(files, parent, nil); !errors.Is(err, contract.ErrManifest) || !strings.Contains(err.Error(), "an id never changes") {
			t.Error(err)
		}
	})
	t.Run("of its child", func(t *testing.T) {
		t.Parallel()
		if _, err := contract.LoadAmendment(second.Files, second); !errors.Is(err, contract.ErrManifest) {
			t.Error(err)
		}
	})
}
