package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// ReleaseRow is a release of a host from its contract.
type ReleaseRow struct {
	Release canon.ID     `json:"release"`
	Host    sshcert.Host `json:"host"`
	Lineage canon.Digest `json:"lineage"` // that it was released from
	To      canon.Digest `json:"to"`      // the lineage that it may join
	At      canon.Micros `json:"at"`
	Leaf    canon.Digest `json:"leaf"`
}

// LeftRow says which labels a host had under a contract when it was released from
// it. A name that returns there returns as what it was, or a release and a second one
// would change labels without the second host admin.
type LeftRow struct {
	Lineage canon.Digest `json:"lineage"`
	Labels  []Label      `json:"labels,omitempty"`
}

// Release returns a release of a host.
func Release(v View, id canon.ID) (ReleaseRow, error) {
	return get[ReleaseRow](v, TableRelease, string(id))
}

// hostRelease lets a host go from its contract to one other, which the host admin who
// signs it names. Nothing else moves a host: neither the operator's word, nor a
// signature under the contract that it goes to. It is out of the old contract at once,
// and in the new one when it has joined it.
func (e Event) hostRelease(v View, f HostRelease) ([]Change, error) {
	version, err := underInForce(v, f.Lineage, f.Contract, f.At)
	if err != nil {
		return nil, err
	}
	if f.Who.By != ByPerson {
		return nil, fmt.Errorf("%w: a host admin of its contract releases a host, by a signature", ErrEvent)
	}
	want := HostsDoc{Act: ActRelease, ID: f.Release, Contract: f.Contract, Host: f.Host, To: f.To}
	if err := checkActor(v, version, f.Who, want, f.At, version.Terms.Ceilings.ClaimsMaxAge.Decide); err != nil {
		return nil, err // before anything is said of hosts
	}
	row, err := Host(v, f.Host)
	if err != nil {
		return nil, err
	}
	switch {
	case row.Lineage != f.Lineage:
		return nil, fmt.Errorf("%w: host %s is another contract's, and only that lets it go", ErrEvent, f.Host)
	case f.To.IsZero() || f.To == f.Lineage:
		return nil, fmt.Errorf("%w: a host is released to another contract than its own", ErrEvent)
	case row.ReleasedTo == f.To:
		return nil, fmt.Errorf("the release of host %s to contract %s: %w", f.Host, f.To, ErrExists)
	}
	switch _, err := Release(v, f.Release); {
	case err == nil:
		return nil, fmt.Errorf("release %s: %w", f.Release, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	if !row.Retired() {
		row.RetiredAt = f.At
	}
	row.ReleasedTo, row.Left = f.To, left(row)
	released, err := put(TableRelease, string(f.Release), ReleaseRow{
		Release: f.Release, Host: f.Host, Lineage: f.Lineage, To: f.To, At: f.At, Leaf: e.LeafHash,
	}, Index{"host", string(f.Host)}, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	released.New = true
	host, err := putHost(row)
	return []Change{released, host}, err
}

// left is what a host was under each contract that has released it, sorted by
// contract.
func left(row HostRow) []LeftRow {
	out := slices.DeleteFunc(slices.Clone(row.Left), func(l LeftRow) bool { return l.Lineage == row.Lineage })
	out = append(out, LeftRow{row.Lineage, row.Labels})
	slices.SortFunc(out, func(a, b LeftRow) int { return strings.Compare(a.Lineage.String(), b.Lineage.String()) })
	return out
}

// sameName refuses a name that belongs to a host which was something else: requests
// and certificates of then name it. It returns what the host was, zero for a name
// that is new.
func sameName(v View, name sshcert.Host, lineage canon.Digest, labels []Label) (HostRow, error) {
	row, err := Host(v, name)
	if errors.Is(err, ErrNotFound) {
		return HostRow{}, nil
	}
	if err != nil {
		return HostRow{}, err
	}
	switch {
	case row.Lineage == lineage && slices.Equal(row.Labels, labels):
		return row, nil
	case row.Lineage == lineage:
		return HostRow{}, fmt.Errorf("host %s: %w; join it as what it was, or under another name", name, ErrHostOther)
	case row.ReleasedTo != lineage:
		return HostRow{}, fmt.Errorf("host %s: %w; a host admin of its contract has to release it to this one first (`sally hosts release`)", name, ErrHostOther)
	}
	for _, l := range row.Left {
		if l.Lineage == lineage && !slices.Equal(l.Labels, labels) {
			return HostRow{}, fmt.Errorf("host %s: %w; it was in this contract before, so join it with the labels that it had, or under another name", name, ErrHostOther)
		}
	}
	return row, nil
}
