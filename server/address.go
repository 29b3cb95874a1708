package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// siteBits is how much of an IPv6 address is counted as one client: whoever has a
// connection of their own has all addresses of a /64.
const siteBits = 64

// clientAddress returns whom a request is counted as by address: the peer of the
// connection or, if that is a trusted proxy, the rightmost hop of X-Forwarded-For
// that is none. What stands left of that hop, the client may have written itself.
// A hop that can't be read counts as the proxy that handed it on. The zero
// address stands for a peer that can't be told.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := plainAddress(peer.Addr())
	var hops []string
	for _, line := range r.Header.Values("X-Forwarded-For") {
		hops = append(hops, strings.Split(line, ",")...)
	}
	for i := len(hops) - 1; i >= 0 && isTrusted(at, trusted); i-- {
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		at = hop
	}
	return siteOf(at)
}

// parseHop reads an address of X-Forwarded-For; some proxies add the port.
func parseHop(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return plainAddress(a), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return plainAddress(ap.Addr()), true
	}
	return netip.Addr{}, false
}

// plainAddress writes an address the one way that all comparisons rest on.
func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// siteOf returns the first address of the network that counts as one client.
func siteOf(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(siteBits)
	if err != nil {
		return a
	}
	return p.Addr()
}
