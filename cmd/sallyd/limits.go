package main

import (
	"net/netip"

	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/server"
)

// limitsConfig is limits: how many requests a minute are answered. A minute's
// worth may come at once.
type limitsConfig struct {
	// PersonPerMinute is for one person who is logged in, on the command line and in browsers each. Denying and cancelling are
	// counted apart.
	PersonPerMinute int `yaml:"person_per_minute,omitempty" default:"1200" range:"1..1000000" example:"1200"`
	// AddressPerMinute is for what comes from one address (of IPv6: one /64) without a login.
	AddressPerMinute int `yaml:"address_per_minute,omitempty" default:"1200" range:"1..1000000" example:"1200"`
	// LoginPerMinute is for the steps of logins from one address; each login takes two. Raise it where hundreds of people share
	// an address.
	LoginPerMinute int `yaml:"login_per_minute,omitempty" default:"60" range:"1..1000000" example:"600"`
	// LoginsPerMinute is for the logins that are begun from all addresses together: each is written before it is known who it is.
	LoginsPerMinute int `yaml:"logins_per_minute,omitempty" default:"6000" range:"1..1000000" example:"6000"`
}

func (c limitsConfig) limits() server.Limits {
	return server.Limits{Person: c.PersonPerMinute, Address: c.AddressPerMinute, Login: c.LoginPerMinute, Logins: c.LoginsPerMinute}
}

// proxies reads trusted_proxies: addresses, or networks as ADDRESS/BITS.
func (c config) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, text := range c.TrustedProxies {
		key, shown := strictyaml.Item("trusted_proxies", i), strictyaml.Clip(text)
		p, err := netip.ParsePrefix(text)
		if a, addrErr := netip.ParseAddr(text); addrErr == nil && a.Zone() == "" {
			p, err = a.Prefix(a.BitLen())
		}
		switch {
		case err != nil:
			return nil, badKey(key, "%q is neither an address nor a network such as 10.0.0.0/8", shown)
		case p.Addr().Is4In6():
			return nil, badKey(key, "%q: write it as IPv4", shown)
		case p.Bits() == 0:
			return nil, badKey(key, "%q is everybody, who could then write any address; name the proxies", shown)
		case p != p.Masked():
			return nil, badKey(key, "%q has bits behind its network; write %s or the one address", shown, p.Masked())
		}
		out = append(out, p)
	}
	return out, nil
}
