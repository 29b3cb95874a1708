package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

// text reads one line of text, quoted or such that every YAML reader takes it for
// text.
func (d *configReader) text(n *yaml.Node, path string) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fail(n, path, "expected text, found %s", strictyaml.Describe(n))
	case n.Tag != "!!str", strictyaml.Ambiguous(n):
		d.fail(n, path, "expected text, found %s; put it in quotes if it is meant as text", strictyaml.Describe(n))
	case n.Value == "":
		d.fail(n, path, "empty; write a value or leave the key out")
	case strings.ContainsFunc(n.Value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		d.fail(n, path, "more than one line, or a control character; write one line of text")
	}
	return n.Value
}

func (d *configReader) truth(n *yaml.Node, path string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
		d.fail(n, path, "expected true or false, found %s", strictyaml.Describe(n))
	}
	return n.Value == "true"
}

var plainInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

func (d *configReader) integer(n *yaml.Node, path, bounds string) int64 {
	low, high, limits := splitRange(bounds)
	least, most := int64(0), int64(1<<31-1)
	if limits {
		least, most = mustInt(low), mustInt(high)
	}
	value, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.Style != 0 || !plainInteger.MatchString(n.Value) || err != nil || value < least || value > most {
		d.fail(n, path, "expected a whole number from %d to %d in plain digits, found %s", least, most, strictyaml.Describe(n))
	}
	return value
}

func (d *configReader) duration(n *yaml.Node, path, bounds string) time.Duration {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		d.fail(n, path, "expected a duration such as 20s, 5m, 8h or 30d, found %s", strictyaml.Describe(n))
		return 0
	}
	value, err := contract.ParseDuration(n.Value)
	if err != nil {
		d.fail(n, path, "%v", err)
		return 0
	}
	low, high, limits := splitRange(bounds)
	if limits && (value < mustDuration(low) || value > mustDuration(high)) {
		d.fail(n, path, "%s is not from %s to %s", n.Value, low, high)
	}
	return value
}

// splitRange reads a range tag, "1..65535".
func splitRange(bounds string) (low, high string, ok bool) {
	return strings.Cut(bounds, "..")
}

// mustInt and mustDuration read halves of a range tag, which a test has read
// before.
func mustInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("sallyd: a range tag says " + s)
	}
	return n
}

func mustDuration(s string) time.Duration {
	d, err := contract.ParseDuration(s)
	if err != nil {
		panic("sallyd: a range tag says " + s)
	}
	return d
}
