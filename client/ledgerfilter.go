package client

import (
	"net/url"

	"github.com/sallyport/sallyport/canon"
)

// LedgerFilter says which entries are looked for: those that every field which is
// not empty holds for. The server reads them; what it takes, its refusal says.
type LedgerFilter struct {
	Person   string // an id, "me", or a name, address or handle
	Host     string
	Login    string
	Role     string
	Request  string
	Contract string // digest of a version
	Serial   string
	Key      string // SHA256:…
	Kind     string
	Since    string // RFC 3339, a day, or how long ago
	Until    string
	Text     string
	// People asks for person parts about others, which an auditor may see; the
	// server records that.
	People bool
}

// values returns the parameters of a search.
func (f LedgerFilter) values() url.Values {
	out := url.Values{}
	person := "person"
	if f.byName() {
		person = "who"
	}
	for name, value := range map[string]string{
		person: f.Person, "host": f.Host, "login": f.Login, "role": f.Role, "request": f.Request, "contract": f.Contract, "serial": f.Serial,
		"key": f.Key, "kind": f.Kind, "since": f.Since, "until": f.Until, "text": f.Text,
	} {
		if value != "" {
			out.Set(name, value)
		}
	}
	if f.People {
		out.Set("people", "1")
	}
	return out
}

// byName reports whether somebody is looked for by what they are called.
func (f LedgerFilter) byName() bool {
	_, err := canon.ParseID(f.Person)
	return err != nil && f.Person != "" && f.Person != "me"
}
