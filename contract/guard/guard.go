// Package guard owns the condition language of access contracts: the text under
// `when` of a decision path.
//
// It is a strict subset of CEL (the Common Expression Language), so that people
// who know CEL can read it, with an evaluator of its own, so that a contract of
// 2026 replays equally in 2036 whatever becomes of CEL. This is version 1, the
// language of terms sallyport/v1; nothing that it accepts ever changes its
// meaning.
//
//	or     = and { "||" and }
//	and    = part { "&&" part }
//	part   = factor | test
//	factor = "!" factor | "(" or ")" | FIELD       (a FIELD of type bool)
//	test   = FIELD op CONSTANT                     (a set has none, < <= > >= are for int)
//	       | FIELD "in" "[" CONSTANT { "," CONSTANT } "]"   (a FIELD of type int or string)
//	       | STRING "in" FIELD                     (a FIELD of type set)
//	op     = "==" | "!=" | "<" | "<=" | ">" | ">="
//
// A CONSTANT is a whole number from 0 to 2^53-1 without leading zeros, true,
// false, or a STRING: printable ASCII characters in double quotes, where \" and \\
// stand for a quote and a backslash. Space, tab and line ends separate words. FIELD is
// one of Known. There are no calls, arithmetic, comments, comparisons of two
// fields, chains of comparisons, or constants alone.
//
// A guard speaks about facts. Where CEL lets `true || missing` be true, a guard
// that names a missing fact anywhere has no outcome but ErrMissing, even if the
// rest would decide: whoever can hold a fact back must not choose a path by it.
//
// The package is pure, and its functions are total: they end, and don't panic, on
// every input.
package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a guard. What is larger is refused.
const (
	MaxSource = 4096 // bytes of its text
	MaxDepth  = 32   // parentheses and ! inside each other
	MaxNodes  = 256  // tests, constants in lists, operators
	MaxCells  = 1 << 17
)

// Reasons why there is no answer.
var (
	ErrSyntax  = errors.New("not a guard") // wrapped by *SyntaxError
	ErrMissing = errors.New("a fact that the guard names is missing")
	ErrFact    = errors.New("a fact is not of the field's type or range")
	ErrCells   = errors.New("the guards tell too many cases apart")
)

// SyntaxError says where a guard is wrong and what would pass. It wraps ErrSyntax.
type SyntaxError struct {
	Column  int // in characters, from 1; one after the last if the text ends too early
	Message string
}

// Error returns "column N: MESSAGE".
func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// Unwrap returns ErrSyntax.
func (e *SyntaxError) Unwrap() error { return ErrSyntax }

// Expr is a guard that was parsed. It never changes. A nil *Expr is the guard
// that is not there: it names no fact and always holds.
type Expr struct {
	root   node
	fields []string // sorted
	text   string   // canonical
}

// Fields returns the names of the facts that the guard speaks about, sorted.
func (e *Expr) Fields() []string {
	if e == nil {
		return nil
	}
	return slices.Clone(e.fields)
}

// String returns the canonical text: one space around operators, no parentheses
// that are not needed, a bool field alone instead of a comparison with true or
// false. Parse reads it back to an equal guard. It is empty for nil.
func (e *Expr) String() string {
	if e == nil {
		return ""
	}
	return e.text
}

// Eval tells whether the guard holds. The error wraps ErrMissing if a fact that
// the guard names anywhere is not there, ErrFact if one is of another type than
// its field or out of its range; then the answer is false.
func (e *Expr) Eval(facts Facts) (bool, error) {
	if e == nil {
		return true, nil
	}
	var missing []string
	for _, name := range e.fields {
		v, ok := facts[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		if f := Known[name]; !f.holds(v) {
			return false, fmt.Errorf("%w: %s is %s, and should be %s", ErrFact, name, v, f)
		}
	}
	if missing != nil {
		return false, fmt.Errorf("%w: %s", ErrMissing, strings.Join(missing, ", "))
	}
	return e.root.eval(facts), nil
}

// operator says what a node does with its kids, or with its field and constants.
type operator int

const (
	opNone operator = iota
	opOr
	opAnd
	opNot
	opField // a bool field alone
	opEqual
	opUnequal
	opLess
	opAtMost
	opMore
	opAtLeast
	opIn  // the field is one of the constants
	opHas // the constant is in the field, a set
)

// signs are the operators between a field and a constant.
var signs = map[string]operator{"==": opEqual, "!=": opUnequal, "<": opLess, "<=": opAtMost, ">": opMore, ">=": opAtLeast}

// node is a part of a guard: an operator over kids, or a test of a field.
type node struct {
	op     operator
	kids   []node // of opOr and opAnd (two or more, none of them the same operator) and opNot (one)
	field  string
	consts []Value // one, or more for opIn
}

// eval presumes that every fact is there and of its field's type.
func (n node) eval(facts Facts) bool {
	switch n.op {
	case opOr:
		return slices.ContainsFunc(n.kids, func(k node) bool { return k.eval(facts) })
	case opAnd:
		return !slices.ContainsFunc(n.kids, func(k node) bool { return !k.eval(facts) })
	case opNot:
		return !n.kids[0].eval(facts)
	case opNone, opField, opEqual, opUnequal, opLess, opAtMost, opMore, opAtLeast, opIn, opHas: // below
	}
	v := facts[n.field]
	switch n.op {
	case opField:
		return v.truth
	case opEqual:
		return v.same(n.consts[0])
	case opUnequal:
		return !v.same(n.consts[0])
	case opLess:
		return v.number < n.consts[0].number
	case opAtMost:
		return v.number <= n.consts[0].number
	case opMore:
		return v.number > n.consts[0].number
	case opAtLeast:
		return v.number >= n.consts[0].number
	case opIn:
		return slices.ContainsFunc(n.consts, v.same)
	case opHas:
		return slices.Contains(v.members, n.consts[0].text)
	case opNone, opOr, opAnd, opNot: // above
	}
	return false
}

// write appends the canonical text. tight says that the node stands where only a
// factor may.
func (n node) write(b *strings.Builder, tight bool) {
	group := func(sign string, open bool) {
		if open {
			b.WriteByte('(')
		}
		for i, k := range n.kids {
			if i > 0 {
				b.WriteString(sign)
			}
			k.write(b, n.op == opAnd && k.op == opOr)
		}
		if open {
			b.WriteByte(')')
		}
	}
	switch n.op {
	case opOr:
		group(" || ", tight)
		return
	case opAnd:
		group(" && ", tight)
		return
	case opNot:
		b.WriteByte('!')
		n.kids[0].write(b, true)
		return
	case opField:
		b.WriteString(n.field)
		return
	case opNone, opEqual, opUnequal, opLess, opAtMost, opMore, opAtLeast, opIn, opHas:
	}
	if tight {
		b.WriteByte('(')
	}
	switch n.op {
	case opHas:
		b.WriteString(n.consts[0].String() + " in " + n.field)
	case opIn:
		b.WriteString(n.field + " in " + list(n.consts))
	case opEqual, opUnequal, opLess, opAtMost, opMore, opAtLeast, opNone, opOr, opAnd, opNot, opField:
		for sign, op := range signs {
			if op == n.op {
				b.WriteString(n.field + " " + sign + " " + n.consts[0].String())
			}
		}
	}
	if tight {
		b.WriteByte(')')
	}
}
