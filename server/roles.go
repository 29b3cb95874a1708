package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// roles answers GET /v1/roles: by which roles this person may ask for the logins
// on the hosts. If there is none, the refusal of the role that comes nearest
// says what would pass. Asked about nothing, it lists all that the person may ask
// for.
func (s *Server) roles(w http.ResponseWriter, r *http.Request, session store.Session) error {
	values, err := query(r, "login", "host")
	if err != nil {
		return err
	}
	if len(values) == 0 {
		return s.allRoles(w, r, session)
	}
	want, err := parseWanted(values)
	if err != nil {
		return err
	}
	var out []api.RoleOption
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		for _, host := range want.hosts {
			switch _, err := record.JoinedHost(reader, host); {
			case errors.Is(err, record.ErrNotFound):
				return notInInventory(reader, host, who)
			case errors.Is(err, record.ErrHostRetired):
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

// notInInventory refuses a name that no host joined under. Of another name of a host of
// a contract that concerns the person it says whose.
func notInInventory(reader *store.Reader, name sshcert.Host, who person) error {
	of, err := record.Alias(reader, name)
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		return err
	}
	if err == nil {
		host, err := record.Host(reader, of.Host)
		if err != nil {
			return err
		}
		if who.lineages[host.Lineage] && !host.Retired() {
			return fmt.Errorf("host: %w: %s is another name of host %s; ask for %s", authority.ErrField, name, of.Host, of.Host)
		}
	}
	return fmt.Errorf("host: %w: %s is not in the inventory; ask a host admin to add it", authority.ErrField, name)
}

// allRoles lists every role that this person may ask for, with its hosts.
func (s *Server) allRoles(w http.ResponseWriter, r *http.Request, session store.Session) error {
	out := []api.RoleOption{}
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		subject, err := authority.Subject(reader, session)
		if err != nil {
			return err
		}
		versions, err := authority.InForce(reader, canon.At(s.now()))
		if err != nil {
			return err
		}
		hosts, err := authority.JoinedHosts(reader)
		if err != nil {
			return err
		}
		var unknown error
		for _, v := range versions {
			roles, err := v.Terms.AskedBy(subject)
			for _, role := range roles {
				option := optionOf(v, role)
				option.Hosts = hostsOf(hosts, v.Lineage(), role)
				out = append(out, option)
			}
			if err != nil {
				unknown = err
			}
		}
		if len(out) == 0 { // then "none" would be a guess
			return unknown
		}
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// hostsOf lists the hosts of a role, sorted: a host belongs to one contract.
func hostsOf(all []authority.Host, lineage canon.Digest, role *contract.Role) []sshcert.Host {
	var out []sshcert.Host
	for _, h := range all {
		if h.Lineage == lineage && role.Matches(labelsOf(h.Labels)) {
			out = append(out, h.Name)
		}
	}
	return out
}

func labelsOf(labels []record.Label) map[string]string {
	out := make(map[string]string, len(labels))
	for _, l := range labels {
		out[l.Name] = l.Value
	}
	return out
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
// as it takes, and a ticket if it takes one. That no path is known for just that is
// no refusal: another length, a ticket or the time of day may have one, and the
// request itself is told. With a refusal comes how near the role is: that its logins fit, or
// its hosts, counts more than that the person is a member.
func tryRole(r *store.Reader, v *contract.Version, role *contract.Role, want wanted, subject contract.Subject) (int, error) {
	most := min(role.Grant.Max, v.Terms.Ceilings.Grant)
	ask, err := record.Ask(r, v.Lineage(), role.ID, want.logins, want.hosts, int64(most/time.Second), role.Request.MinWords)
	if err != nil {
		return 0, err
	}
	ask.TicketUnread = role.Request.Ticket.Required
	if _, err = v.Terms.Evaluate(ask, subject); err == nil {
		return 0, nil
	}
	if refused, ok := errors.AsType[*contract.ClauseError](err); ok && refused.Field == "path" {
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
	out := api.RoleOption{
		Contract: contractOf(v), Role: role.ID, Clause: role.Clause, Logins: role.Logins,
		MaxSeconds:  int64(min(role.Grant.Max, v.Terms.Ceilings.Grant) / time.Second),
		CertSeconds: int64(min(role.Cert.TTL, v.Terms.Ceilings.CertTTL) / time.Second),
		Approvers:   []string{}, Stages: []api.RoleStage{}, MinWords: role.Request.MinWords,
	}
	if t := role.Request.Ticket; t != (contract.Ticket{}) {
		out.Ticket = &api.RoleTicket{Required: t.Required, Pattern: t.Pattern}
	}
	asks := slices.IndexFunc(role.Paths, func(p contract.Path) bool { return len(p.Stages) > 0 })
	if asks < 0 { // every path grants at once
		return out
	}
	out.Approvers = role.Paths[asks].Stages[0].From
	for _, stage := range role.Paths[asks].Stages {
		out.Stages = append(out.Stages, api.RoleStage{
			Stage: stage.ID, Need: stage.Quorum, From: stage.From, TimeoutSeconds: int64(stage.Timeout / time.Second),
		})
	}
	return out
}
