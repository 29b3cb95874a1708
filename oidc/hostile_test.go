package oidc_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/lab/hostile"
)

const (
	clientID   = hostile.ClientID
	goodNonce  = hostile.Nonce
	secret     = "s3cret-of-the-client"
	secretCode = "c0de-of-the-login"
)

func answerToken(w http.ResponseWriter, idToken string) { hostile.AnswerToken(w, idToken, "") }

// leaks reports what an error must never repeat.
func leaks(err error, token string) error {
	text := err.Error()
	parts := strings.Split(token, ".")
	for _, s := range append(parts, secret, secretCode, "<", ">") {
		if len(s) > 8 && strings.Contains(text, s) || len(s) == 1 && strings.Contains(text, s) {
			return fmt.Errorf("the error repeats %q: %s", s, text)
		}
	}
	return nil
}
