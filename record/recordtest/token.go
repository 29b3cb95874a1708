package recordtest

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// SpeakIDTokens gives logins from now on ID tokens that say what their facts say,
// with the nonce that binds the device key. Nobody has signed them.
func (w *World) SpeakIDTokens() {
	w.Token = func(u *User, f record.PersonLogin, rz canon.Digest) string {
		w.t.Helper()
		claims := map[string]any{
			"iss": f.Issuer, "sub": u.Subject, "aud": f.Client, "iat": f.ClaimsAt / 1e6, "exp": f.ClaimsAt/1e6 + 300, "auth_time": f.AuthTimeAt / 1e6,
			"amr": f.AMR, "email_verified": true, "name": strings.ToUpper(u.Name[:1]) + u.Name[1:], "email": u.Name + "@acme.example", "preferred_username": u.Name,
		}
		if f.GroupsKnown {
			claims["groups"] = append([]string{}, f.Groups...)
		}
		if wire, err := canon.ParseB64(f.DeviceKey); err == nil && f.DeviceKey != "" {
			claims["nonce"] = canon.Sum("sallyport.device/v1", rz[:], wire).String()
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			w.t.Fatalf("claims: %v", err)
		}
		return "eyJhbGciOiJFUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(payload) + ".c2lnbmF0dXJl"
	}
}
