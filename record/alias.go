package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// MaxAliases is how many other names a host has at most. sally-host keeps as many.
const MaxAliases = 16

// ErrAlias says that a name is another host's.
var ErrAlias = errors.New("the name is another host's")

// AliasRow says whose other name a name is: of that host for good, as a host's own
// name is.
type AliasRow struct {
	Host sshcert.Host `json:"host"`
}

// Alias returns which host another name is of.
func Alias(v View, name sshcert.Host) (AliasRow, error) {
	return get[AliasRow](v, TableAlias, string(name))
}

// CheckAliases refuses other names of a host that are not in order, or too many.
func CheckAliases(name sshcert.Host, aliases []sshcert.Host) error {
	if len(aliases) > MaxAliases {
		return fmt.Errorf("aliases: %w: %d, at most %d may be", ErrEvent, len(aliases), MaxAliases)
	}
	for i, a := range aliases {
		if parsed, err := sshcert.ParseHost(string(a)); err != nil || parsed != a {
			return fmt.Errorf("alias %.100q: %w: a host name", a, ErrEvent)
		}
		if a == "localhost" || strings.Trim(string(a), "0123456789.") == "" {
			return fmt.Errorf("alias %s: %w: an address is nobody's name for good", a, ErrEvent)
		}
		if a == name || i > 0 && aliases[i-1] >= a {
			return fmt.Errorf("alias %s: %w: aliases are sorted, each once, and not the host's own name", a, ErrEvent)
		}
	}
	return nil
}

// freeNames refuses a host whose name or other names are, or ever were, another
// host's: what is let in under a name is let in wherever it counts.
func freeNames(v View, name sshcert.Host, aliases []sshcert.Host) error {
	if err := CheckAliases(name, aliases); err != nil {
		return err
	}
	switch _, err := Alias(v, name); {
	case err == nil:
		return fmt.Errorf("host %s: %w: it is another name of another host, and stays it", name, ErrAlias)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	for _, a := range aliases {
		switch _, err := Host(v, a); {
		case err == nil:
			return fmt.Errorf("alias %s: %w: a host has joined under it", a, ErrAlias)
		case !errors.Is(err, ErrNotFound):
			return err
		}
		switch of, err := Alias(v, a); {
		case err == nil && of.Host != name:
			return fmt.Errorf("alias %s: %w: it is another name of another host, and stays it", a, ErrAlias)
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
	}
	return nil
}

// joined are the rows of a host that joins under its names.
func joined(row HostRow) ([]Change, error) {
	host, err := putHost(row)
	if err != nil {
		return nil, err
	}
	out := []Change{host}
	for _, a := range row.Aliases {
		alias, err := put(TableAlias, string(a), AliasRow{Host: row.Name})
		if err != nil {
			return nil, err
		}
		out = append(out, alias)
	}
	return out, nil
}

// notThere is the refusal of a host that is not in the inventory of a lineage. Of
// another name of one that is, it says whose: what is asked for is a host by its own
// name, so that request, decision and certificate say the same.
func notThere(v View, name sshcert.Host, lineage canon.Digest) error {
	limit, why := "hosts that joined it; ask the operator which there are", fmt.Sprintf("%s is not in the inventory of this contract", name)
	of, err := Alias(v, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		host, err := Host(v, of.Host)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err == nil && host.Lineage == lineage && !host.Retired() && slices.Contains(host.Aliases, name) {
			limit, why = "hosts by their own names", fmt.Sprintf("%s is another name of host %s; ask for %s", name, of.Host, of.Host)
		}
	}
	return &contract.ClauseError{Field: "hosts", Limit: limit, Err: fmt.Errorf("%s: %w", why, contract.ErrHostNotInRole)}
}
