package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/payloads"
)

// entitled returns the terms of every test with another id, and a text in each
// place where a contract's author writes freely.
func entitled(id, text string) string {
	quoted, err := json.Marshal(text) // YAML reads it as JSON does
	if err != nil {
		return err.Error()
	}
	return strings.NewReplacer(
		`id: acme, title: "Access to <b>Acme</b>'s hosts"`, fmt.Sprintf(`id: %s, title: %s`, id, quoted), `{name: Acme}`, `{name: `+string(quoted)+`}`,
	).Replace(terms)
}

// A contract's author writes titles, names and prose: those that the terms may
// have show as text on the page that lists contracts.
func TestPromiseP16_ContractsAreText(t *testing.T) {
	t.Parallel()
	w, twin := newWorld(t), newWorld(t)
	taken := 0
	for i, p := range payloads.All() {
		id := fmt.Sprintf("c%d", i)
		filled := strings.NewReplacer("KEY", line(newKey(t).PublicKey()), "ISSUER", w.idp.URL()).Replace(entitled(id, p.Text))
		if _, err := contract.ParseTerms([]byte(filled)); err != nil {
			continue // what is told of it, cmd/sallyd shows and tests
		}
		taken++
		w.addContract(entitled(id, p.Text))
		twin.addContract(entitled(id, "Harmless"))
	}
	if taken < 30 {
		t.Errorf("%d titles were taken", taken)
	}
	page, harmless := w.newBrowser().open("/login"), twin.newBrowser().open("/login")
	if page.Status != http.StatusOK {
		t.Fatalf("%d %s", page.Status, page.Text())
	}
	if err := payloads.Twin(page.Body, harmless.Body); err != nil {
		t.Error(err)
	}
	about := into[api.Server](t, w.send(http.MethodGet, "/v1/server", nil, nil), http.StatusOK)
	if len(about.Contracts) != taken+1 {
		t.Errorf("%d contracts, want %d", len(about.Contracts), taken+1)
	}
	for _, c := range about.Contracts {
		if err := payloads.Spelled(page.Text(), c.Title); err != nil {
			t.Error(err)
		}
	}
}
