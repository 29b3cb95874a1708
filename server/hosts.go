package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

const hostCallsPath = "/v1/hosts/calls"

// joinHost answers POST /v1/hosts/join: a host takes an invitation. It is known by
// what it brings, and counts for its address.
func (s *Server) joinHost(w http.ResponseWriter, r *http.Request) error {
	var body api.HostJoinRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	call := authority.JoinCall{HostCall: authority.HostCall{Document: body.Document, Signature: body.Signature}}
	if strings.Contains(body.Secret, ".") { // no b64 has a dot, and each identity token has
		var err error
		if call.Workload, err = s.workloadOf(r.Context(), body.Secret, body.Document); err != nil {
			return err
		}
	} else {
		call.Secret = body.Secret
	}
	row, err := s.authority.JoinHost(r.Context(), call)
	if err != nil {
		return err
	}
	out := api.JoinedHost{Name: row.Name, Address: row.Address, Port: row.Port, Labels: labelsOf(row.Labels), Aliases: row.Aliases, Lineage: row.Lineage}
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		out.Leaf, err = reader.LeafIndex(row.Leaf)
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, out)
}

// hostCall answers POST /v1/hosts/calls: what a host signs with its host key. There
// is no session; who signed it counts for itself from then on, and not for its
// address.
func (s *Server) hostCall(w http.ResponseWriter, r *http.Request) error {
	var body api.HostCallRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	call := authority.HostCall{Document: body.Document, Signature: body.Signature, Admit: func(host sshcert.Host) error {
		traceOf(r.Context()).stranger = false
		return s.countHost(host)
	}}
	_, what, err := hostcall.Parse(body.Document)
	if err != nil {
		return err
	}
	var out api.HostCallAnswer
	switch what.Call() {
	case hostcall.Heartbeat:
		err = s.authority.KeepHeartbeat(r.Context(), call)
	case hostcall.Certify:
		err = s.certifyHost(r, call, &out)
	case hostcall.Events:
		err = s.hostEvents(r, call, &out)
	case hostcall.Join:
		err = errNotHere
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

func (s *Server) certifyHost(r *http.Request, call authority.HostCall, out *api.HostCallAnswer) error {
	made, err := s.authority.CertifyHost(r.Context(), call)
	if err != nil {
		return err
	}
	out.Certificate, out.HostCA = keyLine(made.Certificate), keyLine(made.Certificate.SignatureKey)
	return nil
}

func (s *Server) hostEvents(r *http.Request, call authority.HostCall, out *api.HostCallAnswer) error {
	told, err := s.authority.HostEvents(r.Context(), call)
	if err != nil {
		return err
	}
	for _, t := range told {
		one := api.HostEventAnswer{Recorded: t.Recorded, Finding: string(t.Finding)}
		if t.Refused != nil {
			one.Refused = clip(visible(t.Refused.Error()), maxDetail)
		}
		out.Events = append(out.Events, one)
	}
	return nil
}

// hostBundle answers GET /v1/hosts/bundle: a trust bundle, byte for byte. Everybody
// may have it: it holds public keys, and hosts check it themselves.
func (s *Server) hostBundle(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "lineage", "number")
	if err != nil {
		return err
	}
	text, err := single(values, "lineage")
	if err != nil {
		return err
	}
	lineage, err := canon.ParseDigest(text)
	if err != nil {
		return fmt.Errorf("lineage: %w: the digest of version 1 of a contract", authority.ErrField)
	}
	number := int64(0)
	if values.Has("number") {
		if number, err = parseNumber(values.Get("number"), "number"); err != nil || number == 0 {
			return fmt.Errorf("number: %w: a number from 1", authority.ErrField)
		}
	}
	var file []byte
	err = s.store.Read(r.Context(), func(reader *store.Reader) (err error) {
		file, err = reader.Bundle(lineage, number)
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(file) // a client that went away needs no answer
	return nil
}

// actOnHost answers POST /v1/hosts/acts: what a host admin does about a host.
func (s *Server) actOnHost(w http.ResponseWriter, r *http.Request, session store.Session) error {
	var body api.HostActRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	acted, err := s.authority.ActOnHost(r.Context(), session, authority.HostsCall{Document: body.Document, Signature: body.Signature})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.HostAct{Act: string(acted.Act), ID: acted.ID, Host: acted.Host, Waits: acted.Waits})
}
