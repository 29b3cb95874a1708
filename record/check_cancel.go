package record

import (
	"fmt"

	"github.com/sallyport/sallyport/approval"
)

// requestCancel lets the requester, and only that account, take a pending
// request back. It asks for no group, no fresh claims and no contract in force: it
// only takes away.
func (e Event) requestCancel(v View, f RequestCancel) ([]Change, error) {
	r, err := Request(v, f.Request)
	if err != nil {
		return nil, err
	}
	if r.Lineage != f.Lineage || r.Leaf != f.RequestLeaf {
		return nil, fmt.Errorf("%w: the cancellation is of another request", ErrEvent)
	}
	// Who asks for what is not theirs is told that before anything about logins.
	if r.By != f.Person {
		return nil, approval.ErrNotRequester
	}
	if err := checkCanceller(v, r, f); err != nil {
		return nil, err
	}
	if r, err = Standing(v, r); err != nil {
		return nil, err
	}
	r, err = r.Cancel(f.Person, approval.Cancellation{At: f.At, Leaf: e.LeafHash})
	if err != nil {
		return nil, err
	}
	return changes(putRequest(r))
}

// checkCanceller holds a cancellation to a login of the requester. Where that has
// a device key, the device key has signed: a bearer alone cancels nothing. A
// browser has none; of it there is the server's word.
func checkCanceller(v View, r approval.Request, f RequestCancel) error {
	if err := notErased(v, f.Person); err != nil {
		return err
	}
	login, err := Login(v, f.Login)
	if err != nil {
		return err
	}
	if login.Person != f.Person {
		return fmt.Errorf("%w: the login is another person's", ErrEvent)
	}
	version, err := v.Version(r.Contract)
	if err != nil {
		return err
	}
	if err := usable(version.Terms, login, f.At, denyMaxAge); err != nil {
		return err
	}
	switch {
	case f.Assurance == AssuranceDevice:
		return checkCancelDoc(v, f, login)
	case f.Assurance != AssuranceSession:
		return fmt.Errorf("%w: assurance %q", ErrEvent, f.Assurance)
	case login.DeviceKey != "":
		return fmt.Errorf("%w: it is not signed by the device key of the login", ErrDocument)
	case f.Document != "" || f.Signature != "":
		return fmt.Errorf("%w: a signature by no device key", ErrEvent)
	}
	return nil
}

func checkCancelDoc(v View, f RequestCancel, login LoginRow) error {
	log, err := Log(v)
	if err != nil {
		return err
	}
	device, err := deviceKey(login)
	if err != nil {
		return err
	}
	doc, err := checkingOf(v).openCancel(f.Document, f.Signature, device)
	if err != nil {
		return err
	}
	if doc != (CancelDoc{V: doc.V, Origin: log.Origin, Request: f.Request, Person: f.Person, ExpiresAt: doc.ExpiresAt}) {
		return fmt.Errorf("%w: it was signed for another request, person or server", ErrDocument)
	}
	return Fresh(doc.ExpiresAt, f.At.Time(), DocumentLife)
}
