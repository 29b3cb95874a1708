package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/sshcert"
)

// countAddress counts a request of somebody who brings no bearer or cookie.
func (s *Server) countAddress(address netip.Addr) error {
	wait, ok := s.limiter.address.take(address, s.now())
	if ok {
		return nil
	}
	return s.addressError(wait)
}

func (s *Server) addressError(wait time.Duration) error {
	return &limitError{limitAddress, fmt.Sprintf("more than %d requests a minute come from this address without a login", s.limiter.limits.Address), wait}
}

// countLogin counts one step of a login, by whoever it is. begins says that the
// step has something written.
func (s *Server) countLogin(r *http.Request, begins bool) error {
	now := s.now()
	if wait, ok := s.limiter.login.take(traceOf(r.Context()).address, now); !ok {
		return &limitError{limitLogin, fmt.Sprintf("more than %d steps of logins a minute come from this address", s.limiter.limits.Login), wait}
	}
	if !begins {
		return nil
	}
	if wait, ok := s.limiter.logins.take(struct{}{}, now); !ok {
		return &limitError{limitLogins, "too many people are logging in at once", wait}
	}
	return nil
}

// countPerson counts a request of somebody who is logged in.
func (s *Server) countPerson(session store.Session) error {
	wait, ok := s.limiter.person.take(caller{session.Person, session.Kind}, s.now())
	if ok {
		return nil
	}
	return &limitError{limitPerson, fmt.Sprintf("you ask more than %d times a minute", s.limiter.limits.Person), wait}
}

// countAway counts a denial or a cancellation. They are counted apart, so nothing
// else that a person does, or is done in their name, keeps them from it.
func (s *Server) countAway(session store.Session) error {
	wait, ok := s.limiter.away.take(session.Person, s.now())
	if ok {
		return nil
	}
	return &limitError{limitAway, fmt.Sprintf("you deny or cancel more than %d times a minute", s.limiter.limits.Person), wait}
}

// countCosigner counts a request of a party cosigner.
func (s *Server) countCosigner(vkey string) error {
	wait, ok := s.limiter.cosigner.take(vkey, s.now())
	if ok {
		return nil
	}
	return &limitError{limitCosigner, fmt.Sprintf("this cosigner asks more than %d times a minute", maxCosigner), wait}
}

// countHost counts a call of a host.
func (s *Server) countHost(host sshcert.Host) error {
	wait, ok := s.limiter.host.take(host, s.now())
	if ok {
		return nil
	}
	return &limitError{limitHost, fmt.Sprintf("this host calls more than %d times a minute", maxHost), wait}
}

// counting is how requests of a route count once it is known whose they are.
type counting int

const (
	countsForPerson    counting = iota // as most do
	countsAsTakingAway                 // apart from the rest
	countsItself                       // the handler does it
)

// counted is a handler that counts its requests first.
func (s *Server) counted(how counting, h personHandler) personHandler {
	count := s.countPerson
	switch how {
	case countsForPerson:
	case countsAsTakingAway:
		count = s.countAway
	case countsItself:
		return h
	}
	return func(w http.ResponseWriter, r *http.Request, session store.Session) error {
		if err := count(session); err != nil {
			return err
		}
		return h(w, r, session)
	}
}
