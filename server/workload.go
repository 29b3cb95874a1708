package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// errWorkload says that nobody here vouches for a host's identity token.
var errWorkload = fmt.Errorf("%w: no issuer in this server's settings vouches for its identity token", record.ErrInvitation)

// workload is an issuer of identity tokens by which hosts join.
type workload struct {
	issuer   oidc.Issuer
	provider *oidc.Provider
}

func newWorkloads(list []oidc.Issuer, now func() time.Time) ([]workload, error) {
	out := make([]workload, 0, len(list))
	for _, i := range list {
		if i.SubjectClaim == "" { // as oidc.New reads it
			i.SubjectClaim = "sub"
		}
		p, err := oidc.New(i, now)
		if err != nil {
			return nil, err
		}
		out = append(out, workload{i, p})
	}
	return out, nil
}

// workloadOf verifies the identity token that a host shows, and returns whose it is. A
// token need have no nonce; one that has a nonce is for the host key that joins, and
// does nothing in the hands of whoever else reads it.
func (s *Server) workloadOf(ctx context.Context, token, document string) (record.Workload, error) {
	_, body, err := hostcall.Parse(document)
	if err != nil {
		return record.Workload{}, err
	}
	join, ok := body.(hostcall.JoinBody)
	if !ok {
		return record.Workload{}, fmt.Errorf("%w: it is a %s", hostcall.ErrCall, body.Call())
	}
	key, err := hostcall.ParseHostKey(join.HostKey)
	if err != nil {
		return record.Workload{}, fmt.Errorf("%w: %w", hostcall.ErrCall, err)
	}
	for _, w := range s.workloads {
		if _, _, err := w.issuer.ReadUnverified(token); err != nil { // another's, or for another audience
			continue
		}
		id, err := w.provider.Verify(ctx, token, oidc.Expect{Nonce: hostcall.WorkloadNonce(key), Renewed: true})
		if errors.Is(err, oidc.ErrUnreachable) {
			return record.Workload{}, err // the issuer's fault: it is worth another try
		}
		if err != nil {
			return record.Workload{}, fmt.Errorf("%w: %v", record.ErrInvitation, err) //nolint:errorlint // a host is no person who is to log in
		}
		return record.Workload{Issuer: id.Issuer, Subject: record.WorkloadSubject(id.Issuer, id.Subject)}, nil
	}
	return record.Workload{}, errWorkload
}
