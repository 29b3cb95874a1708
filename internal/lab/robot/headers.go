package robot

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// origin returns scheme://host:port, with the default port left out.
func origin(u *url.URL) string {
	host := u.Host
	if p := u.Port(); p == "80" && u.Scheme == "http" || p == "443" && u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":"+p)
	}
	return u.Scheme + "://" + host
}

// site returns what browsers compare for SameSite: the scheme and the part of
// the host that one owner registered. Ports do not matter.
func site(u *url.URL) string {
	host := u.Hostname()
	if net.ParseIP(host) == nil {
		if d, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
			host = d
		}
	}
	return u.Scheme + "://" + host
}

// siteOf returns the value of Sec-Fetch-Site for one hop.
func siteOf(from *Page, to *url.URL) string {
	switch {
	case from == nil:
		return "none"
	case origin(from.URL) == origin(to):
		return "same-origin"
	case site(from.URL) == site(to):
		return "same-site"
	default:
		return "cross-site"
	}
}

// worse returns the more distant of two Sec-Fetch-Site values: a redirect
// through another site taints what follows.
func worse(a, b string) string {
	order := []string{"", "none", "same-origin", "same-site", "cross-site"}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// trustworthy reports whether nobody can listen on the way to u.
func trustworthy(u *url.URL) bool {
	h := u.Hostname()
	return u.Scheme == "https" || h == "localhost" || strings.HasSuffix(h, ".localhost") || net.ParseIP(h).IsLoopback()
}

const defaultReferrer = "strict-origin-when-cross-origin"

// referrerPolicy returns the page's policy: of a list, the last one that we
// know counts.
func (p *Page) referrerPolicy() string {
	policy := defaultReferrer
	for _, v := range strings.Split(strings.Join(p.Header.Values("Referrer-Policy"), ","), ",") {
		switch v = strings.ToLower(strings.TrimSpace(v)); v {
		case "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
			"origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url":
			policy = v
		}
	}
	return policy
}

// originHeader returns the Origin of a POST (Fetch standard, "append a request
// Origin header"): null where the page hides itself, and after a redirect
// through another origin.
func (p *Page) originHeader(to *url.URL, crossed bool) string {
	if p == nil || crossed {
		return "null"
	}
	own, same := origin(p.URL), origin(p.URL) == origin(to)
	downgrade := p.URL.Scheme == "https" && to.Scheme != "https"
	switch p.referrerPolicy() {
	case "no-referrer":
		return "null"
	case "same-origin":
		if !same {
			return "null"
		}
	case "no-referrer-when-downgrade", "strict-origin", "strict-origin-when-cross-origin":
		if downgrade {
			return "null"
		}
	}
	return own
}

// referer returns the Referer header (Referrer Policy §8.3), empty for none.
func (p *Page) referer(to *url.URL) string {
	if p == nil {
		return ""
	}
	bare := *p.URL
	bare.Fragment, bare.RawFragment, bare.User = "", "", nil
	full, own := bare.String(), origin(p.URL)+"/"
	same := origin(p.URL) == origin(to)
	downgrade := p.URL.Scheme == "https" && to.Scheme != "https"
	policy := p.referrerPolicy()
	switch {
	case policy == "no-referrer", policy == "same-origin" && !same:
		return ""
	case policy == "unsafe-url", policy == "same-origin":
		return full
	case policy == "origin", policy == "origin-when-cross-origin" && !same:
		return own
	case policy == "origin-when-cross-origin":
		return full
	case downgrade: // the three that are left are strict
		return ""
	case policy == "no-referrer-when-downgrade", policy == defaultReferrer && same:
		return full
	default:
		return own
	}
}

// allowsAction reports whether the page's Content-Security-Policy lets a form
// go to u. Understood are 'self', 'none', *, schemes and whole origins; anything
// else allows nothing. Browsers ask this at every redirect of a submission.
func (p *Page) allowsAction(u *url.URL) bool {
	for _, policy := range strings.Split(strings.Join(p.Header.Values("Content-Security-Policy"), ","), ",") {
		for _, directive := range strings.Split(policy, ";") {
			words := strings.Fields(strings.ToLower(directive))
			if len(words) > 0 && words[0] == "form-action" && !p.anySource(words[1:], u) {
				return false
			}
		}
	}
	return true
}

func (p *Page) anySource(sources []string, u *url.URL) bool {
	for _, s := range sources {
		switch s {
		case "*", u.Scheme + ":", origin(u):
			return true
		case "'self'":
			if origin(p.URL) == origin(u) {
				return true
			}
		}
	}
	return false
}
