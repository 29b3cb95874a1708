package contract

import "bytes"

// Compare tells what an amendment changes, as long as nothing better is there: terms
// that differ at all can't be compared, and all parties sign.
func Compare(old, new *Terms) Comparison {
	before, err := old.Canonical()
	if err != nil {
		return Comparison{Class: Mixed, Constitutional: true}
	}
	if after, err := new.Canonical(); err == nil && bytes.Equal(before, after) {
		return Comparison{Class: Equivalent}
	}
	return Comparison{Class: Mixed}
}
