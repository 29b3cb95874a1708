package record

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// LabellingLife is how long a proposed change of labels waits for the second host
// admin.
const LabellingLife = 7 * 24 * time.Hour

// LabellingRow is a change of a host's labels that one host admin has proposed.
type LabellingRow struct {
	Change   canon.ID     `json:"change"`
	Host     sshcert.Host `json:"host"`
	Lineage  canon.Digest `json:"lineage"`
	Contract canon.Digest `json:"contract"`
	Was      canon.Digest `json:"was"`
	Labels   []Label      `json:"labels,omitempty"`
	Person   canon.ID     `json:"person"` // who proposed it
	At       canon.Micros `json:"at"`
	Leaf     canon.Digest `json:"leaf"` // of the proposal
	MadeAt   canon.Micros `json:"made_at,omitempty"`
}

// Labelling returns a change of labels.
func Labelling(v View, change canon.ID) (LabellingRow, error) {
	return get[LabellingRow](v, TableLabelling, string(change))
}

// hostLabel proposes other labels for a host, or makes the change that another host
// admin has proposed. Labels say which roles reach a host, so nobody changes them
// alone, and the operator not at all.
func (e Event) hostLabel(v View, f HostLabel) ([]Change, error) {
	version, err := underInForce(v, f.Lineage, f.Contract, f.At)
	if err != nil {
		return nil, err
	}
	row, err := JoinedHost(v, f.Host)
	if err != nil {
		return nil, err
	}
	if err := CheckLabels(f.Labels); err != nil {
		return nil, err
	}
	was, err := LabelsDigest(row.Labels)
	if err != nil {
		return nil, err
	}
	switch {
	case row.Lineage != f.Lineage:
		return nil, fmt.Errorf("%w: host %s is another contract's", ErrEvent, f.Host)
	case f.Who.By != ByPerson:
		return nil, fmt.Errorf("%w: host admins change labels, two of them", ErrEvent)
	case f.Was != was:
		return nil, fmt.Errorf("the labels of host %s are not those that it is to have others than: %w", f.Host, ErrEvent)
	case slices.Equal(f.Labels, row.Labels):
		return nil, fmt.Errorf("host %s has these labels: %w", f.Host, ErrExists)
	}
	want := HostsDoc{Act: ActLabel, ID: f.Change, Contract: f.Contract, Host: f.Host, Labels: f.Labels, Was: f.Was}
	if err := checkActor(v, version, f.Who, want, f.At, version.Terms.Ceilings.ClaimsMaxAge.Decide); err != nil {
		return nil, err
	}
	change, err := Labelling(v, f.Change)
	if errors.Is(err, ErrNotFound) {
		return changes(fresh(putLabelling(LabellingRow{
			Change: f.Change, Host: f.Host, Lineage: f.Lineage, Contract: f.Contract, Was: f.Was, Labels: f.Labels,
			Person: f.Who.Person, At: f.At, Leaf: e.LeafHash,
		})))
	}
	if err != nil {
		return nil, err
	}
	return e.makeLabelling(v, f, row, change)
}

// makeLabelling is the second host admin's leaf.
func (e Event) makeLabelling(v View, f HostLabel, row HostRow, change LabellingRow) ([]Change, error) {
	accounts, err := Accounts(v, f.Who.Person)
	if err != nil {
		return nil, err
	}
	switch {
	case change.MadeAt != 0:
		return nil, fmt.Errorf("change %s: %w", f.Change, ErrExists)
	case change.Host != f.Host || change.Lineage != f.Lineage || change.Was != f.Was || !slices.Equal(change.Labels, f.Labels):
		return nil, fmt.Errorf("%w: change %s is of another host or to other labels", ErrEvent, f.Change)
	case change.Contract != f.Contract:
		return nil, fmt.Errorf("the contract changed since change %s was proposed; propose it again: %w", f.Change, ErrNotInForce)
	case f.At.Time().Sub(change.At.Time()) > LabellingLife:
		return nil, fmt.Errorf("%w: change %s was proposed at %s and waited for %s; propose it again", ErrDocument, f.Change, change.At.Time().Format(time.RFC3339), LabellingLife)
	case slices.Contains(accounts, change.Person):
		return nil, fmt.Errorf("change %s: %w: who proposed it can't make it", f.Change, ErrSameAdmin)
	}
	change.MadeAt = f.At
	made, err := putLabelling(change)
	if err != nil {
		return nil, err
	}
	row.Labels, row.Labelled = f.Labels, e.LeafHash
	host, err := putHost(row)
	return []Change{made, host}, err
}

func putLabelling(row LabellingRow) (Change, error) {
	return put(TableLabelling, string(row.Change), row, Index{"host", string(row.Host)}, Index{"all", ""})
}
