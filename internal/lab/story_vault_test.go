package lab_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// waits is what sally says while the CA key can't be reached.
const waits = "the authority key can't be reached, so no certificate was made; the request stays granted; try again, a retry is safe"

// TestPromiseP14_SealedVault: while Vault is sealed people approve and deny, and
// nothing is issued; what was granted stays granted, also over a restart of
// sallyd, and gives a certificate after the unseal. A token that was revoked is
// replaced without a restart.
func TestPromiseP14_SealedVault(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Vault: true, Plan: site.Plan{CertTTL: 2 * time.Minute}})
	granted := request(t, ctx, s, site.Web1)
	refused := request(t, ctx, s, site.Web2)
	must(t, s.Seal(ctx))
	const unsigned = `{"part":"signer","status":"failed","text":"no certificate can be signed now; deciding goes on, and what is granted stays granted"}`
	ready(t, ctx, s, 503, `{"status":"failed",`, unsigned)

	// Deciding needs no key.
	decide(t, ctx, s, granted.path, "approve", "")
	decide(t, ctx, s, refused.path, "deny", "not today")
	expect(t, ctx, s, 3, "denied by Bob Example: not today", "sally", "status", "--wait", refused.id)

	// Nothing is issued, and Alice reads why and what to do.
	ssh := []string{"sally", "ssh", s.Principal(site.Web1), "--key-file", "--", "id -un"}
	expect(t, ctx, s, 6, waits, ssh...)
	expect(t, ctx, s, 0, "granted", "sally", "status", granted.id)

	// A restart changes nothing of it, and verbs that sign nothing work meanwhile.
	must(t, s.StopServing())
	must(t, s.ConfigureHost(ctx, site.Web1))
	must(t, s.Serve(ctx))
	ready(t, ctx, s, 503, `{"status":"failed",`, unsigned)
	expect(t, ctx, s, 6, waits, ssh...)
	if log := serverLog(s); !strings.Contains(log, "Vault is sealed or on standby") || !strings.Contains(log, "authority key not reachable at start") {
		t.Errorf("sallyd does not log why:\n%s", log)
	}
	if log := s.Hosts[site.Web1].Log(); strings.Contains(log, "Accepted") {
		t.Errorf("somebody got in:\n%s", log)
	}

	must(t, s.Unseal(ctx))
	ready(t, ctx, s, 200, `{"status":"ok",`, `{"part":"signer","status":"ok","text":"certificates can be signed"}`)
	expect(t, ctx, s, 0, "\n"+string(s.Account.Login)+"\n", ssh...)

	// Its token is revoked; a new one lies in the file before the next certificate.
	token, err := os.ReadFile(s.VaultTokenFile())
	must(t, err)
	must(t, s.Vault.Revoke(ctx, strings.TrimSpace(string(token))))
	next := request(t, ctx, s, site.Web2)
	decide(t, ctx, s, next.path, "approve", "")
	ssh[2] = s.Principal(site.Web2)
	expect(t, ctx, s, 6, waits, ssh...)
	must(t, s.NewVaultToken(ctx))
	expect(t, ctx, s, 0, "\n"+string(s.Account.Login)+"\n", ssh...)

	if log := serverLog(s); strings.Contains(log, "hvs.") || !strings.Contains(log, "still holds the refused one") {
		t.Errorf("sallyd's log holds a token, or not why it was refused:\n%s", log)
	}
}

// TestStoryVaultTokenIsKept: sallyd renews its token, which ends ten seconds
// after each renewal.
func TestStoryVaultTokenIsKept(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Vault: true})
	begin := time.Now()
	q := request(t, ctx, s, site.Web1)
	decide(t, ctx, s, q.path, "approve", "")
	err := lab.Poll(ctx, "twice the token's life", func() (bool, error) { return time.Since(begin) > 21*time.Second, nil })
	must(t, err)
	expect(t, ctx, s, 0, "\n"+string(s.Account.Login)+"\n", "sally", "ssh", s.Principal(site.Web1), "--key-file", "--", "id -un")
}

// ready waits until /readyz answers so: what it says is up to five seconds old.
func ready(t *testing.T, ctx context.Context, s *site.Site, status int, words ...string) {
	t.Helper()
	must(t, lab.Poll(ctx, fmt.Sprintf("/readyz to answer %d and %q", status, words), func() (bool, error) {
		page, err := s.Bob.Browser.Get(ctx, s.URL()+"/readyz")
		if err != nil || page.Status != status {
			return false, err
		}
		for _, word := range words {
			if !strings.Contains(page.Body, word) {
				return false, nil
			}
		}
		if strings.Contains(page.Body, s.Vault.Addr()) || strings.Contains(page.Body, "Vault") {
			t.Errorf("a stranger is told too much: %s", page.Body)
		}
		return true, nil
	}))
}

type filed struct{ path, id string }

func request(t *testing.T, ctx context.Context, s *site.Site, host string) filed {
	t.Helper()
	r, err := s.Alice.Must(ctx, "sally", "request", s.Principal(host), "--for", "10m", "--because", "the vault story", "--no-wait")
	must(t, err)
	path, id := page(t, r.Output)
	return filed{path, id}
}

// expect is what Alice types, its exit code and what she reads.
func expect(t *testing.T, ctx context.Context, s *site.Site, code int, text string, argv ...string) {
	t.Helper()
	r, err := s.Alice.Run(ctx, argv...)
	must(t, err)
	if r.Code != code || !strings.Contains(r.Output, text) {
		t.Fatalf("%s: exit code %d, want %d with %q: %s", strings.Join(argv, " "), r.Code, code, text, r.Output)
	}
}

func serverLog(s *site.Site) string {
	for _, l := range s.Logs(1000) {
		if l.Name == "sallyd" {
			return l.Text
		}
	}
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
