package authority

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// gathering collects the leaves that some rows are made of.
type gathering struct {
	r        *store.Reader // lives as long as the function it was given to
	rows     map[record.Key][]byte
	leaves   map[int64]store.Entry
	requests map[canon.ID]bool
	people   map[canon.ID]bool
	lineages map[canon.Digest]bool
	proven   *provenRows
	later    laterRows
	rare     rare
	size     int64 // of the ledger
	signed   int64 // how much of it is under a signed checkpoint
	from     int64 // the first leaf after which a row could have been overtaken
}

// newGathering is for those of the rows that are still to be proved. signed is how
// many leaves are under a signed checkpoint.
func newGathering(r *store.Reader, rows map[record.Key][]byte, proven *provenRows, signed int64) (gathering, error) {
	g := gathering{
		r: r, rows: make(map[record.Key][]byte), leaves: make(map[int64]store.Entry),
		requests: make(map[canon.ID]bool), people: make(map[canon.ID]bool), lineages: make(map[canon.Digest]bool), proven: proven, signed: signed,
	}
	head, err := r.Head()
	if err != nil {
		return gathering{}, err
	}
	g.size, g.from = head.Tree.Size, head.Tree.Size
	since := g.size
	for k, body := range rows {
		size, ok := proven.asOf(k, body)
		switch {
		case !ok:
			g.rows[k] = body
		case k.Table == record.TableRequest || k.Table == record.TablePerson || k.Table == record.TableHost || k.Table == record.TableLineage || k.Table == record.TableRevoked:
			since = min(since, size)
		}
	}
	if g.later, err = proven.later.at(r, since, g.size, signed); err != nil {
		return gathering{}, err
	}
	if g.rare, err = proven.rareAt(r, g.size, since, signed); err != nil {
		return gathering{}, err
	}
	for k, body := range rows {
		linked := g.rare.newer > 0 && k.Table == record.TablePerson
		changed := k.Table == record.TableHost && g.rare.changed(sshcert.Host(k.ID), since)
		if linked || changed || len(g.later.of(overtakenAs(k), since)) > 0 {
			g.rows[k] = body
		}
	}
	g.withRequests(rows)
	return g, nil
}

// withRequests proves the requests again where it is to be proved what was revoked:
// from when on that counts, they say.
func (g *gathering) withRequests(rows map[record.Key][]byte) {
	revoked := false
	for k := range g.rows {
		revoked = revoked || k.Table == record.TableLineage || k.Table == record.TableRevoked
	}
	for k, body := range rows {
		if revoked && k.Table == record.TableRequest {
			g.rows[k] = body
		}
	}
}

// overtakenAs is the row by which it is known which leaves change another one: a
// revocation of a person, role or host always changes its contract's row, too.
func overtakenAs(k record.Key) record.Key {
	if k.Table != record.TableRevoked {
		return k
	}
	lineage, _, _ := strings.Cut(k.ID, "/")
	return record.Key{Table: record.TableLineage, ID: lineage}
}

func (g *gathering) gather(claims record.Claims) error {
	if err := g.at(0); err != nil { // every fold begins with the ledger's own identity
		return err
	}
	if claims != (record.Claims{}) { // a host has none
		if err := g.claims(claims); err != nil {
			return err
		}
	}
	for k, body := range g.rows {
		if err := g.row(k, body); err != nil {
			return fmt.Errorf("%s %s: %w", k.Table, k.ID, err)
		}
	}
	if err := g.overtaking(); err != nil {
		return err
	}
	return g.linked()
}

// row adds the leaves that made a row.
func (g *gathering) row(k record.Key, body []byte) error {
	switch k.Table {
	case record.TableLog:
		return nil // leaf 0 is there
	case record.TableRequest:
		var q approval.Request
		if err := canon.Unmarshal(body, &q); err != nil {
			return err
		}
		return g.request(q)
	case record.TableLineage:
		var l record.LineageRow
		if err := canon.Unmarshal(body, &l); err != nil {
			return err
		}
		return g.lineage(l)
	case record.TableContract:
		d, err := canon.ParseDigest(k.ID)
		if err != nil {
			return err
		}
		return g.contract(d)
	case record.TableHost:
		return g.host(sshcert.Host(k.ID))
	case record.TableKey:
		var key record.KeyRow
		if err := canon.Unmarshal(body, &key); err != nil {
			return err
		}
		return g.at(key.Index)
	case record.TableLogin, record.TableSnapshot:
		d, err := canon.ParseDigest(k.ID)
		if err != nil {
			return err
		}
		return g.leaf(d)
	case record.TablePerson:
		var p record.PersonRow
		if err := canon.Unmarshal(body, &p); err != nil {
			return err
		}
		for _, s := range p.Snapshots {
			if err := g.leaf(s.Leaf); err != nil {
				return err
			}
		}
		for _, leaf := range []canon.Digest{p.Lock.Leaf, p.Lock.UnlockLeaf} {
			if err := g.leaf(leaf); err != nil && !leaf.IsZero() {
				return err
			}
		}
		return nil
	case record.TableRevoked:
		return g.revoked(body)
	case record.TableContractID, record.TableIssuer, record.TableIdentity, record.TableDevice, record.TableExpiry, record.TableDecision, record.TableCertificate, record.TableErased,
		record.TableInvitation, record.TableLabelling, record.TableAlias, record.TableRelease, record.TableHostCertificate, record.TableSession, record.TableRefusal, record.TableRevocation:
	}
	return fmt.Errorf("%w: no grant depends on it", record.ErrEvent)
}

func (g *gathering) request(q approval.Request) error {
	g.requests[q.ID] = true
	if err := g.leaf(q.Leaf); err != nil {
		return err
	}
	for _, d := range q.Decisions {
		if err := g.leaf(d.Leaf); err != nil {
			return err
		}
	}
	for _, c := range q.Carried {
		if err := g.leaf(c.Leaf); err != nil {
			return err
		}
	}
	for _, leaf := range []canon.Digest{q.Cancelled.Leaf, q.Revoked.Leaf} {
		if err := g.leaf(leaf); err != nil && !leaf.IsZero() {
			return err
		}
	}
	g.lineages[q.Lineage] = true
	for _, h := range q.Hosts {
		if err := g.host(h); err != nil {
			return err
		}
	}
	return g.contract(q.Contract)
}

func (g *gathering) lineage(l record.LineageRow) error {
	g.lineages[l.Lineage] = true
	if !l.Revoked.Leaf.IsZero() {
		if err := g.leaf(l.Revoked.Leaf); err != nil {
			return err
		}
	}
	if !l.Terminated.Leaf.IsZero() {
		if err := g.leaf(l.Terminated.Leaf); err != nil {
			return err
		}
	}
	if l.Current.IsZero() {
		return g.contract(l.Lineage)
	}
	return g.contract(l.Current)
}

// revoked adds the revocations of a person, a role or a host, if there are any.
func (g *gathering) revoked(body []byte) error {
	if body == nil {
		return nil
	}
	var row record.RevokedRow
	if err := canon.Unmarshal(body, &row); err != nil {
		return err
	}
	for _, by := range row.Times {
		if err := g.leaf(by.Leaf); err != nil {
			return err
		}
	}
	return nil
}

// host adds everything that ever became of a host: a row that was put back to what
// it said before is missed when the rows are compared.
func (g *gathering) host(name sshcert.Host) error {
	all := g.rare.of(name)
	if len(all) == 0 {
		return fmt.Errorf("host %s: %w: no leaf says that it joined", name, record.ErrEvent)
	}
	for _, index := range all {
		if err := g.at(index); err != nil {
			return err
		}
	}
	return nil
}

// revocation adds what a revocation rests on.
func (g *gathering) revocation(f record.AccessRevoke) error {
	if err := g.contract(f.Contract); err != nil {
		return err
	}
	if f.By == record.ByPerson {
		if err := g.claims(f.Claims); err != nil {
			return err
		}
	}
	switch f.Target.Type {
	case record.TargetHost:
		return g.host(f.Target.Host)
	case record.TargetPerson:
		index, err := g.r.First(record.TablePerson, string(f.Target.ID))
		if err != nil {
			return err
		}
		return g.at(index)
	case record.TargetCertificate, record.TargetGrant, record.TargetRequest, record.TargetRole:
	}
	return nil
}

// actor adds the leaves by which somebody was judged who did something about a
// host. They are judged at that leaf alone, so nothing that came later matters.
func (g *gathering) actor(who record.Actor, lineage, version canon.Digest) error {
	if err := g.contract(lineage); err != nil || who.By == record.ByOperator {
		return err
	}
	if err := g.contract(version); err != nil {
		return err
	}
	if err := g.leaf(who.Claims.Login); err != nil {
		return err
	}
	return g.leaf(who.Claims.Snapshot)
}

// claims adds the login and the snapshot by which somebody is judged. The
// snapshot that held at a login says of groups what the login says: an older one
// in its place would give a group back.
func (g *gathering) claims(c record.Claims) error {
	var facts [2]record.Facts
	for i, hash := range []canon.Digest{c.Login, c.Snapshot} {
		index, err := g.place(hash)
		if err != nil {
			return err
		}
		if err := g.at(index); err != nil {
			return err
		}
		entry := g.leaves[index]
		if facts[i], err = record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts); err != nil {
			return err
		}
		if i == 0 {
			g.from = min(g.from, index)
		}
	}
	login, isLogin := facts[0].(record.PersonLogin)
	snapshot, isSnapshot := facts[1].(record.PersonSnapshot)
	if !isLogin || !isSnapshot || login.GroupsKnown != snapshot.GroupsKnown || !slices.Equal(login.Groups, snapshot.Groups) {
		return fmt.Errorf("%w: login %s and snapshot %s do not belong together", record.ErrEvent, c.Login, c.Snapshot)
	}
	return nil
}

func (g *gathering) leaf(hash canon.Digest) error {
	index, err := g.place(hash)
	if err != nil {
		return err
	}
	return g.at(index)
}

func (g *gathering) place(hash canon.Digest) (int64, error) {
	if index, ok := g.proven.place(hash); ok {
		return index, nil
	}
	return g.r.LeafIndex(hash)
}

func (g *gathering) at(index int64) error {
	if _, ok := g.leaves[index]; ok {
		return nil
	}
	if entry, ok := g.proven.leaf(index); ok {
		return g.add(entry)
	}
	entry, err := g.r.Entry(index)
	if err != nil {
		return err
	}
	return g.add(entry)
}

// add takes a leaf and those that its facts rest on.
func (g *gathering) add(entry store.Entry) error {
	facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
	if err != nil {
		return err
	}
	g.leaves[entry.Index] = entry
	switch f := facts.(type) {
	case record.RequestSubmit:
		return g.claims(f.Claims)
	case record.RequestDecide:
		return g.claims(f.Claims)
	case record.RequestCancel:
		return g.leaf(f.Login)
	case record.ContractSign:
		return g.contractOf(entry.Index, f.Contract)
	case record.ContractCondition:
		return g.contractOf(entry.Index, f.Contract)
	case record.ContractTerminate:
		return g.contractOf(entry.Index, f.Contract)
	case record.GrantCarry:
		return g.contractOf(entry.Index, f.To)
	case record.AccessRevoke:
		return g.revocation(f)
	case record.HostJoin:
		if !f.InvitationLeaf.IsZero() {
			if err := g.leaf(f.InvitationLeaf); err != nil {
				return err
			}
		}
		return g.contract(f.Lineage)
	case record.HostInvite:
		return g.actor(f.Who, f.Lineage, f.Contract)
	case record.HostLabel:
		return g.actor(f.Who, f.Lineage, f.Contract)
	case record.HostRetire:
		return g.actor(f.Who, f.Lineage, f.Contract)
	case record.HostRelease:
		return g.actor(f.Who, f.Lineage, f.Contract)
	case record.PersonSnapshot:
		g.people[f.Person] = true
		return g.leaf(f.Login)
	case record.PersonLogin:
		return g.renewed(entry.Index, f)
	default:
		return nil
	}
}

// overtaking adds what came after the leaves that the rows name and would have
// changed them: decisions on the requests, their ends, revocations under their
// contracts, newer groups of the people. A
// row that was put back to what it said before is missed when the rows are compared.
func (g *gathering) overtaking() (err error) {
	if g.later, err = g.proven.later.at(g.r, g.from, g.size, g.signed); err != nil {
		return err
	}
	for before := -1; before != len(g.leaves); { // they may bring in others
		before = len(g.leaves)
		for id := range g.requests {
			if err := g.overtaken(requestKey(id)); err != nil {
				return err
			}
		}
		for d := range maps.Clone(g.lineages) {
			if err := g.overtaken(lineageKey(d)); err != nil {
				return err
			}
		}
		for id := range maps.Clone(g.people) {
			if err := g.overtaken(personKey(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *gathering) overtaken(k record.Key) error {
	for _, index := range g.later.of(k, g.from) {
		if err := g.at(index); err != nil {
			return err
		}
	}
	return nil
}

// renewed adds the login that a refresh renews: the newest before it with the
// same device key in which the person signed in.
func (g *gathering) renewed(index int64, f record.PersonLogin) error {
	for f.Flow == record.FlowRefresh {
		before, err := g.r.Firsts(record.TableLogin, "person", string(f.Person), index, 1)
		if err != nil {
			return err
		}
		if len(before) == 0 {
			return fmt.Errorf("leaf %d: %w: it renews no login", index, record.ErrEvent)
		}
		index = before[0]
		entry, err := g.r.Entry(index)
		if err != nil {
			return err
		}
		facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
		if err != nil {
			return err
		}
		if login, ok := facts.(record.PersonLogin); ok && login.Flow != record.FlowRefresh && login.DeviceKey == f.DeviceKey {
			g.leaves[index] = entry
			return nil
		}
	}
	return nil
}

// linked adds the links by which the people, and those to whom they are linked,
// became known to be one human, their locks, and the logins that made those people.
func (g *gathering) linked() error {
	for again := true; again; {
		again = false
		for _, l := range g.rare.links {
			if _, ok := g.leaves[l.entry.Index]; ok || !slices.ContainsFunc(l.people, func(id canon.ID) bool { return g.people[id] }) {
				continue
			}
			again = true
			g.leaves[l.entry.Index] = l.entry
			for _, id := range l.people {
				g.people[id] = true
				index, err := g.r.First(record.TablePerson, string(id))
				if err != nil {
					return err
				}
				if err := g.at(index); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
