package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

var update = flag.Bool("update", false, "write the test vectors instead of comparing with them")

type namedText struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// opened is a commitment with what opens it.
type opened struct {
	Salt       ledger.Salt  `json:"salt"`
	JSON       string       `json:"json"`
	Commitment canon.Digest `json:"commitment"`
}

type leafVector struct {
	Kind      ledger.Kind `json:"kind"`
	Lineage   string      `json:"lineage"`
	Reference string      `json:"reference"`
	Facts     opened      `json:"facts"`
	Person    *opened     `json:"person,omitempty"`
	Text      string      `json:"text"`
	Hash      string      `json:"hash"`
}

type leafVectors struct {
	Note    string       `json:"note"`
	Leaves  []leafVector `json:"leaves"`
	Refused []namedText  `json:"refused"`
}

type proofVector struct {
	Index int64  `json:"index"`
	Size  int64  `json:"size"`
	Leaf  string `json:"leaf"`
	Extra string `json:"extra,omitempty"`
	Text  string `json:"text"`
}

type logVectors struct {
	Note        string        `json:"note"`
	Origin      string        `json:"origin"`
	PrivateKey  string        `json:"private_key"`
	PublicKey   string        `json:"public_key"`
	LeafHashes  []string      `json:"leaf_hashes"`
	Stored      []string      `json:"stored_hashes"`
	Roots       []string      `json:"roots"`
	Tree        string        `json:"tree"`
	Checkpoints []string      `json:"checkpoints"`
	Proofs      []proofVector `json:"proofs"`
}

// example derives the bytes that a real ledger would draw at random.
func example(what string) []byte {
	sum := sha256.Sum256([]byte("sallyport test vector: " + what))
	return sum[:]
}

func exampleID(t testing.TB, what string) string {
	t.Helper()
	id, err := canon.NewID(bytes.NewReader(example(what)))
	if err != nil {
		t.Fatal(err)
	}
	return string(id)
}

func open(t testing.TB, what, text string, commit func(ledger.Salt, []byte) canon.Digest) opened {
	t.Helper()
	if err := canon.Check([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	salt, err := ledger.NewSalt(bytes.NewReader(example("salt of " + what)))
	if err != nil {
		t.Fatal(err)
	}
	return opened{Salt: salt, JSON: text, Commitment: commit(salt, []byte(text))}
}

func makeLeafVectors(t testing.TB) leafVectors {
	t.Helper()
	lineage := canon.Digest(example("lineage"))
	v := leafVectors{
		Note: "Leaf and commitments as docs/formats.md describes them. Hashes, salts and commitments are unpadded base64url." +
			" The JSON texts are examples of canonical JSON, not of what each kind records." +
			" Whoever reads leaves refuses the texts under refused.",
	}
	for _, r := range refusedLeaves(t) {
		if utf8.ValidString(r.Text) { // JSON can't hold the others
			v.Refused = append(v.Refused, r)
		}
	}
	for i, l := range []struct {
		kind      ledger.Kind
		lineage   canon.Digest
		reference string
		facts     string
		person    string
	}{
		{ledger.LedgerOpen, canon.Digest{}, exampleID(t, "ledger"), `{"at":1795000000000000}`, ""},
		{ledger.ContractPropose, lineage, lineage.String(), `{"at":1795000001000000,"version":1}`, ""},
		{ledger.ContractSign, lineage, lineage.String(), `{"at":1795000002000000,"party":"acme"}`, ""},
		{
			ledger.PersonLogin,
			canon.Digest{},
			exampleID(t, "person"), `{"at":1795000003000000,"groups":["dev","ops"]}`,
			`{"email":"zoë@example.com","name":"Zoë \"Z\" Ödegård"}`,
		},
		{
			ledger.RequestSubmit, lineage, exampleID(t, "request"), `{"at":1795000004000000,"grant_seconds":600,"hosts":["web-1.demo"]}`,
			`{"reason":"INC-42:\n\tcheckout <slow> & 1/2 down\u001b[0m \\"}`,
		},
		{ledger.CertificateIssue, lineage, canon.Digest(example("to be signed")).String(), `{"at":1795000005000000,"serial":6}`, ""},
		{"moon.landing", lineage, exampleID(t, "later"), `{"at":9007199254740991,"unknown":true}`, ""},
	} {
		what := fmt.Sprintf("leaf %d", i)
		vec := leafVector{Kind: l.kind, Lineage: "-", Reference: l.reference, Facts: open(t, what+" facts", l.facts, ledger.FactsCommitment)}
		leaf := ledger.Leaf{Kind: l.kind, Lineage: l.lineage, Reference: l.reference, Facts: vec.Facts.Commitment}
		if !l.lineage.IsZero() {
			vec.Lineage = l.lineage.String()
		}
		if l.person != "" {
			person := open(t, what+" person", l.person, ledger.PersonCommitment)
			vec.Person, leaf.Person = &person, person.Commitment
		}
		hash, err := leaf.Hash()
		if err != nil {
			t.Fatal(err)
		}
		vec.Text, vec.Hash = string(mustMarshal(t, leaf)), hashText(hash)
		v.Leaves = append(v.Leaves, vec)
	}
	return v
}

func makeLogVectors(t testing.TB, leaves leafVectors) logVectors {
	t.Helper()
	log := ledgertest.New(t, "ledger.example/vectors", "vectors")
	v := logVectors{
		Note: "The leaves of leaves.json as a log: stored hashes in tlog's order, the root and the signed checkpoint at each size from 0," +
			" the head row's tree at the end, and inclusion proofs. The private key is public: trust it for nothing.",
		Origin: log.Origin(), PrivateKey: log.PrivateKey(), PublicKey: log.PublicKey(),
	}
	for _, vec := range leaves.Leaves {
		leaf, err := ledger.ParseLeaf([]byte(vec.Text))
		if err != nil {
			t.Fatal(err)
		}
		log.Append(leaf)
		v.LeafHashes = append(v.LeafHashes, vec.Hash)
	}
	for _, h := range log.Hashes() {
		v.Stored = append(v.Stored, hashText(h))
	}
	size := log.Tree().Size
	for s := range size + 1 {
		v.Roots = append(v.Roots, hashText(log.Head(s).Root))
		v.Checkpoints = append(v.Checkpoints, string(log.Checkpoint(s)))
	}
	tree, err := log.Tree().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	v.Tree = string(tree)
	for _, p := range []struct{ index, size int64 }{{0, 1}, {0, 7}, {3, 7}, {5, 6}, {5, 7}, {6, 7}} {
		extra := example(fmt.Sprintf("extra %d of %d", p.index, p.size))
		if p.index == 0 {
			extra = nil
		}
		v.Proofs = append(v.Proofs, proofVector{
			Index: p.index, Size: p.size, Leaf: leaves.Leaves[p.index].Text,
			Extra: canon.B64(extra), Text: string(log.Prove(p.index, p.size, extra)),
		})
	}
	return v
}

// compare holds a vector file to what the code makes, byte for byte.
func compare(t *testing.T, name string, v any) {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("%s is not what the code makes. The format is frozen: mend the code, unless the change is meant (go test -update).", path)
	}
}

func TestVectors(t *testing.T) {
	leaves := makeLeafVectors(t)
	compare(t, "leaves.json", leaves)
	compare(t, "log.json", makeLogVectors(t, leaves))
}

func read(t testing.TB, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

// TestVectorsAreTrue reads the committed files and asks the parsers and
// verifiers, so that the files say what they claim, whoever wrote them.
func TestVectorsAreTrue(t *testing.T) {
	var leaves leafVectors
	read(t, "leaves.json", &leaves)
	for _, v := range leaves.Leaves {
		l, err := ledger.ParseLeaf([]byte(v.Text))
		if err != nil {
			t.Fatalf("%s: %v", v.Kind, err)
		}
		hash, err := l.Hash()
		if err != nil || hashText(hash) != v.Hash || l.Kind != v.Kind || l.Reference != v.Reference ||
			l.Facts != v.Facts.Commitment || ledger.FactsCommitment(v.Facts.Salt, []byte(v.Facts.JSON)) != l.Facts ||
			l.Person.IsZero() != (v.Person == nil) || l.Lineage.IsZero() != (v.Lineage == "-") {
			t.Errorf("%s: the text says %+v, hash %v, %v", v.Kind, l, hash, err)
		}
		if v.Person != nil && ledger.PersonCommitment(v.Person.Salt, []byte(v.Person.JSON)) != l.Person {
			t.Errorf("%s: the person part does not open", v.Kind)
		}
	}
	for _, r := range leaves.Refused {
		if _, err := ledger.ParseLeaf([]byte(r.Text)); err == nil {
			t.Errorf("refused leaf %q was read", r.Name)
		}
	}
	var log logVectors
	read(t, "log.json", &log)
	policy, err := ledger.NewPolicy(log.Origin, log.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for size, text := range log.Checkpoints {
		c, err := policy.OpenCheckpoint([]byte(text))
		if err != nil || c.Size != int64(size) || hashText(c.Root) != log.Roots[size] {
			t.Errorf("checkpoint at size %d: %+v, %v", size, c, err)
		}
	}
	for _, p := range log.Proofs {
		r, err := policy.VerifyProof([]byte(p.Text), tlog.RecordHash([]byte(p.Leaf)))
		if err != nil || r.Index != p.Index || r.Checkpoint.Size != p.Size || canon.B64(r.Extra) != p.Extra {
			t.Errorf("proof of leaf %d of %d: %+v, %v", p.Index, p.Size, r, err)
		}
	}
}

// TestVectorsCheckOutInPython runs the independent checker, which shares no
// code with us, on the vectors; and on spoiled ones, which it must refuse.
func TestVectorsCheckOutInPython(t *testing.T) {
	certificate := filepath.Join("certproof", "testdata", "certificate.json")
	leaves, log := filepath.Join("testdata", "leaves.json"), filepath.Join("testdata", "log.json")
	out, err := checkVectors(t, leaves, log, certificate)
	if err != nil || !strings.Contains(out, "ok: 14 checked") {
		t.Fatalf("check_vector.py: %v (it needs python3 with its standard library)\n%s", err, out)
	}
	for _, tt := range []struct{ name, file, old, new string }{
		{"leaf", leaves, `"text": "sallyport.ledger/v1\nperson.login\n`, `"text": "sallyport.ledger/v1\nperson.logon\n`},
		{"facts", leaves, `\"grant_seconds\":600`, `\"grant_seconds\":601`},
		{"person part", leaves, `INC-42`, `INC-43`},
		{"proof index", log, `\nindex 3\n`, `\nindex 2\n`},
		{"leaf of a proof", log, `"leaf": "sallyport.ledger/v1\nperson.login\n`, `"leaf": "sallyport.ledger/v1\nperson.logon\n`},
		{"commitment of the certificate's facts", certificate, `\"serial\":5`, `\"serial\":6`},
		{"signed bytes", certificate, `"tbs": "AAAA`, `"tbs": "AAAB`},
		{"serial", certificate, `"serial": 5`, `"serial": 6`},
	} {
		text, err := os.ReadFile(tt.file)
		if err != nil {
			t.Fatal(err)
		}
		spoiled := strings.Replace(string(text), tt.old, tt.new, 1)
		if spoiled == string(text) {
			t.Fatalf("%s: %s has no %s to spoil", tt.name, tt.file, tt.old)
		}
		path := filepath.Join(t.TempDir(), filepath.Base(tt.file))
		if err := os.WriteFile(path, []byte(spoiled), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := checkVectors(t, path); err == nil {
			t.Errorf("%s spoiled, yet check_vector.py says: %s", tt.name, out)
		}
	}
}

func checkVectors(t testing.TB, files ...string) (string, error) {
	t.Helper()
	args := append([]string{filepath.Join("testdata", "check_vector.py")}, files...)
	out, err := exec.CommandContext(t.Context(), "python3", args...).CombinedOutput()
	return string(out), err
}
