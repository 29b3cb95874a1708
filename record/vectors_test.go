package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

var update = flag.Bool("update", false, "write the test vectors instead of comparing with them")

// opening is a commitment with what opens it.
type opening struct {
	Salt       ledger.Salt  `json:"salt"`
	JSON       string       `json:"json"`
	Commitment canon.Digest `json:"commitment"`
}

type leafVector struct {
	Index     int64        `json:"index"`
	Kind      ledger.Kind  `json:"kind"`
	Lineage   string       `json:"lineage"`
	Reference string       `json:"reference"`
	Facts     opening      `json:"facts"`
	Person    *opening     `json:"person,omitempty"`
	Text      string       `json:"text"`
	Hash      canon.Digest `json:"hash"`
}

type documentVector struct {
	Name       string            `json:"name"`
	JSON       string            `json:"json"`
	Signatures []signatureVector `json:"signatures"`
}

type signatureVector struct {
	Namespace string `json:"namespace"`
	Key       string `json:"key"` // authorized_keys form
	Armored   string `json:"armored"`
}

type vectors struct {
	Note      string           `json:"note"`
	Origin    string           `json:"origin"`
	LogKey    string           `json:"log_key"`
	UserCA    string           `json:"user_ca"`
	IDToken   string           `json:"id_token"`
	Leaves    []leafVector     `json:"leaves"`
	Root      string           `json:"root"`
	Documents []documentVector `json:"documents"`
	Refused   []documentVector `json:"refused_documents"`
}

// makeVectors tells one story with a leaf of every kind.
func makeVectors(t *testing.T) vectors {
	t.Helper()
	w := recordtest.New(t, "vectors")
	m := w.NewMap()
	w.Setup(m)
	m.Clock += micros(20*time.Second + 7*time.Microsecond)
	silent := w.Ask(m, w.Alice)
	silent.Reason = "Zoë's \"slow\" checkout: <web-1> & 1/2"
	appendAll(t, m, w.Submit(m, w.Alice, silent))
	r := w.Granted(m, 300)
	m.Clock += micros(3 * time.Second)
	key := w.Key()
	issue, err := w.Issue(m, w.Alice, r, key)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(issue))
	m.Clock += micros(15 * time.Minute)
	appendAll(t, m, plain(w.Expire(m, w.Request(m, silent.Doc.Request))))
	row, err := record.Certificate(m, issue.Serial)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(w.Void(m, row)))
	v := vectors{
		Note: "A whole ledger with a leaf of every kind, each with its opening, as docs/formats.md describes them; and the signed documents." +
			" Digests, salts and keys inside JSON are unpadded base64url; root is padded base64. Signatures are deterministic (Ed25519).",
		Origin: recordtest.Origin, LogKey: w.LogKey, UserCA: line(w.CA), IDToken: "header.payload-of-alice.signature",
	}
	session := marshal(t, record.SessionDoc{
		V: record.SessionVersion, Origin: recordtest.Origin, Server: "https://ca.acme.example", IDToken: recordtest.TokenDigest(v.IDToken), Challenge: w.Digest(),
	})
	submit := factsOf[record.RequestSubmit](t, m)
	device := line(w.Alice.Device)
	sign := func(s ssh.Signer, namespace, text string) signatureVector {
		return signatureVector{namespace, line(s), w.Signature(s, namespace, text)}
	}
	v.Documents = []documentVector{
		{"session", session, []signatureVector{sign(w.Alice.Device, sshcert.NamespaceDevice, session)}},
		{"request", submit.Document, []signatureVector{{sshcert.NamespaceDevice, device, submit.Signature}}},
		{"issue", issue.Document, []signatureVector{
			{sshcert.NamespaceDevice, device, issue.DeviceSig}, {sshcert.NamespacePossession, line(key), issue.Possession},
		}},
	}
	stale := strings.Replace(session, "session/v1", "session/v2", 1)
	v.Refused = []documentVector{
		{"session: signed by another key", session, []signatureVector{{sshcert.NamespaceDevice, device, w.Signature(key, sshcert.NamespaceDevice, session)}}},
		{"session: made in another namespace", session, []signatureVector{{sshcert.NamespaceDevice, device, w.Signature(w.Alice.Device, sshcert.NamespacePossession, session)}}},
		{"session: over another text", session + "\n", []signatureVector{{sshcert.NamespaceDevice, device, w.Signature(w.Alice.Device, sshcert.NamespaceDevice, session)}}},
		{"session: another version", stale, []signatureVector{sign(w.Alice.Device, sshcert.NamespaceDevice, stale)}},
	}
	// What came to the story later stands at its end, and draws its randomness last.
	appendAll(t, m, w.Link(m, w.Alice, w.Carol))
	v.addCancellations(t, w, m)
	v.addErasure(t, w, m)
	olga := w.User("olga", "owners")
	logIn(t, w, m, olga)
	audited := w.Audited()
	w.PutInForce(m, audited)
	appendAll(t, m, plain(w.Read(m, olga, audited, 6, 8)))
	appendAll(t, m, plain(w.AddKey(m, record.KeyHostCA)), plain(w.AddKey(m, record.KeyKRL)))
	v.addHosts(t, w, m)
	v.addRevocations(t, w, m)
	v.addOffline(t, w, m)
	v.addRelease(t, w, m)
	v.addAmendments(t, w, m)
	var hashes []tlog.Hash
	for _, e := range m.Entries {
		leaf := leafOf(t, e)
		hashes = append(hashes, tlog.Hash(leaf.Hash))
		v.Leaves = append(v.Leaves, leaf)
	}
	v.Root = rootOf(t, hashes)
	return v
}

func line(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

func leafOf(t *testing.T, e recordtest.Entry) leafVector {
	t.Helper()
	text, err := e.Leaf.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	v := leafVector{
		Index: e.Index, Kind: e.Leaf.Kind, Lineage: "-", Reference: e.Leaf.Reference, Facts: opening{e.Salt, string(e.Facts), e.Leaf.Facts},
		Text: string(text), Hash: canon.Digest(tlog.RecordHash(text)),
	}
	if !e.Leaf.Lineage.IsZero() {
		v.Lineage = e.Leaf.Lineage.String()
	}
	if e.Person != nil {
		v.Person = &opening{e.Draft.PersonSalt, string(e.Person), e.Leaf.Person}
	}
	return v
}

// rootOf is the root over leaf hashes, by the library alone.
func rootOf(t *testing.T, leaves []tlog.Hash) string {
	t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = stored[x]
		}
		return out, nil
	})
	for n, h := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(n), h, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), reader)
	if err != nil {
		t.Fatal(err)
	}
	return root.String()
}

// factsOf returns the facts of the newest leaf of their kind.
func factsOf[F record.Facts](t *testing.T, m *recordtest.Map) F {
	t.Helper()
	var out F
	for _, e := range m.Entries {
		if f, ok := e.Draft.Facts.(F); ok {
			out = f
		}
	}
	return out
}

func vectorPath() string { return filepath.Join("testdata", "vectors.json") }

func TestVectors(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorPath(), buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(vectorPath())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("%s is not what the code makes. The format is frozen: mend the code, unless the change is meant (go test -update).", vectorPath())
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile(vectorPath())
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVectorsAreTrue reads the committed file and replays it, so that it says
// what it claims, whoever wrote it.
func TestVectorsAreTrue(t *testing.T) {
	v := readVectors(t)
	m := recordtest.New(t, "reader").NewMap()
	seen := make(map[ledger.Kind]bool)
	var hashes []tlog.Hash
	for i, l := range v.Leaves {
		leaf, err := ledger.ParseLeaf([]byte(l.Text))
		if err != nil {
			t.Fatal(err)
		}
		hash, err := leaf.Hash()
		if err != nil || canon.Digest(hash) != l.Hash || leaf.Kind != l.Kind || leaf.Reference != l.Reference || l.Index != int64(i) {
			t.Errorf("leaf %d: %+v, hash %s, %v", i, leaf, hash, err)
		}
		var salt ledger.Salt
		var person []byte
		if l.Person != nil {
			salt, person = l.Person.Salt, []byte(l.Person.JSON)
		}
		if err := m.Replay(leaf, l.Facts.Salt, []byte(l.Facts.JSON), salt, person); err != nil {
			t.Fatalf("leaf %d, %s: %v", i, l.Kind, err)
		}
		seen[l.Kind] = true
		hashes = append(hashes, hash)
	}
	for _, kind := range kinds() {
		if !seen[kind] {
			t.Errorf("no example of %s", kind)
		}
	}
	if got := rootOf(t, hashes); got != v.Root {
		t.Errorf("root %s, the vectors say %s", got, v.Root)
	}
	log, err := record.Log(m)
	if err != nil || log.Origin != v.Origin || log.LogKey != v.LogKey || log.UserCA != recordtest.Wire(parseLine(t, v.UserCA)) {
		t.Errorf("log row %+v, %v", log, err)
	}
	for _, d := range v.Documents {
		if err := openDocument(t, d); err != nil {
			t.Errorf("document %s: %v", d.Name, err)
		}
	}
	for _, d := range v.Refused {
		if openDocument(t, d) == nil {
			t.Errorf("refused document %q was opened", d.Name)
		}
	}
	if !strings.Contains(v.Documents[0].JSON, `"id_token":"`+recordtest.TokenDigest(v.IDToken).String()+`"`) {
		t.Error("the session document names another ID token")
	}
}

func openDocument(t *testing.T, d documentVector) error {
	t.Helper()
	key := parseLine(t, d.Signatures[0].Key)
	name, _, _ := strings.Cut(d.Name, ":")
	switch name {
	case "session":
		_, err := record.OpenSession(d.JSON, d.Signatures[0].Armored, key)
		return err
	case "request":
		_, err := record.OpenRequest(d.JSON, d.Signatures[0].Armored, key)
		return err
	case "revoke":
		_, err := record.OpenRevoke(d.JSON, d.Signatures[0].Armored, key)
		return err
	case "cancel":
		_, err := record.OpenCancel(d.JSON, d.Signatures[0].Armored, key)
		return err
	case "hosts":
		_, err := record.OpenHosts(d.JSON, d.Signatures[0].Armored, key)
		return err
	case "call":
		_, _, err := hostcall.Parse(d.JSON)
		return errors.Join(err, hostcall.Verify(key, d.JSON, d.Signatures[0].Armored))
	case "act":
		var act contract.Act
		return errors.Join(canon.Unmarshal([]byte(d.JSON), &act), sshcert.Verify(key, sshcert.NamespaceContract, []byte(d.JSON), d.Signatures[0].Armored))
	case "erase":
		_, err := record.ParseEraseDoc([]byte(d.JSON))
		for _, s := range d.Signatures {
			err = errors.Join(err, sshcert.Verify(parseLine(t, s.Key), sshcert.NamespaceErase, []byte(d.JSON), s.Armored))
		}
		return err
	case "issue":
		_, subject, err := record.OpenIssue(d.JSON, d.Signatures[0].Armored, d.Signatures[1].Armored, key)
		if err == nil && !bytes.Equal(subject.Marshal(), parseLine(t, d.Signatures[1].Key).Marshal()) {
			t.Error("the issue document is for another key")
		}
		return err
	}
	t.Fatalf("document %q", d.Name)
	return nil
}

func parseLine(t *testing.T, text string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Stock ssh-keygen and the ledger's independent checker, which share no code
// with us, read the vectors alike.
func TestVectorsCheckOutElsewhere(t *testing.T) {
	t.Parallel()
	checker := filepath.Join("..", "ledger", "testdata", "check_vector.py")
	out, err := exec.CommandContext(t.Context(), "python3", checker, vectorPath()).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok: ") {
		t.Errorf("check_vector.py: %v\n%s", err, out)
	}
	dir := t.TempDir()
	verify := func(d documentVector, s signatureVector) error {
		sig, allowed := filepath.Join(dir, "sig"), filepath.Join(dir, "allowed")
		if err := os.WriteFile(sig, []byte(s.Armored), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(allowed, []byte("signer "+s.Key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "signer", "-n", s.Namespace, "-s", sig)
		cmd.Stdin = strings.NewReader(d.JSON)
		return cmd.Run()
	}
	v := readVectors(t)
	for _, d := range v.Documents {
		for _, s := range d.Signatures {
			if err := verify(d, s); err != nil {
				t.Errorf("ssh-keygen refuses the %s document in %s: %v", d.Name, s.Namespace, err)
			}
		}
	}
	for _, d := range v.Refused {
		if strings.HasSuffix(d.Name, "another version") { // it is well signed
			continue
		}
		if verify(d, d.Signatures[0]) == nil {
			t.Errorf("ssh-keygen takes %q", d.Name)
		}
	}
}
