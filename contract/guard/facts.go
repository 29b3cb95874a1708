package guard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Type is what a field holds.
type Type string

// The types of fields.
const (
	Int    Type = "int"    // a whole number
	Bool   Type = "bool"   // true or false
	String Type = "string" // a text
	Set    Type = "set"    // texts, each once, without order
)

// maxInt is the greatest whole number that a guard can write, the greatest that
// every JSON reader keeps.
const maxInt = 1<<53 - 1

// Field is something that guards can speak about.
type Field struct {
	Type        Type
	Least, Most int64  // of an Int: its range, both included
	Meaning     string // for people, without a full stop
}

// Known are the fields, by name. Fields are only ever added.
var Known = map[string]Field{
	"grant_seconds":   {Type: Int, Least: 10, Most: 366 * 24 * 60 * 60, Meaning: "how long the grant is asked for, in seconds"},
	"hosts":           {Type: Int, Least: 1, Most: 64, Meaning: "how many hosts are asked for"},
	"reason_words":    {Type: Int, Least: 1, Most: maxInt, Meaning: "how many words the reason has"},
	"ticket":          {Type: Bool, Meaning: "whether a ticket is named"},
	"first_time_host": {Type: Bool, Meaning: "whether one of the hosts was never granted to the person"},
	"groups":          {Type: Set, Meaning: "ids of the contract's groups that the person is in"},
	"calendars":       {Type: Set, Meaning: "ids of the contract's calendars that the moment of the request is in"},
	"logins":          {Type: Set, Meaning: "the logins asked for"},
	"flow":            {Type: String, Meaning: "the way the person logged in, such as code"},
	"issuer":          {Type: String, Meaning: "id of the contract's issuer that vouches for the person"},
}

// names returns the names of the fields, sorted.
func names() []string {
	out := make([]string, 0, len(Known))
	for name := range Known {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// holds tells whether v is a value that the field can have.
func (f Field) holds(v Value) bool {
	return v.kind == f.Type && (f.Type != Int || f.Least <= v.number && v.number <= f.Most)
}

// String says what the field can hold, such as "an int from 1 to 64".
func (f Field) String() string {
	if f.Type == Int {
		return fmt.Sprintf("an int from %d to %d", f.Least, f.Most)
	}
	return "a " + string(f.Type)
}

// Facts are what is known of a request, by names of fields. A field that is not
// in it is missing: not known, which is neither false nor empty.
type Facts map[string]Value

// Value is a fact or a constant. The zero Value is of no type, and no fact.
// Values are not changed once they are made.
type Value struct {
	kind    Type
	number  int64
	text    string
	truth   bool
	members []string // sorted, each once; nil if there are none
}

// OfInt returns n as a value.
func OfInt(n int64) Value { return Value{kind: Int, number: n} }

// OfBool returns b as a value.
func OfBool(b bool) Value { return Value{kind: Bool, truth: b} }

// OfString returns s as a value.
func OfString(s string) Value { return Value{kind: String, text: s} }

// OfSet returns the set of the members, in any order.
func OfSet(members ...string) Value {
	v := Value{kind: Set}
	if len(members) > 0 {
		v.members = slices.Clone(members)
		slices.Sort(v.members)
		v.members = slices.Compact(v.members)
	}
	return v
}

// Type returns the type of the value; it is empty for the zero Value.
func (v Value) Type() Type { return v.kind }

// Int returns the number of an Int, else 0.
func (v Value) Int() int64 { return v.number }

// Bool returns the truth of a Bool, else false.
func (v Value) Bool() bool { return v.truth }

// Text returns the text of a String, else "".
func (v Value) Text() string { return v.text }

// Members returns the members of a Set, sorted, else none.
func (v Value) Members() []string { return slices.Clone(v.members) }

// Equal tells whether both are of one type and hold the same.
func (v Value) Equal(o Value) bool { return v.same(o) && slices.Equal(v.members, o.members) }

// same is Equal for what is no set.
func (v Value) same(o Value) bool {
	return v.kind == o.kind && v.number == o.number && v.text == o.text && v.truth == o.truth
}

// String writes the value as a guard would: 3600, true, "code", ["dba", "sre"].
// It is "missing" for the zero Value.
func (v Value) String() string {
	switch v.kind {
	case Int:
		return strconv.FormatInt(v.number, 10)
	case Bool:
		return strconv.FormatBool(v.truth)
	case String:
		return quote(v.text)
	case Set:
		texts := make([]Value, len(v.members))
		for i, m := range v.members {
			texts[i] = OfString(m)
		}
		return list(texts)
	}
	return "missing"
}

// quote writes a text as a constant. What no constant can hold, such as a line
// end of a fact, is written as Go does, so that it upsets no terminal.
func quote(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !printable(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// printable tells whether a text in quotes may hold the character. What Unicode
// holds for printable changes over the years; this does not.
func printable(r rune) bool { return ' ' <= r && r <= '~' }

func list(values []Value) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.String()
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// Strings returns the facts as a guard would write their values, for people.
func (f Facts) Strings() map[string]string {
	out := make(map[string]string, len(f))
	for name, v := range f {
		out[name] = v.String()
	}
	return out
}
