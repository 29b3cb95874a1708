package client

import (
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
)

// ReadIDToken reads an ID token as the server did at the login, but for its
// signature and its times; it is audit.Config's ReadToken.
func ReadIDToken(idToken string, i audit.TokenIssuer) (audit.IDToken, error) {
	id, nonce, err := oidc.Issuer{
		URL: i.URL, ClientID: i.Client, SubjectClaim: i.SubjectClaim, GroupsClaim: i.GroupsClaim,
	}.ReadUnverified(idToken)
	if err != nil {
		return audit.IDToken{}, err
	}
	return audit.IDToken{
		Issuer: id.Issuer, Client: id.Client, Subject: id.Subject, Nonce: nonce, IssuedAt: micros(id.IssuedAt), AuthTimeAt: micros(id.AuthTime),
		ACR: id.ACR, AMR: id.AMR, Groups: id.Groups, GroupsKnown: id.GroupsKnown, Name: id.Name, Email: id.Email, Handle: id.Handle,
	}, nil
}

// micros is a moment, 0 for none.
func micros(t time.Time) canon.Micros {
	if t.IsZero() {
		return 0
	}
	return canon.At(t)
}
