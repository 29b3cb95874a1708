package audit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// IDToken is what the ID token of a login says. Whether the identity provider
// said it, nobody can tell who does not have its keys of that day: a party
// cosigner has them.
type IDToken struct {
	Issuer, Client      string
	Subject             string
	Nonce               string // empty if there is none
	IssuedAt            canon.Micros
	AuthTimeAt          canon.Micros // 0 if it does not say
	ACR                 string
	AMR                 []string // sorted
	Groups              []string // sorted
	GroupsKnown         bool
	Name, Email, Handle string
}

// TokenIssuer is how the contracts in force read an issuer's ID tokens.
type TokenIssuer struct {
	URL, Client               string
	SubjectClaim, GroupsClaim string
}

// errToken says that a login is not what its ID token says.
var errToken = errors.New("the login is not what its ID token says")

// checkToken holds a login to its ID token, as far as that is shown, and reports
// whether the identity provider's word binds the device key to the person: by the
// nonce of the ID token, or by that of the login which this one renews.
func (p *Replay) checkToken(f record.PersonLogin, person any) (bound bool, err error) {
	bound = f.Flow == record.FlowRefresh && p.devices[f.DeviceKey]
	part, ok := person.(record.LoginPerson)
	if !ok || p.config.ReadToken == nil {
		return bound, nil
	}
	row, err := p.view.Row(record.TableIssuer, record.IssuerKey(f.Issuer))
	if err != nil {
		return bound, nil // no contract in force says how to read it
	}
	var read record.IssuerRow
	if err := canon.Unmarshal(row, &read); err != nil {
		return false, err
	}
	token, err := p.config.ReadToken(part.IDToken, TokenIssuer{URL: f.Issuer, Client: f.Client, SubjectClaim: read.Subject, GroupsClaim: read.Groups})
	if err != nil {
		return false, fmt.Errorf("%w: %w", errToken, err)
	}
	return CheckToken(f, part, token, bound)
}

// CheckToken holds a login to what its ID token says, and reports whether the
// token's nonce binds the device key to the person. renews says that the device key
// was bound before. Who has checked the token's signature has the identity
// provider's word for it; who has not, the server's.
func CheckToken(f record.PersonLogin, part record.LoginPerson, token IDToken, renews bool) (bound bool, err error) {
	for _, check := range []struct {
		what string
		ok   bool
	}{
		{"subject", token.Subject == part.Subject},
		{"claims_at", f.ClaimsAt == min(token.IssuedAt, f.At)}, // an issuer whose clock is ahead vouches from now
		{"auth_time_at", token.AuthTimeAt == f.AuthTimeAt},
		{"acr", token.ACR == f.ACR},
		{"amr", slices.Equal(token.AMR, f.AMR)},
		{"groups", token.GroupsKnown == f.GroupsKnown && slices.Equal(token.Groups, f.Groups)},
		{"name", token.Name == part.Name},
		{"email", token.Email == part.Email},
		{"handle", token.Handle == part.Handle},
	} {
		if !check.ok {
			return false, fmt.Errorf("%w: %s", errToken, check.what)
		}
	}
	return checkNonce(f, part, token.Nonce, renews)
}

// checkNonce opens the nonce's commitment to the device key.
func checkNonce(f record.PersonLogin, part record.LoginPerson, nonce string, renews bool) (bool, error) {
	switch {
	case f.DeviceKey == "" && part.RZ == "":
		return false, nil // a browser's
	case f.DeviceKey == "" || part.RZ == "":
		return false, fmt.Errorf("%w: device key and rz stand together", errToken)
	case nonce == "" && f.Flow == record.FlowRefresh:
		return renews, nil // OpenID Connect Core §12.2: it may be missing
	}
	rz, err := canon.ParseB64(part.RZ)
	if err != nil {
		return false, fmt.Errorf("%w: rz: %w", errToken, err)
	}
	wire, err := canon.ParseB64(f.DeviceKey)
	if err != nil {
		return false, fmt.Errorf("%w: device_key: %w", errToken, err)
	}
	if canon.Sum("sallyport.device/v1", rz, wire).String() != nonce {
		return false, fmt.Errorf("%w: its nonce does not commit to the device key", errToken)
	}
	return true, nil
}
