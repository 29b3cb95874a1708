package lab_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/liar"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// TestStoryPartyCosigner: under a contract that names a cosigner nobody gets in
// without its word, and with it everybody who may; an operator who makes up a
// decision, a person and a certificate gets no word, and each is named.
func TestStoryPartyCosigner(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{
		Cosigner: true, Plan: site.Plan{CertTTL: 2 * time.Minute}, Others: []site.Other{{Who: "carol", Name: "Carol Example", Groups: []string{"engineers"}}},
	})
	must(t, s.Others["carol"].LogIn(ctx))
	r, err := s.Alice.Must(ctx, "sally", "request", s.Principal(site.Web1), "--for", "10m", "--because", "the first of three", "--no-wait")
	must(t, err)
	path, _ := page(t, r.Output)
	decide(t, ctx, s, path, "approve", "")

	// Granted, and nobody confirms the ledger.
	r, err = s.Alice.Run(ctx, "sally", "ssh", s.Principal(site.Web1), "--", "id -un")
	must(t, err)
	if r.Code != 6 || !strings.Contains(r.Output, "a cosigner that the contract names has not confirmed the ledger") {
		t.Fatalf("without the cosigner: exit code %d: %s", r.Code, r.Output)
	}
	cosigner, err := s.StartCosigner(ctx)
	must(t, err)
	_, err = cosigner.Expect(ctx, "cosigned "+site.Origin)
	must(t, err)
	in := func(host string) {
		t.Helper()
		r, err := s.Alice.Must(ctx, "sally", "ssh", s.Principal(host), "--", "id -un")
		must(t, err)
		if strings.TrimSpace(r.Stdout) != string(s.Account.Login) {
			t.Errorf("the host answers %q", r.Stdout)
		}
	}
	in(site.Web1)
	audited(t, ctx, s)

	// The operator cheats about Carol's request, which nobody decided on.
	r, err = s.Alice.Must(ctx, "sally", "request", s.Principal(site.Web2), "--for", "10m", "--because", "the second of three", "--no-wait")
	must(t, err)
	path, _ = page(t, r.Output)
	decide(t, ctx, s, path, "approve", "")
	_, err = s.Others["carol"].Must(ctx, "sally", "request", s.Principal(site.Web1), "--for", "10m", "--because", "the third of three", "--no-wait")
	must(t, err)
	must(t, s.StopServing())
	made := cheat(t, ctx, s)
	must(t, s.Serve(ctx))
	for leaf, rule := range made {
		_, err := cosigner.Expect(ctx, fmt.Sprintf("ALARM: leaf %d (%s", leaf, rule))
		must(t, err)
	}
	// What was granted honestly gets no certificate now: the cosigner says nothing.
	r, err = s.Alice.Run(ctx, "sally", "ssh", s.Principal(site.Web2), "--", "id -un")
	must(t, err)
	if r.Code != 6 || !strings.Contains(r.Output, "a cosigner that the contract names has not confirmed the ledger") {
		t.Fatalf("after the lie: exit code %d: %s", r.Code, r.Output)
	}

	// Its next start knows; it goes on once its owner has accepted each.
	must(t, cosigner.Stop())
	cosigner, err = s.StartCosigner(ctx)
	must(t, err)
	_, err = cosigner.Expect(ctx, "refused "+site.Origin)
	must(t, err)
	must(t, cosigner.Stop())
	var accept []string
	for leaf := range made {
		accept = append(accept, "--accept", fmt.Sprint(leaf))
	}
	cosigner, err = s.StartCosigner(ctx, accept...)
	must(t, err)
	_, err = cosigner.Expect(ctx, "cosigned "+site.Origin)
	must(t, err)
	in(site.Web2)
	must(t, cosigner.Stop())
}

// audited verifies the ledger offline, with the word of the cosigner and not with
// another's.
func audited(t *testing.T, ctx context.Context, s *site.Site) {
	t.Helper()
	digest, err := s.ContractDigest()
	must(t, err)
	bundle := s.Operator.Home("cosigned.jsonl")
	_, err = s.Operator.Must(ctx, "sallyd", "ledger", "export", "--out", bundle, "--dir", s.ServerDir())
	must(t, err)
	verify := []string{"sally", "audit", "verify", bundle, "--pin", s.PinFile(), "--contract", digest.String(), "--cosigner"}
	_, err = s.Auditor.Must(ctx, append(verify, s.CosignerKey())...)
	must(t, err)
	_, stranger, err := ledger.NewCosignerKey(rand.Reader, site.CosignerName)
	must(t, err)
	r, err := s.Auditor.Run(ctx, append(verify, stranger)...)
	must(t, err)
	if r.Code == 0 {
		t.Error("a bundle verifies with the word of a cosigner that never gave it")
	}
}

// cheat appends what no rule allows to the ledger of a sallyd that does not run,
// and returns each leaf with its kind and the rule that it breaks.
func cheat(t *testing.T, ctx context.Context, s *site.Site) map[int64]string {
	t.Helper()
	db, err := liar.Open(filepath.Join(s.ServerDir(), "ledger.db"))
	must(t, err)
	facts, leaf, err := db.Facts(ctx, ledger.RequestSubmit)
	must(t, err)
	asked, ok := facts.(record.RequestSubmit)
	if !ok {
		t.Fatal("no request")
	}
	facts, _, err = db.Facts(ctx, ledger.PersonLogin)
	must(t, err)
	login, ok := facts.(record.PersonLogin)
	if !ok {
		t.Fatal("no login")
	}
	facts, _, err = db.Facts(ctx, ledger.CertificateIssue)
	must(t, err)
	issued, ok := facts.(record.CertificateIssue)
	if !ok {
		t.Fatal("no certificate")
	}
	var doc record.RequestDoc
	must(t, canon.Unmarshal([]byte(asked.Document), &doc))
	made := map[int64]string{}
	now := canon.At(time.Now())
	force := func(rule string, d liar.Draft) canon.Digest {
		t.Helper()
		index, hash, err := db.Append(ctx, d)
		must(t, err)
		made[index] = rule
		return hash
	}
	id := func() canon.ID {
		id, err := canon.NewID(rand.Reader)
		must(t, err)
		return id
	}
	// Who asked says yes to herself.
	herself := record.RequestDecide{
		At: now, Decision: id(), Lineage: asked.Lineage, Request: asked.Request, RequestLeaf: leaf, Contract: issued.Contract, Person: doc.Person,
		Claims: asked.Claims, Assurance: record.AssuranceSession, Stage: "lead", Verdict: approval.Approve,
	}
	force("request.decide): nobody decides on their own request", liar.Draft{Facts: herself})
	// A lead whom nobody knows, with an ID token that nobody signed.
	mallory, ref := id(), id()
	login.At, login.Login, login.Person, login.DeviceKey, login.Flow = now, ref, mallory, "", record.FlowCode
	login.ClaimsAt, login.GroupsKnown, login.Groups = canon.At(now.Time().Truncate(time.Second)), true, []string{"leads"}
	claims := fmt.Sprintf(`{"iss":%q,"sub":"mallory","aud":%q,"iat":%d,"exp":%d,"groups":["leads"]}`, login.Issuer, login.Client, now/1e6, now/1e6+300)
	token := canon.B64([]byte(`{"alg":"RS256"}`)) + "." + canon.B64([]byte(claims)) + "." + canon.B64(make([]byte, 256))
	at := force("person.login): the ID token's signature", liar.Draft{Facts: login, PersonID: mallory, Person: record.LoginPerson{Subject: "mallory", IDToken: token}})
	snapshot := force("person.snapshot): ", liar.Draft{Facts: record.PersonSnapshot{
		At: now, Snapshot: id(), Person: mallory, Issuer: login.Issuer, Source: record.SourceIDToken, Login: at, GroupsKnown: true, Groups: login.Groups,
	}})
	decided := herself
	decided.Decision, decided.Person, decided.Claims = id(), mallory, record.Claims{Login: at, Snapshot: snapshot, ClaimsAt: login.ClaimsAt}
	grant := force("request.decide): ", liar.Draft{Facts: decided})
	// A certificate on that.
	issued.At, issued.Grant, issued.GrantLeaf, issued.Claims, issued.Person = now, asked.Request, grant, asked.Claims, doc.Person
	next, err := db.Next(ctx)
	must(t, err)
	issued.Serial, issued.TBS = uint64(next)+1, forged(t, uint64(next)+1)
	force("certificate.issue): it is pending", liar.Draft{Facts: issued})
	must(t, db.Close())
	return made
}

// forged is what an operator would have signed who lets himself in for an hour.
func forged(t *testing.T, serial uint64) string {
	t.Helper()
	key := func() ssh.PublicKey {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		k, err := ssh.NewPublicKey(public)
		must(t, err)
		return k
	}
	now := uint64(time.Now().Unix())
	return canon.B64(sshcert.TBS(&ssh.Certificate{
		Nonce: make([]byte, 32), Key: key(), Serial: serial, CertType: ssh.UserCert, KeyId: "mallory", ValidPrincipals: []string{"root@web-2.demo"},
		ValidAfter: now - 60, ValidBefore: now + 3600, SignatureKey: key(),
	}))
}
