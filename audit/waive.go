package audit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// Waivers are the unknowns that an auditor accepts, each by its name: a closed
// leaf, leaves of a kind that this version does not know, a certificate, the
// certificates of a request or a person, or that it is not shown who people are. A waiver turns no verdict into another:
// what it names stays unknown, and passes. Nothing waives what is unjustified.
type Waivers struct {
	names map[string]bool // each with whether it was of use
}

// ParseWaivers reads waivers: leaf:INDEX, kind:KIND, certificate:SERIAL,
// request:ID, person:ID, people.
func ParseWaivers(names []string) (Waivers, error) {
	w := Waivers{names: make(map[string]bool, len(names))}
	for _, name := range names {
		if err := checkWaiver(name); err != nil {
			return Waivers{}, err
		}
		w.names[name] = false
	}
	return w, nil
}

func checkWaiver(name string) error {
	if name == WaivePeople {
		return nil
	}
	what, value, _ := strings.Cut(name, ":")
	var err error
	switch what {
	case "leaf", "certificate":
		var n uint64
		if n, err = strconv.ParseUint(value, 10, 53); err == nil && (strconv.FormatUint(n, 10) != value || what == "certificate" && n == 0) {
			err = ErrConfig
		}
	case "kind":
		var kind ledger.Kind
		if kind, err = ledger.ParseKind(value); err == nil && kind.Known() {
			return fmt.Errorf("waiver %.80q: %w: this version knows that kind; name the leaf with leaf:INDEX", name, ErrConfig)
		}
	case "request", "person":
		_, err = canon.ParseID(value)
	default:
		err = ErrConfig
	}
	if err != nil {
		return fmt.Errorf("waiver %.80q: %w: it is leaf:INDEX, kind:KIND, certificate:SERIAL, request:ID, person:ID or people", name, ErrConfig)
	}
	return nil
}

// use reports whether there is a waiver of that name.
func (w Waivers) use(what, value string) bool { return w.take(what + ":" + value) }

func (w Waivers) take(name string) bool {
	if _, ok := w.names[name]; !ok {
		return false
	}
	w.names[name] = true
	return true
}

// leaf reports whether a leaf that is closed, or of an unknown kind, is waived.
func (w Waivers) leaf(index int64, kind ledger.Kind) bool {
	byKind := !kind.Known() && w.use("kind", string(kind))
	return w.use("leaf", strconv.FormatInt(index, 10)) || byKind
}

// people reports whether it is waived that a login's leaf does not show who it was.
func (w Waivers) people(index int64) bool {
	all := w.take(WaivePeople)
	return w.use("leaf", strconv.FormatInt(index, 10)) || all
}

// certificate reports whether a certificate with an unknown verdict is waived.
func (w Waivers) certificate(c Certificate) bool {
	waived := w.use("certificate", strconv.FormatUint(c.Serial, 10))
	waived = c.Request != "" && w.use("request", string(c.Request)) || waived
	return c.Person != "" && w.use("person", string(c.Person)) || waived
}

// idle returns the waivers that were of no use, sorted.
func (w Waivers) idle() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if !w.names[name] {
			out = append(out, name)
		}
	}
	return out
}
