package contract

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// StillAllows tells whether a request that Evaluate has allowed is still one that
// the role is about: its logins, hosts and duration, and the subject in a group that
// may ask. What was known when it was made, the reason, the ticket and what guards
// ask about, is not asked again. Every refusal is a *ClauseError.
func (t *Terms) StillAllows(a Ask, s Subject) error {
	role, ok := t.Role(a.Role)
	if !ok {
		return &ClauseError{Field: "role", Limit: list(t.roleIDs(), "or"), Err: fmt.Errorf("%q is %w", strictyaml.Clip(a.Role), ErrRoleUnknown)}
	}
	in, err := t.memberOfAny(s, role.Who)
	if err == nil && !in {
		err = ErrNotMember
	}
	if err != nil {
		return role.no("who", "members of "+list(role.Who, "or"), err)
	}
	for _, check := range []func(Ask) error{role.checkLogins, role.checkHosts, role.checkDuration(t.Ceilings.Grant)} {
		if err := check(a); err != nil {
			return err
		}
	}
	return nil
}

// Excludes tells whether two roles may not be held together, by the word of either,
// and how long apart their grants are at least.
func (t *Terms) Excludes(a, b string) (apart time.Duration, excluded bool) {
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		role, ok := t.Role(pair[0])
		if !ok {
			continue
		}
		for _, other := range role.Duties.ExclusiveWith {
			if other == pair[1] {
				apart, excluded = max(apart, role.Duties.Window), true
			}
		}
	}
	return apart, excluded
}

// Exclusive tells whether the role excludes any other, by the word of either.
func (t *Terms) Exclusive(role string) bool {
	for i := range t.Roles {
		if _, yes := t.Excludes(role, t.Roles[i].ID); yes {
			return true
		}
	}
	return false
}
