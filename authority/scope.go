package authority

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
)

// ErrWithheld says that a cosigner which the contract names has not given its
// word. It is an ErrUncosigned. ErrNoAddress says that nobody knows where such a
// cosigner answers.
var (
	ErrWithheld  error = uncosigned("a cosigner that the contract names has not confirmed the ledger, so no certificate was made; what was granted stays granted, try again")
	ErrNoAddress       = errors.New("nobody knows where this cosigner answers")
)

// uncosigned is an ErrUncosigned with a text of its own.
type uncosigned string

func (u uncosigned) Error() string { return string(u) }

// Is reports that it is an ErrUncosigned.
func (u uncosigned) Is(target error) bool { return target == ErrUncosigned }

// scope is where certain words are asked for: a contract version in force that
// names cosigners, or everywhere else.
type scope struct {
	id       canon.Digest // of the contract version; zero: everywhere else
	lineage  canon.Digest
	contract string // its id
	quorum   ledger.Cosigners
	policy   *ledger.Policy // the log's key and the quorum
	members  []*member      // in the order of the quorum's keys
	broken   error          // why the quorum can't be asked for
}

// scopes returns where which words are asked for now. The first is everywhere.
func (c *cosigning) scopes(ctx context.Context) ([]*scope, error) {
	var versions []*contract.Version
	err := c.a.store.Read(ctx, func(r *store.Reader) (err error) {
		versions, err = InForce(r, canon.At(c.a.now()))
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []*scope{c.whole}
	known := map[canon.Digest]*scope{}
	for _, v := range versions {
		if len(v.Terms.Cosigners) == 0 {
			continue
		}
		s := c.known[v.Digest]
		if s == nil {
			s = c.newScope(v)
		}
		known[v.Digest] = s
		out = append(out, s)
	}
	c.known = known
	return out, nil
}

// scopeOf returns the scope of a contract version.
func (c *cosigning) scopeOf(v *contract.Version) *scope {
	if len(v.Terms.Cosigners) == 0 {
		return c.whole
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.known[v.Digest]; s != nil {
		return s
	}
	return c.newScope(v)
}

// newScope makes the scope of a version that names cosigners. The caller holds mu.
func (c *cosigning) newScope(v *contract.Version) *scope {
	s := &scope{id: v.Digest, lineage: v.Lineage(), contract: v.Terms.ID, quorum: c.whole.quorum, members: slices.Clone(c.whole.members)}
	parties, err := partyKeys(v)
	if err == nil {
		s.quorum.All = parties
		s.policy, err = c.own.WithCosigners(s.quorum)
	}
	for _, k := range parties {
		if err != nil {
			break
		}
		m := c.parties[k.String()]
		if m == nil {
			var one Cosigner
			if one, err = c.reach(k); err != nil {
				break
			}
			m = &member{cosigner: one, party: true}
			c.parties[k.String()] = m
		}
		s.members = append(s.members, m)
	}
	if err != nil {
		s.broken = fmt.Errorf("%w: contract %s: %w", ErrWithheld, s.contract, err)
	}
	return s
}

// partyKeys returns the keys of the cosigners that a contract version names.
func partyKeys(v *contract.Version) ([]ledger.CosignerKey, error) {
	var out []ledger.CosignerKey
	for _, vkey := range v.Terms.CosignerKeys() {
		key, err := ledger.ParseCosignerKey(vkey)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

// checkCosigners refuses a contract version whose cosigners could never be asked.
func (c *cosigning) checkCosigners(v *contract.Version) error {
	parties, err := partyKeys(v)
	if err != nil || len(parties) == 0 {
		return err
	}
	quorum := c.whole.quorum
	quorum.All = parties
	if _, err := c.own.WithCosigners(quorum); err != nil {
		return fmt.Errorf("contract %s: its cosigners: %w", v.Terms.ID, err)
	}
	for _, k := range parties {
		if _, err := c.reach(k); err != nil {
			return fmt.Errorf("contract %s: %w", v.Terms.ID, err)
		}
	}
	return nil
}

// CheckCosigners refuses to start with a contract in force whose cosigners could
// never be asked. Errors wrap ErrNoAddress or ledger.ErrPolicy.
func (a *Authority) CheckCosigners(ctx context.Context) error {
	return a.store.Read(ctx, func(r *store.Reader) error {
		versions, err := InForce(r, canon.At(a.now()))
		if err != nil {
			return err
		}
		for _, v := range versions {
			if err := a.cosigning.checkCosigners(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// satisfied returns the head with the words that the scope asks for, if they are
// among words.
func (s *scope) satisfied(head signedHead, words map[string]ledger.Cosignature) (signedHead, bool) {
	var own []ledger.Cosignature
	for _, k := range s.quorum.Keys() {
		if w, ok := words[k.String()]; ok {
			own = append(own, w)
		}
	}
	note, err := ledger.AddCosignatures(head.note, own...)
	if err != nil || s.policy == nil {
		return signedHead{}, false
	}
	if _, err := s.policy.OpenCheckpoint(note); err != nil {
		return signedHead{}, false // not enough yet
	}
	return signedHead{checkpoint: head.checkpoint, note: note}, true
}

// hopeless reports whether the words that are there and those that may come
// can't be enough.
func (s *scope) hopeless(words map[string]ledger.Cosignature) bool {
	witnesses := 0
	for _, m := range s.members {
		key := m.cosigner.Key().String()
		_, there := words[key]
		switch may := there || m.hopeful(); {
		case m.party && !may:
			return true
		case !m.party && may:
			witnesses++
		}
	}
	return witnesses < s.quorum.Need
}

// missing says whose word is missing and why, for whoever wanted a certificate:
// nothing that a cosigner wrote is in it.
func (s *scope) missing() error {
	if s.broken != nil {
		return s.broken
	}
	var why []string
	party := false
	for _, m := range s.members {
		if st := m.status(); st.Err != nil {
			why = append(why, st.Name+": "+reason(st.Err))
			party = party || st.Party
		}
	}
	var need []string
	if len(s.quorum.Witnesses) > 0 {
		need = append(need, fmt.Sprintf("%d of %d witnesses", s.quorum.Need, len(s.quorum.Witnesses)))
	}
	if n := len(s.quorum.All); n == 1 {
		need = append(need, "the cosigner of contract "+s.contract)
	} else if n > 1 {
		need = append(need, fmt.Sprintf("all %d cosigners of contract %s", n, s.contract))
	}
	of := ErrUncosigned
	if party {
		of = ErrWithheld
	}
	return fmt.Errorf("%w (needed: %s; %s)", of, strings.Join(need, " and "), strings.Join(why, "; "))
}

// reason is why there is no word, in our own words.
func reason(err error) string {
	for _, known := range []error{witness.ErrUnjustified, witness.ErrFork, witness.ErrRefused, witness.ErrClock, witness.ErrUnreachable, errAsked, ErrUncosigned} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return witness.ErrUnreachable.Error()
	}
	return "it could not be asked"
}
