package server

import (
	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// written returns what people wrote, or are called, in what is shown of an entry's
// person part. An ID token is not among it.
func written(e api.Entry) []string {
	if e.Person == "" {
		return nil
	}
	part, err := record.ParsePerson(ledger.Kind(e.Kind), []byte(e.Person))
	if err != nil {
		return nil // a kind that this version does not know
	}
	switch p := part.(type) {
	case record.LoginPerson:
		return []string{p.Name, p.Email, p.Handle, p.Subject}
	case record.LinkPerson:
		return []string{p.Because}
	case record.RequestPerson:
		return []string{p.Reason, p.Ticket}
	case record.DecidePerson:
		return []string{p.Words}
	}
	return nil
}
