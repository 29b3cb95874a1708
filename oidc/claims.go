package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// claims are the members of an ID token's payload by exact name.
type claims map[string]json.RawMessage

// protocolClaims decide something. Go's encoding/json matches names without
// regard to case, so a payload with both "sub" and "Sub" could mean different
// people to different readers; a second spelling of these is refused.
func protocolClaims() []string {
	return []string{"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "azp", "auth_time", "acr", "amr", "at_hash", "_claim_names", "_claim_sources"}
}

// parseClaims reads a payload: one JSON object in valid UTF-8, no member name
// twice at any depth, none that differs from a protocol claim only by case.
// The error wraps ErrMalformed.
func parseClaims(payload []byte) (claims, error) {
	c, err := parseObject(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: its payload %w", ErrMalformed, err)
	}
	for name := range c {
		for _, known := range protocolClaims() {
			if name != known && strings.EqualFold(name, known) {
				return nil, fmt.Errorf("%w: it has a second spelling of the claim %s", ErrMalformed, known)
			}
		}
	}
	return c, nil
}

const maxDepth = 16 // of nested objects and arrays in a payload or header

// parseObject reads one strict JSON object.
func parseObject(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("is not a JSON object")
	}
	if err := walkObject(dec, 1); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something after its JSON object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, errors.New("is not JSON")
	}
	return members, nil
}

// walkObject reads up to the closing brace and refuses repeated names.
func walkObject(dec *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		s, ok := name.(string)
		if err != nil || !ok {
			return errors.New("is not JSON")
		}
		if seen[s] {
			return errors.New("has a member name twice")
		}
		seen[s] = true
		if err := walkValue(dec, depth); err != nil {
			return err
		}
	}
	return closing(dec)
}

func walkValue(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return errors.New("is not JSON")
	}
	opening, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxDepth {
		return fmt.Errorf("is nested deeper than %d", maxDepth)
	}
	if opening == '{' {
		return walkObject(dec, depth+1)
	}
	for dec.More() {
		if err := walkValue(dec, depth+1); err != nil {
			return err
		}
	}
	return closing(dec)
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errors.New("is not JSON")
	}
	return nil
}

// at returns claims in which a claim that the contract names stands under that
// whole name: c itself if it has one, else, for a name with dots, what the path
// leads to, as "realm_access.roles" in {"realm_access":{"roles":[…]}}. A claim
// of exactly that name always wins, so nobody who can add a nested member can
// stand in for it.
func (c claims) at(name string) claims {
	if _, exact := c[name]; exact {
		return c
	}
	inside := map[string]json.RawMessage(c)
	for rest, dotted := name, true; dotted; {
		var member string
		member, rest, dotted = strings.Cut(rest, ".")
		raw, ok := inside[member]
		if !ok {
			return nil
		}
		inside = nil
		if !dotted {
			return claims{name: raw}
		}
		if json.Unmarshal(raw, &inside) != nil {
			return nil // not an object: there is nothing inside
		}
	}
	return nil
}

// text returns a claim that must be a string if it is there.
func (c claims) text(name string) (value string, present bool, err error) {
	raw, present := c[name]
	if !present {
		return "", false, nil
	}
	if value, ok := jsonString(raw); ok {
		return value, true, nil
	}
	return "", true, fmt.Errorf("%w: the claim %s is not a string", ErrMalformed, name)
}

// seconds returns a claim that must be a time if it is there: whole seconds
// since 1970 in plain digits, no sign, fraction or exponent, up to the year 9999.
func (c claims) seconds(name string) (t time.Time, present bool, err error) {
	raw, present := c[name]
	if !present {
		return time.Time{}, false, nil
	}
	const lastSecond = 253402300799
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || n > lastSecond || strconv.FormatInt(n, 10) != string(raw) {
		return time.Time{}, true, fmt.Errorf("%w: the claim %s is not a time in whole seconds", ErrMalformed, name)
	}
	return time.Unix(n, 0).UTC(), true, nil
}

// audience returns aud, which may be a string or an array of strings.
func (c claims) audience() ([]string, error) {
	raw, present := c["aud"]
	if one, ok := jsonString(raw); present && ok {
		return []string{one}, nil
	}
	if many, ok := jsonStrings(raw); present && ok {
		return many, nil
	}
	return nil, fmt.Errorf("%w: the claim aud is neither a string nor an array of strings", ErrMalformed)
}

// display returns a claim that is only ever shown: empty unless it is clean
// text of at most limit bytes once composed (NFC). It never decides anything.
func (c claims) display(name string, limit int) string {
	s, ok := jsonString(c[name])
	if s = norm.NFC.String(s); !ok || !clean(s, limit) {
		return ""
	}
	return s
}

// called is display for what somebody is called by: without the blanks around it,
// so that nobody is called by blanks.
func (c claims) called(name string, limit int) string {
	return strings.TrimSpace(c.display(name, limit))
}

// groups returns the groups, sorted and each once, or why they are unknown.
// One unusable entry makes all of them unknown: a list with a hole would look
// like a person without that group.
func (c claims) groups(claim string) (groups []string, why string) {
	switch {
	case claim == "":
		return nil, "the contract names no groups claim for this identity provider"
	case c.elsewhere(claim):
		return nil, "the identity provider left the groups out because there are too many"
	}
	raw, present := c.at(claim)[claim]
	if !present {
		return nil, "the identity provider sent no groups claim"
	}
	list, ok := jsonStrings(raw)
	switch {
	case !ok:
		return nil, "the groups claim is not an array of strings"
	case len(list) > MaxGroups:
		return nil, fmt.Sprintf("the groups claim has more than %d entries", MaxGroups)
	}
	for _, g := range list {
		if g == "" || !clean(g, MaxGroupBytes) {
			return nil, fmt.Sprintf("a group's name is empty, longer than %d bytes, not NFC or has control characters", MaxGroupBytes)
		}
	}
	return sortedSet(list), ""
}

// elsewhere reports the marks of overage: distributed claims (OpenID Connect
// Core §5.6.2) that cover the groups claim or what it is inside of, and
// Microsoft's hasgroups.
func (c claims) elsewhere(claim string) bool {
	var names map[string]json.RawMessage
	if raw, ok := c["_claim_names"]; ok {
		if err := json.Unmarshal(raw, &names); err != nil {
			return true // can't tell what is elsewhere
		}
	}
	_, distributed := names[claim]
	if outer, _, dotted := strings.Cut(claim, "."); dotted && !distributed {
		_, distributed = names[outer]
	}
	has, ok := c["hasgroups"]
	return distributed || ok && string(has) != "false"
}

// jsonString decodes a JSON string; null and everything else is refused.
func jsonString(raw json.RawMessage) (string, bool) {
	var s *string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// jsonStrings decodes an array of JSON strings; null, also as an entry, is
// refused.
func jsonStrings(raw json.RawMessage) ([]string, bool) {
	var entries []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &entries) != nil || entries == nil {
		return nil, false
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		s, ok := jsonString(e)
		if !ok {
			return nil, false
		}
		list[i] = s
	}
	return list, true
}

// clean reports whether s can be stored and shown as it is: at most limit bytes
// of NFC, without control, formatting, private-use or line-separating
// characters and without the mark of a broken character.
func clean(s string, limit int) bool {
	if len(s) > limit || !utf8.ValidString(s) || !norm.NFC.IsNormalString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || unicode.In(r, unicode.C, unicode.Zl, unicode.Zp)
	})
}
