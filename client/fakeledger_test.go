package client

import (
	"bytes"
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// issue records and signs a certificate in the order of DESIGN §5.
func (f *fake) issue(q *api.Request, key ssh.PublicKey) *ssh.Certificate {
	f.t.Helper()
	now := time.Now()
	principals, err := sshcert.Principals(q.Logins, q.Hosts)
	if err != nil {
		f.t.Error(err)
	}
	before := now.Add(f.ttl)
	if end := q.Grant.End.Time(); before.After(end) {
		before = end
	}
	log, signer := f.log, f.ca
	if f.signer != nil {
		signer = f.signer
	}
	if f.proofLog != nil {
		log = f.proofLog
	}
	index := log.Tree().Size
	cert := &ssh.Certificate{
		Nonce: bytes.Repeat([]byte{7}, 32), Key: key, Serial: ledger.Serial(index), CertType: ssh.UserCert,
		KeyId:           sshcert.KeyID{Person: f.person, Request: q.ID, Contract: q.Contract.Digest, End: q.Grant.End.Time().Truncate(time.Second)}.String(),
		ValidPrincipals: principals, ValidAfter: uint64(now.Add(-time.Minute).Unix()), ValidBefore: uint64(before.Unix()),
		Permissions:  ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
		SignatureKey: signer.PublicKey(),
	}
	if f.tamper != nil {
		f.tamper(cert)
	}
	f.record(log, q, cert)
	if f.finish != nil {
		f.finish(cert)
	}
	if cert.Signature, err = signer.Sign(rand.Reader, sshcert.SignedBytes(cert)); err != nil {
		f.t.Error(err)
	}
	if int64(len(f.entries)) == index+1 {
		f.entries[index].Certificate = keyLine(cert)
	}
	return cert
}

// record appends the leaf of a certificate and embeds its proof.
func (f *fake) record(log *ledgertest.Log, q *api.Request, cert *ssh.Certificate) {
	f.t.Helper()
	tbs := sshcert.TBS(cert)
	claims := record.Claims{Login: f.contract.Digest, Snapshot: f.contract.Digest, ClaimsAt: canon.At(time.Now())}
	facts := record.CertificateIssue{
		At: canon.At(time.Now()), Lineage: q.Contract.Lineage, Contract: q.Contract.Digest, Person: f.person, Grant: q.ID,
		GrantLeaf: f.contract.Digest, Claims: claims, Serial: cert.Serial, Nonce: canon.B64(cert.Nonce), TBS: canon.B64(tbs),
		Document: "{}", DeviceSig: "-", Possession: "-",
	}
	leaf := f.append(log, facts, nil)
	extra := certproof.Extra(leaf.Lineage, leaf.Facts)
	if err := certproof.Embed(cert, log.Prove(log.Tree().Size-1, log.Tree().Size, extra)); err != nil {
		f.t.Error(err)
	}
}

// append adds a leaf with its opening to the log, and to the entries that the
// fake shows if it is the fake's own log.
func (f *fake) append(log *ledgertest.Log, facts record.Facts, person any) ledger.Leaf {
	f.t.Helper()
	text, err := canon.Marshal(facts)
	if err != nil {
		f.t.Error(err)
	}
	salt, err := ledger.NewSalt(rand.Reader)
	if err != nil {
		f.t.Error(err)
	}
	leaf := ledger.Leaf{Kind: facts.Kind(), Lineage: facts.InLineage(), Reference: facts.Reference(), Facts: ledger.FactsCommitment(salt, text)}
	e := api.Entry{Kind: string(facts.Kind()), At: facts.When(), Facts: string(text), FactsSalt: salt.String()}
	if person != nil {
		part, err := canon.Marshal(person)
		if err != nil {
			f.t.Error(err)
		}
		own, err := ledger.NewSalt(rand.Reader)
		if err != nil {
			f.t.Error(err)
		}
		leaf.Person = ledger.PersonCommitment(own, part)
		e.Person, e.PersonSalt = string(part), own.String()
	}
	lines, err := leaf.Marshal()
	if err != nil {
		f.t.Error(err)
	}
	e.Leaf, e.Index = string(lines), log.Append(leaf)
	if log == f.log {
		f.entries = append(f.entries, api.EntryProof{Entry: e})
	}
	return leaf
}

// listEntries answers pages as the server does; it looks for nothing. Its cursors
// are indexes.
func (f *fake) listEntries(r *http.Request) (int, any) {
	f.searches = append(f.searches, r.URL.Query())
	size := int64(len(f.entries))
	at := func(name string, otherwise int64) int64 {
		n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
		if err != nil {
			return otherwise
		}
		return n
	}
	limit := int(at("limit", 50))
	out := api.Entries{Size: size, Entries: []api.Entry{}}
	if r.URL.Query().Get("order") == "oldest" {
		i := at("cursor", at("from", 0))
		for ; i < size && len(out.Entries) < limit; i++ {
			out.Entries = append(out.Entries, f.entries[i].Entry)
		}
		out.Searched, out.Next = i, strconv.FormatInt(i, 10)
		return http.StatusOK, out
	}
	i := min(at("cursor", at("before", size)), size)
	for ; i > 0 && len(out.Entries) < limit; i-- {
		out.Entries = append(out.Entries, f.entries[i-1].Entry)
	}
	if out.Searched = i; i > 0 {
		out.Next = strconv.FormatInt(i, 10)
	}
	return http.StatusOK, out
}

// checkpoint answers the newest checkpoint, unless a test lies about it.
func (f *fake) checkpoint(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	note := f.log.Checkpoint(f.log.Tree().Size)
	if f.lieNote != nil {
		note = f.lieNote(note)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(note) // a client that went away is the test's business
}

func (f *fake) getEntry(r *http.Request) (int, any) {
	index, err := strconv.ParseInt(r.PathValue("index"), 10, 64)
	if err != nil || index < 0 || index >= int64(len(f.entries)) {
		return problemBody("not-found", http.StatusNotFound, "the ledger has no such entry")
	}
	e := f.entry(index)
	if f.lieEntry != nil {
		f.lieEntry(&e)
	}
	return http.StatusOK, e
}

// listHosts answers the hosts; they join at the first look, so that tests may
// change f.hosts before.
func (f *fake) listHosts(r *http.Request) (int, any) {
	if f.pageHosts != nil {
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil {
			return problemBody("malformed", http.StatusBadRequest, err.Error())
		}
		return http.StatusOK, f.pageHosts(r.URL.Query().Get("after"), limit)
	}
	if !f.joined {
		f.joined = true
		for i := range f.hosts {
			f.hosts[i].Leaf = f.join(f.log, f.hosts[i])
		}
	}
	list := slices.Clone(f.hosts)
	if f.lieHosts != nil {
		f.lieHosts(list)
	}
	return http.StatusOK, list
}

// join appends the leaf of a host and returns its index.
func (f *fake) join(log *ledgertest.Log, h api.Host) int64 {
	f.t.Helper()
	key, err := parseKeyLine(h.HostKey)
	if err != nil {
		f.t.Error(err)
	}
	facts := record.HostJoin{
		At: canon.At(time.Now()), Join: newID(f.t), Lineage: h.Lineage, Name: h.Name, Address: h.Address, Port: h.Port, HostKey: canon.B64(key.Marshal()),
	}
	for _, name := range slices.Sorted(maps.Keys(h.Labels)) {
		facts.Labels = append(facts.Labels, record.Label{Name: name, Value: h.Labels[name]})
	}
	f.append(log, facts, nil)
	return log.Tree().Size - 1
}

// entry is what the fake shows of an entry, with a proof at the present size.
func (f *fake) entry(index int64) api.EntryProof {
	e := f.entries[index]
	e.Proof = string(f.log.Prove(index, f.log.Tree().Size, nil))
	return e
}

// bareCertificate is a certificate by the fake's CA that no ledger knows.
func (f *fake) bareCertificate() *ssh.Certificate {
	f.t.Helper()
	cert := &ssh.Certificate{
		Nonce: bytes.Repeat([]byte{1}, 32), Key: newSigner(f.t).PublicKey(), Serial: 1, CertType: ssh.UserCert, KeyId: "x",
		ValidPrincipals: []string{"ops@web-1.demo"}, ValidBefore: uint64(time.Now().Add(time.Hour).Unix()), SignatureKey: f.ca.PublicKey(),
	}
	var err error
	if cert.Signature, err = f.ca.Sign(rand.Reader, sshcert.SignedBytes(cert)); err != nil {
		f.t.Fatal(err)
	}
	return cert
}
