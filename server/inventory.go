package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// health answers GET /healthz: the process runs.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // a prober that went away needs no answer
	return nil
}

// about answers GET /v1/server.
func (s *Server) about(w http.ResponseWriter, r *http.Request) error {
	now := canon.At(s.now())
	out := api.Server{Origin: s.authority.Origin(), Version: s.version, Now: now, Issuers: []api.Issuer{}, Contracts: []api.Contract{}}
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		versions, err := authority.InForce(reader, now)
		if err != nil {
			return err
		}
		for _, v := range versions {
			out.Contracts = append(out.Contracts, contractOf(v))
		}
		issuers, err := authority.Issuers(reader, now)
		for _, i := range issuers {
			if i.Issuer.Clients.CLI == "" {
				continue
			}
			out.Issuers = append(out.Issuers, api.Issuer{
				ID: i.Ref, URL: i.Issuer.URL, ClientID: i.Issuer.Clients.CLI, Algs: i.Issuer.Algs,
				Subject: i.Issuer.Subject, Groups: i.Issuer.Groups,
			})
		}
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

func contractOf(v *contract.Version) api.Contract {
	return api.Contract{
		ID: v.Terms.ID, Title: v.Terms.Title, Version: int64(v.Manifest.Version), Digest: v.Digest, Lineage: v.Lineage(),
	}
}

// hosts answers GET /v1/hosts: those of the contracts that concern the person.
func (s *Server) hosts(w http.ResponseWriter, r *http.Request, session store.Session) error {
	out := []api.Host{}
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		list, err := authority.Hosts(reader)
		if err != nil {
			return err
		}
		for _, h := range list {
			if !who.lineages[h.Lineage] {
				continue
			}
			key, err := parseKey(h.HostKey)
			if err != nil {
				return fmt.Errorf("host %s: %w", h.Name, err)
			}
			labels := make(map[string]string, len(h.Labels))
			for _, l := range h.Labels {
				labels[l.Name] = l.Value
			}
			out = append(out, api.Host{
				Name: h.Name, Address: h.Address, Port: h.Port, HostKey: keyLine(key), Labels: labels, Lineage: h.Lineage, Leaf: h.Leaf,
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// keyLine returns a key or certificate as one authorized_keys line without
// comment.
func keyLine(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}

// roles answers GET /v1/roles: by which roles this person may ask for the logins
// on the hosts. If there is none, the refusal of the role that comes nearest
// says what would pass.
func (s *Server) roles(w http.ResponseWriter, r *http.Request, session store.Session) error {
	values, err := query(r, "login", "host")
	if err != nil {
		return err
	}
	want, err := parseWanted(values)
	if err != nil {
		return err
	}
	var out []api.RoleOption
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		for _, host := range want.hosts {
			switch _, err := record.Host(reader, host); {
			case errors.Is(err, record.ErrNotFound):
				return fmt.Errorf("host: %w: %s is not in the inventory; ask a host admin to add it", authority.ErrField, host)
			case err != nil:
				return err
			}
		}
		subject, err := authority.Subject(reader, session)
		if err != nil {
			return err
		}
		versions, err := authority.InForce(reader, canon.At(s.now()))
		if err != nil {
			return err
		}
		out, err = roleOptions(reader, versions, want, subject)
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// wanted is what GET /v1/roles is asked about.
type wanted struct {
	logins []sshcert.Login
	hosts  []sshcert.Host
}

func parseWanted(values url.Values) (wanted, error) {
	logins, err := sshcert.ParseLogins(values["login"])
	if err != nil {
		return wanted{}, err
	}
	hosts, err := sshcert.ParseHosts(values["host"])
	if err != nil {
		return wanted{}, err
	}
	if _, err := sshcert.Principals(logins, hosts); err != nil {
		return wanted{}, fmt.Errorf("host: %w: %d logins on %d hosts; one request has at most %d pairs",
			authority.ErrField, len(logins), len(hosts), sshcert.MaxPrincipals)
	}
	return wanted{logins, hosts}, nil
}

// roleOptions returns the roles that allow what is wanted, or the refusal of the
// role that comes nearest to it.
func roleOptions(r *store.Reader, versions []*contract.Version, want wanted, subject contract.Subject) ([]api.RoleOption, error) {
	var out []api.RoleOption
	best, nearest := -1, fmt.Errorf("%w: no contract is in force here; tell the operator", record.ErrNotInForce)
	for _, v := range versions {
		for i := range v.Terms.Roles {
			role := &v.Terms.Roles[i]
			distance, err := tryRole(r, v, role, want, subject)
			switch {
			case err == nil:
				out = append(out, optionOf(v, role))
			case !refusal(err):
				return nil, err
			case distance > best:
				best, nearest = distance, err
			}
		}
	}
	if len(out) == 0 {
		return nil, nearest
	}
	return out, nil
}

// refusal tells the contract's no from a failure to ask it.
func refusal(err error) bool {
	_, ok := errors.AsType[*contract.ClauseError](err)
	return ok
}

// tryRole asks the terms for the longest grant of the role with as short a reason
// as it takes. With a refusal comes how near the role is: that its logins fit, or
// its hosts, counts more than that the person is a member.
func tryRole(r *store.Reader, v *contract.Version, role *contract.Role, want wanted, subject contract.Subject) (int, error) {
	most := min(role.Grant.Max, v.Terms.Ceilings.Grant)
	ask, err := record.Ask(r, v.Lineage(), role.ID, want.logins, want.hosts, int64(most/time.Second), role.Request.MinWords)
	if err != nil {
		return 0, err
	}
	if _, err = v.Terms.Evaluate(ask, subject); err == nil {
		return 0, nil
	}
	near := 0
	if !slices.ContainsFunc(ask.Logins, func(l sshcert.Login) bool { return !slices.Contains(role.Logins, l) }) {
		near += 2
	}
	if !slices.ContainsFunc(ask.Hosts, func(h contract.HostLabels) bool { return !role.Matches(h.Labels) }) {
		near += 2
	}
	if refused, ok := errors.AsType[*contract.ClauseError](err); ok && refused.Field != "who" {
		near++
	}
	return near, err
}

func optionOf(v *contract.Version, role *contract.Role) api.RoleOption {
	return api.RoleOption{
		Contract: contractOf(v), Role: role.ID, Clause: role.Clause,
		MaxSeconds: int64(min(role.Grant.Max, v.Terms.Ceilings.Grant) / time.Second),
		Approvers:  role.Paths[0].Stages[0].From, MinWords: role.Request.MinWords,
	}
}
