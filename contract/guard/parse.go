package guard

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// Parse reads a guard. The error is a *SyntaxError.
func Parse(src string) (*Expr, error) {
	if len(src) > MaxSource {
		return nil, &SyntaxError{Column: 1, Message: fmt.Sprintf("the guard is %d bytes long; at most %d", len(src), MaxSource)}
	}
	p := parser{lexer: lexer{src: []rune(strings.ToValidUTF8(src, "\ufffd"))}, fields: map[string]bool{}}
	p.next()
	root := p.or(0)
	if p.err == nil && p.tok.kind != tokenEnd {
		p.fail(p.tok, "unexpected %s; expected && or || or the end", p.tok)
	}
	if p.err != nil {
		return nil, p.err
	}
	var text strings.Builder
	root.write(&text, false)
	return &Expr{root: root, fields: slices.Sorted(maps.Keys(p.fields)), text: text.String()}, nil
}

// parser builds nodes from tokens, one token ahead. After the first error every
// method returns the zero node, at the end of the tokens.
type parser struct {
	lexer
	tok    token
	nodes  int
	fields map[string]bool
	err    *SyntaxError
}

func (p *parser) fail(t token, format string, args ...any) {
	if p.err == nil {
		p.err = &SyntaxError{Column: t.column, Message: fmt.Sprintf(format, args...)}
	}
	p.tok = token{kind: tokenEnd, column: t.column}
}

// next goes on to the next token.
func (p *parser) next() {
	if p.err != nil {
		return
	}
	tok, message := p.read()
	p.tok = tok
	if message != "" {
		p.fail(tok, "%s", message)
	}
}

// take goes on if the token is the word or sign.
func (p *parser) take(word string) bool {
	if p.tok.kind != tokenSign && p.tok.kind != tokenWord || p.tok.text != word {
		return false
	}
	p.next()
	return true
}

// count adds a node to those of the guard.
func (p *parser) count(t token) {
	if p.nodes++; p.nodes > MaxNodes {
		p.fail(t, "the guard has more than %d parts; write less, or more paths", MaxNodes)
	}
}

func (p *parser) or(depth int) node { return p.join(opOr, "||", depth, p.and) }

func (p *parser) and(depth int) node { return p.join(opAnd, "&&", depth, p.part) }

// join reads one or more operands with the sign between them. Operands of the
// same operator are made one: it does not matter how they are grouped.
func (p *parser) join(op operator, sign string, depth int, operand func(int) node) node {
	first := operand(depth)
	kids := []node{first}
	for p.tok.kind == tokenSign && p.tok.text == sign {
		p.count(p.tok)
		p.next()
		kids = append(kids, operand(depth))
	}
	if len(kids) == 1 {
		return first
	}
	flat := make([]node, 0, len(kids))
	for _, k := range kids {
		if k.op == op {
			flat = append(flat, k.kids...)
		} else {
			flat = append(flat, k)
		}
	}
	return node{op: op, kids: flat}
}

// part reads a factor or a test.
func (p *parser) part(depth int) node {
	start := p.tok
	var n node
	switch {
	case start.kind == tokenString:
		n = p.has()
	case start.kind == tokenNumber || start.kind == tokenWord && (start.text == "true" || start.text == "false"):
		p.fail(start, "%s stands alone; write the field first, such as grant_seconds <= 3600 or ticket", start)
	case start.kind == tokenWord:
		n = p.test()
	default:
		n = p.factor(depth)
	}
	if p.err == nil && (signs[p.tok.text] != 0 || p.tok.text == "in") && p.tok.kind != tokenString {
		p.fail(p.tok, "%s can't follow here: a comparison is one field and one constant; join two by && and put ! ( … ) around what is not to hold", p.tok)
	}
	return n
}

// factor reads what may stand behind !.
func (p *parser) factor(depth int) node {
	start := p.tok
	if depth++; depth > MaxDepth {
		p.fail(start, "more than %d parentheses and ! inside each other", MaxDepth)
		return node{}
	}
	switch {
	case p.take("!"):
		p.count(start)
		return node{op: opNot, kids: []node{p.factor(depth)}}
	case p.take("("):
		n := p.or(depth)
		if p.err == nil && !p.take(")") {
			p.fail(p.tok, "unexpected %s; expected ) for the ( in column %d", p.tok, start.column)
		}
		return n
	case start.kind == tokenWord:
		name, f := p.field()
		if p.err == nil && f.Type != Bool {
			p.fail(start, "%s is %s, and ! stands before a bool field or parentheses; write !(%s …)", name, f, name)
		}
		p.count(start)
		return node{op: opField, field: name}
	}
	p.fail(start, "unexpected %s; expected a field such as grant_seconds, a \"word\" in a set, ! or (", start)
	return node{}
}

// field reads the name of a field.
func (p *parser) field() (string, Field) {
	t := p.tok
	f, ok := Known[t.text]
	if t.kind != tokenWord || !ok {
		if t.kind != tokenWord {
			p.fail(t, "unexpected %s; expected a field; %s", t, strictyaml.Hint("", names()))
		} else {
			p.fail(t, "no field %q; %s", strictyaml.Clip(t.text), strictyaml.Hint(t.text, names()))
		}
		return "", Field{}
	}
	p.fields[t.text] = true
	p.next()
	return t.text, f
}

// has reads STRING in FIELD.
func (p *parser) has() node {
	constant := p.tok
	p.count(constant)
	p.next()
	if p.err == nil && !p.take("in") {
		p.fail(p.tok, "unexpected %s; after %s expected in and a set such as groups; in a comparison the field comes first", p.tok, constant)
	}
	t := p.tok
	if t.kind == tokenSign && t.text == "[" {
		p.fail(t, "%s and the list are both constants; write a field before in", constant)
	}
	name, f := p.field()
	if p.err == nil && f.Type != Set {
		p.fail(t, "%s is %s, not a set; write %s", name, f, example(name, f))
	}
	return node{op: opHas, field: name, consts: []Value{OfString(constant.text)}}
}

// test reads a comparison that begins with a field, or a bool field alone.
func (p *parser) test() node {
	start := p.tok
	name, f := p.field()
	p.count(start)
	sign := p.tok
	switch op := signs[sign.text]; {
	case p.err != nil:
		return node{}
	case f.Type == Set:
		p.fail(sign, "%s is a set; write %s", name, example(name, f))
	case p.take("in"):
		return p.oneOf(name, f, sign)
	case op != 0 && sign.kind == tokenSign:
		if f.Type != Int && op != opEqual && op != opUnequal {
			p.fail(sign, "%s is %s, which has no order; write %s", name, f, example(name, f))
			return node{}
		}
		p.next()
		v := p.constant(name, f)
		if f.Type != Bool {
			return node{op: op, field: name, consts: []Value{v}}
		}
		if n := (node{op: opField, field: name}); v.truth == (op == opEqual) {
			return n
		} else {
			return node{op: opNot, kids: []node{n}}
		}
	case f.Type == Bool:
		return node{op: opField, field: name}
	default:
		p.fail(sign, "unexpected %s after %s, which is %s; write %s", sign, name, f, example(name, f))
	}
	return node{}
}

// oneOf reads the list behind in.
func (p *parser) oneOf(name string, f Field, in token) node {
	n := node{op: opIn, field: name}
	if f.Type == Bool {
		p.fail(in, "%s is a bool; write %s", name, example(name, f))
	}
	if p.err == nil && !p.take("[") {
		p.fail(p.tok, "unexpected %s; expected a list of constants such as %s", p.tok, example(name, f))
	}
	for p.err == nil {
		t := p.tok
		v := p.constant(name, f)
		p.count(t)
		if p.err == nil && slices.ContainsFunc(n.consts, v.same) {
			p.fail(t, "%s is in the list twice", v)
		}
		n.consts = append(n.consts, v)
		if p.err != nil || p.take("]") {
			break
		}
		if !p.take(",") {
			p.fail(p.tok, "unexpected %s; expected , or ]", p.tok)
		}
	}
	return n
}

// constant reads a constant of the field's type.
func (p *parser) constant(name string, f Field) Value {
	t := p.tok
	var v Value
	switch {
	case t.kind == tokenNumber:
		v = OfInt(t.number)
	case t.kind == tokenString:
		v = OfString(t.text)
	case t.kind == tokenWord && (t.text == "true" || t.text == "false"):
		v = OfBool(t.text == "true")
	case t.kind == tokenWord:
		p.fail(t, "%q is no constant: a field is compared with a constant only, and texts stand in double quotes", strictyaml.Clip(t.text))
	default:
		p.fail(t, "unexpected %s; expected a constant such as in %s", t, example(name, f))
	}
	if p.err == nil && v.kind != f.Type {
		p.fail(t, "%s is %s, and %s is not; write %s", name, f, t, example(name, f))
	}
	p.next()
	return v
}

// example returns a test of the field that passes.
func example(name string, f Field) string {
	switch f.Type {
	case Int:
		return fmt.Sprintf("%s <= %d", name, min(f.Most, 3600))
	case Bool:
		return name + " or !" + name
	case String:
		return name + ` == "word"`
	case Set:
		return `"word" in ` + name
	}
	return name
}
