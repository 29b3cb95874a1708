package idp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// Account is one person's account at the provider.
type Account struct {
	// Username and Password are what the person types.
	Username, Password string
	// Subject is the sub claim; "u-" and a random id if empty.
	Subject string
	// Name and Email are claims; the email counts as verified unless
	// EmailUnverified.
	Name, Email     string
	EmailUnverified bool
	// Handle is the preferred_username claim; Username if empty.
	Handle string
	// Groups is the groups claim. Nil leaves the claim out, which is not the same
	// as an empty list.
	Groups []string
	// Disabled keeps the person from signing in.
	Disabled bool
}

// ErrNoAccount means that no account has this username.
var ErrNoAccount = errors.New("no such account")

// account is an Account with the password's digest in place of the password.
type account struct {
	Account
	password [sha256.Size]byte
}

func newAccounts(list []Account) ([]*account, error) {
	accounts := make([]*account, 0, len(list))
	for _, a := range list {
		if a.Username == "" || a.Password == "" {
			return nil, fmt.Errorf("identity provider: account %q has no username or no password", a.Username)
		}
		if a.Subject == "" {
			id, err := canon.NewID(rand.Reader)
			if err != nil {
				return nil, err
			}
			a.Subject = "u-" + string(id)
		}
		for _, other := range accounts {
			if other.Username == a.Username || other.Subject == a.Subject {
				return nil, fmt.Errorf("identity provider: accounts %q and %q share a username or a subject", other.Username, a.Username)
			}
		}
		kept := &account{Account: a, password: sha256.Sum256([]byte(a.Password))}
		kept.Password, kept.Groups = "", slices.Clone(a.Groups)
		accounts = append(accounts, kept)
	}
	return accounts, nil
}

// Account returns a copy of an account, without the password.
func (s *Server) Account(username string) (Account, error) {
	var copied Account
	err := s.store.change(username, func(a *account) {
		copied = a.Account
		copied.Groups = slices.Clone(a.Groups)
	})
	return copied, err
}

// SetGroups replaces a person's groups; their next ID token says so. Nil leaves
// the claim out.
func (s *Server) SetGroups(username string, groups []string) error {
	return s.store.change(username, func(a *account) { a.Groups = slices.Clone(groups) })
}

// SetDisabled disables or enables an account. A disabled one can't sign in, and
// codes and access tokens that it already has stop working.
func (s *Server) SetDisabled(username string, disabled bool) error {
	return s.store.change(username, func(a *account) { a.Disabled = disabled })
}

// SetIDTokenLifetime changes exp − iat of the ID tokens to come.
func (s *Server) SetIDTokenLifetime(d time.Duration) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.lifetime = d
}

// AllowRedirect adds a redirect URI to WebClient, for a server whose own
// address is known only after the provider's.
func (s *Server) AllowRedirect(uri string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.webRedirects = append(slices.Clone(s.store.webRedirects), uri)
}

// change runs f on the account with that username, under the lock.
func (st *store) change(username string, f func(*account)) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, a := range st.accounts {
		if a.Username == username {
			f(a)
			return nil
		}
	}
	return fmt.Errorf("%w: %q", ErrNoAccount, username)
}

// bySubject returns the account that a sub claim names, nil if there is none or
// it is disabled. The caller holds the lock.
func (st *store) bySubject(subject string) *account {
	for _, a := range st.accounts {
		if a.Subject == subject && !a.Disabled {
			return a
		}
	}
	return nil
}

// signIn returns the account with this username and password. Which of the two
// is wrong makes no difference, neither in the answer nor in the time taken.
func (st *store) signIn(username, password string) (subject string, disabled, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	typed := sha256.Sum256([]byte(password))
	for _, a := range st.accounts {
		name := subtle.ConstantTimeCompare([]byte(a.Username), []byte(username))
		if name&subtle.ConstantTimeCompare(a.password[:], typed[:]) == 1 {
			subject, disabled, ok = a.Subject, a.Disabled, true
		}
	}
	return subject, disabled, ok
}
