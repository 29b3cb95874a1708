package robot

import (
	"context"
	"fmt"
	"net/http"
)

// LogIn visits an address that leads to the lab provider's login form, fills it
// in and returns the first page that is not the provider's. If the provider
// does not let the person in, the error wraps ErrLogin and says what the page
// says; the page comes with it.
func (r *Robot) LogIn(ctx context.Context, address, username, password string) (*Page, error) {
	p, err := r.Get(ctx, address)
	if err != nil {
		return nil, err
	}
	if _, err := p.Form("#login"); err != nil || p.Status != http.StatusOK {
		return p, fmt.Errorf("%w: %s (status %d) shows no login form: %s", ErrLogin, p.URL.Redacted(), p.Status, p.Text())
	}
	provider := origin(p.URL)
	p, err = r.Submit(ctx, p, "#login", map[string]string{"username": username, "password": password}, "")
	if err != nil {
		return nil, err
	}
	if origin(p.URL) == provider {
		return p, fmt.Errorf("%w: %s (status %d): %s", ErrLogin, username, p.Status, p.Text())
	}
	return p, nil
}
