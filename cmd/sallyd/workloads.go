package main

import (
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// workloadConfig is an issuer of identity tokens for hosts.
type workloadConfig struct {
	// Issuer is the URL of the identity provider, byte for byte as its tokens and the invitations say it.
	Issuer string `yaml:"issuer" need:"true" form:"https://HOST[/PATH]" example:"https://token.actions.example"`
	// Audience is what its tokens have to be made for: this server, and no other service that would hand them on.
	Audience string `yaml:"audience" need:"true" form:"text" example:"https://ca.acme.example"`
	// Algs are the algorithms by which they may be signed: RS, PS or ES with 256, 384 or 512, or EdDSA.
	Algs []string `yaml:"algs" need:"true" form:"words" example:"[RS256]"`
	// Subject is the claim that says which workload it is; it is compared exactly with the one of the invitation.
	Subject string `yaml:"subject,omitempty" default:"sub" form:"a claim" example:"sub"`
}

func (c config) checkWorkloads() error {
	issuers := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Workloads)) {
		w, key := c.Workloads[name], strictyaml.Join("workloads", name)
		switch {
		case w.Issuer == "":
			return badKey(strictyaml.Join(key, "issuer"), "missing")
		case issuers[w.Issuer] != "":
			return badKey(strictyaml.Join(key, "issuer"), "is that of %s: an invitation names the issuer and the subject, so one claim and one audience have to follow from it", issuers[w.Issuer])
		case w.Audience == "":
			return badKey(strictyaml.Join(key, "audience"), "missing: tokens that are made for anybody would do")
		}
		issuers[w.Issuer] = name
		if err := record.CheckWorkload(record.Workload{Issuer: w.Issuer, Subject: canon.Digest{1}}); err != nil {
			return badKey(strictyaml.Join(key, "issuer"), "%q is not the URL of an identity provider, https or http on a loopback address", strictyaml.Clip(w.Issuer))
		}
		if _, err := oidc.New(w.oidc(name), time.Now); err != nil {
			return badKey(strictyaml.Join(key, "algs"), "%v", err)
		}
	}
	return nil
}

// oidc is how the server speaks to it.
func (w workloadConfig) oidc(name string) oidc.Issuer {
	return oidc.Issuer{ID: name, URL: w.Issuer, ClientID: w.Audience, Algs: w.Algs, SubjectClaim: w.Subject}
}

// workloads are the issuers of identity tokens for hosts, by name.
func (c config) workloads() []oidc.Issuer {
	var out []oidc.Issuer
	for _, name := range slices.Sorted(maps.Keys(c.Workloads)) {
		out = append(out, c.Workloads[name].oidc(name))
	}
	return out
}
