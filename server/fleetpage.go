package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/sshcert"
)

// fleetView is the data of fleet.html.
type fleetView struct {
	Hosts []fleetCard
	Loose int // of them, how many do not enforce the ledger
	Gone  []goneHost
}

// fleetCard is a host in the list.
type fleetCard struct {
	api.Host
	Where  string
	Labels []string
	Path   string // its entry in the ledger
	KRLAge int64  // seconds; 0 if it has no list
	// Refused is how long the last revocation took to be in force there; empty: there was none.
	Refused string
	Ahead   string // how far its clock is off, empty if that is little
}

// goneHost is a host that is retired, or was released and is nowhere yet.
type goneHost struct {
	Name sshcert.Host
	At   canon.Micros
	To   canon.Digest // the contract that it was released to, zero for none
}

func (fleetView) title() string { return "Hosts" }

// Words are what its standing means, for whoever reads the page.
func (c fleetCard) Words() string {
	switch authority.HostStanding(c.Standing) {
	case authority.Enforcing:
		return "enforcing"
	case authority.Observing:
		return "observing only"
	case authority.Silent:
		return "silent"
	case authority.Unenforced:
	}
	return "not enforcing"
}

// offClock is from when on a host's clock is worth a word.
const offClock = 30 * time.Second

// fleetPage answers GET /hosts: the hosts of the contracts that concern the person,
// those first that do not enforce the ledger.
func (s *Server) fleetPage(w http.ResponseWriter, r *http.Request, session store.Session) error {
	var v fleetView
	var me viewer
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		if me, err = viewerOf(reader, session); err != nil {
			return err
		}
		list, err := authority.Fleet(reader, s.now())
		if err != nil {
			return err
		}
		for _, h := range list {
			switch {
			case !who.lineages[h.Lineage]:
			case h.Retired():
				v.Gone = append(v.Gone, goneHost{h.Name, h.RetiredAt, h.ReleasedTo})
			default:
				if err := v.add(h, s.now()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(v.Hosts, func(a, b fleetCard) int { return worry(a) - worry(b) })
	return s.show(w, r, http.StatusOK, "fleet", me, v)
}

func (v *fleetView) add(h authority.FleetHost, now time.Time) error {
	host, err := hostOf(h)
	if err != nil {
		return err
	}
	c := fleetCard{Host: host, Where: fmt.Sprintf("%s port %d", host.Address, host.Port), Path: fmt.Sprintf("/ledger/%d", host.Leaf)}
	for _, l := range h.HostRow.Labels {
		c.Labels = append(c.Labels, l.Name+"="+l.Value)
	}
	if b := h.Heartbeat; b != nil {
		if b.KRLMadeAt != 0 {
			c.KRLAge = max(int64(now.Sub(b.KRLMadeAt.Time())/time.Second), 1)
		}
		if h.Refused > 0 {
			c.Refused = h.Refused.Round(time.Millisecond).String()
		}
		if b.Offset.Abs() >= offClock {
			c.Ahead = strings.TrimPrefix(b.Offset.Round(time.Second).String(), "-") + map[bool]string{true: " behind", false: " ahead"}[b.Offset < 0]
		}
	}
	if h.Standing != authority.Enforcing {
		v.Loose++
	}
	v.Hosts = append(v.Hosts, c)
	return nil
}

// worry puts those first that somebody has to look at.
func worry(c fleetCard) int {
	switch authority.HostStanding(c.Standing) {
	case authority.Silent:
		return 0
	case authority.Unenforced:
		return 1
	case authority.Observing:
		return 2
	case authority.Enforcing:
	}
	if c.Heartbeat != nil && c.Heartbeat.Findings > 0 {
		return 3
	}
	return 4
}
