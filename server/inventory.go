package server

import (
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
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

// maxHostsPage is how many hosts one page has at most.
const maxHostsPage = 1000

// hostsPage is which hosts are asked for.
type hostsPage struct {
	limit int          // 0: all
	after sshcert.Host // only those whose names come later; empty: from the first on
}

func parseHostsPage(r *http.Request) (hostsPage, error) {
	values, err := query(r, "limit", "after")
	if err != nil {
		return hostsPage{}, err
	}
	var p hostsPage
	if values.Has("limit") {
		text, err := single(values, "limit")
		if err != nil {
			return p, err
		}
		n, err := parseNumber(text, "limit")
		if err != nil || n < 1 || n > maxHostsPage {
			return p, fmt.Errorf("limit: %w: a number from 1 to %d", authority.ErrField, maxHostsPage)
		}
		p.limit = int(n)
	}
	if values.Has("after") {
		text, err := single(values, "after")
		if err != nil {
			return p, err
		}
		if p.after, err = sshcert.ParseHost(text); err != nil {
			return p, fmt.Errorf("after: %w: the name of a host", authority.ErrField)
		}
	}
	return p, nil
}

// full reports whether a page has room for no more.
func (p hostsPage) full(n int) bool { return p.limit > 0 && n >= p.limit }

// hosts answers GET /v1/hosts: those of the contracts that concern the person. A name
// says where a page goes on, so that none is left out or told twice while hosts join.
func (s *Server) hosts(w http.ResponseWriter, r *http.Request, session store.Session) error {
	page, err := parseHostsPage(r)
	if err != nil {
		return err
	}
	out := []api.Host{}
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		list, err := authority.Fleet(reader, s.now())
		if err != nil {
			return err
		}
		for _, h := range list {
			if !who.lineages[h.Lineage] || h.Retired() || h.Name <= page.after {
				continue
			}
			if page.full(len(out)) {
				break
			}
			one, err := hostOf(h)
			if err != nil {
				return err
			}
			out = append(out, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

func hostOf(h authority.FleetHost) (api.Host, error) {
	key, err := parseKey(h.HostKey)
	if err != nil {
		return api.Host{}, fmt.Errorf("host %s: %w", h.Name, err)
	}
	out := api.Host{
		Name: h.Name, Address: h.Address, Port: h.Port, HostKey: keyLine(key), Labels: labelsOf(h.Labels), Aliases: h.Aliases, Lineage: h.Lineage,
		Leaf: h.Joined, LabelLeaf: h.Labelled, Standing: string(h.Standing),
	}
	if b := h.Heartbeat; b != nil {
		out.Heartbeat = &api.Heartbeat{
			HeardAt: b.At, Mode: string(b.Mode), Verifier: b.Verifier, Findings: b.Findings, Bundle: b.Bundle, KRL: b.KRL, KRLMadeAt: b.KRLMadeAt,
			KRLTakenAt: b.KRLTakenAt, RefusedAfterMS: h.Refused.Milliseconds(), Spooled: b.Spooled, AheadMS: b.Offset.Milliseconds(),
		}
	}
	return out, nil
}

// keyLine returns a key or certificate as one authorized_keys line without
// comment.
func keyLine(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}
