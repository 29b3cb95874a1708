// Package contracts holds the examples of access contracts, which `sally contract
// new` copies: one company, a vendor and its customer, and these under HIPAA and
// PCI DSS. The keys in them are nobody's.
package contracts

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed one-company vendor-customer hipaa pci
var folders embed.FS

// Names lists the examples, the simplest first.
func Names() []string { return []string{"one-company", "vendor-customer", "hipaa", "pci"} }

// Files returns contract.md, terms.yaml and people.yaml of an example, by name. It
// returns an error for a name that Names does not list.
func Files(name string) (map[string][]byte, error) {
	entries, err := fs.ReadDir(folders, name)
	if err != nil {
		return nil, fmt.Errorf("example %q: %w", name, err)
	}
	out := make(map[string][]byte, len(entries))
	for _, entry := range entries {
		if out[entry.Name()], err = folders.ReadFile(name + "/" + entry.Name()); err != nil {
			return nil, err
		}
	}
	return out, nil
}
