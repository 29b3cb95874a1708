package apitest

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Schema is a JSON Schema (draft 2020-12), as far as our types need it.
type Schema struct {
	Ref         string             `json:"$ref,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Const       any                `json:"const,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MaxLength   int                `json:"maxLength,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	Default     any                `json:"default,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // *Schema or false
	Examples    []string           `json:"examples,omitempty"`
}

const componentPrefix = "#/components/schemas/"

// maxInteger is the largest number of our formats.
const maxInteger = 1<<53 - 1

// forms are the texts and numbers with a type of their own.
var forms = map[reflect.Type]struct {
	name   string
	schema Schema
}{
	reflect.TypeFor[canon.Digest]():  {"Digest", Schema{Type: "string", Pattern: `^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$`, Examples: []string{"rjZUWzzSErUMeP6mzGsAPoSvDnViBBBsv7SHf0ue500"}}},
	reflect.TypeFor[canon.ID]():      {"ID", Schema{Type: "string", Pattern: `^[a-z2-7]{25}[aeimquy4]$`, Examples: []string{"mzxw6ytboi2dqmrvgm4tanrwge"}}},
	reflect.TypeFor[canon.Micros]():  {"Micros", Schema{Type: "integer", Format: "int64", Minimum: bound(0), Maximum: bound(maxInteger)}},
	reflect.TypeFor[sshcert.Login](): {"Login", Schema{Type: "string", Pattern: `^[a-z_][a-z0-9_-]{0,31}$`, Examples: []string{"ops"}}},
	reflect.TypeFor[sshcert.Host](): {"HostName", Schema{
		Type: "string", MaxLength: 95, Examples: []string{"web-1.example"},
		Pattern: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`,
	}},
}

func bound(n int64) *int64 { return &n }

// schemas makes the schemas of Go types and collects those that have a name.
type schemas struct {
	comments   Comments
	components map[string]*Schema
	named      map[string]reflect.Type
	closed     map[reflect.Type]bool // objects that allow no further member
	responses  map[string]*response  // to refused requests, shared by operations
	flaws      []string              // what a person has to mend in the source
}

func (b *schemas) flaw(format string, args ...any) {
	b.flaws = append(b.flaws, fmt.Sprintf(format, args...))
}

// of returns the schema of a type. A struct that is closed allows no member
// beside its own.
func (b *schemas) of(t reflect.Type, closed bool) *Schema {
	if form, ok := forms[t]; ok {
		b.component(form.name, t, func() *Schema { s := form.schema; return &s })
		return &Schema{Ref: componentPrefix + form.name}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.of(t.Elem(), closed)
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return &Schema{Type: "integer", Format: "int64"}
	case reflect.Slice:
		return &Schema{Type: "array", Items: b.of(t.Elem(), closed)}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return &Schema{Type: "object"}
		}
		return &Schema{Type: "object", Additional: b.of(t.Elem(), closed)}
	case reflect.Struct:
		if was, seen := b.closed[t]; seen && was != closed {
			b.flaw("%s stands in a body, which is closed, and in an answer, which is not: make two types", t)
		}
		b.closed[t] = closed
		b.component(t.Name(), t, func() *Schema { return b.object(t, closed) })
		return &Schema{Ref: componentPrefix + t.Name()}
	default:
		b.flaw("%s: there is no schema for a %s", t, t.Kind())
		return &Schema{}
	}
}

func (b *schemas) component(name string, t reflect.Type, build func() *Schema) {
	if other, done := b.named[name]; done {
		if other != t {
			b.flaw("%s and %s would both be the schema %s", other, t, name)
		}
		return
	}
	b.named[name] = t // before it is built: a type may hold itself
	s := build()
	if s.Description = b.comments[t.String()]; s.Description == "" {
		b.flaw("%s has no comment", t)
	}
	b.components[name] = s
}

// object lists the members of a struct; those of an embedded one are its own.
func (b *schemas) object(t reflect.Type, closed bool) *Schema {
	s := &Schema{Type: "object", Properties: map[string]*Schema{}}
	if closed {
		s.Additional = false
	}
	for _, m := range b.members(t) {
		s.Properties[m.name] = b.property(m, closed)
		if !m.optional {
			s.Required = append(s.Required, m.name)
		}
	}
	return s
}

// member is a member of a JSON object, or a parameter.
type member struct {
	name     string
	optional bool
	owner    reflect.Type
	field    reflect.StructField
}

func (b *schemas) members(t reflect.Type) []member {
	var out []member
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct && name == "":
			out = append(out, b.members(f.Type)...)
		case name == "" || name == "-":
			b.flaw("%s.%s has no JSON name", t, f.Name)
		default:
			out = append(out, member{name, slices.Contains(strings.Split(options, ","), "omitempty"), t, f})
		}
	}
	return out
}

func (b *schemas) property(m member, closed bool) *Schema {
	s := b.of(m.field.Type, closed)
	if s.Description = b.comments[m.owner.String()+"."+m.field.Name]; s.Description == "" {
		b.flaw("%s.%s has no comment", m.owner, m.field.Name)
	}
	if list := m.field.Tag.Get("enum"); list != "" {
		s.Enum = strings.Split(list, ",")
	}
	if text := m.field.Tag.Get("range"); text != "" {
		b.limit(s, m, text)
	}
	if text := m.field.Tag.Get("default"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if s.Default = n; err != nil {
			b.flaw("%s.%s: default:%q is no number", m.owner, m.field.Name, text)
		}
	}
	return s
}

var rangeTag = regexp.MustCompile(`^([0-9]+)\.\.(?:\.|([0-9]+))$`)

func (b *schemas) limit(s *Schema, m member, text string) {
	parts := rangeTag.FindStringSubmatch(text)
	if parts == nil || s.Type != "integer" {
		b.flaw("%s.%s: range:%q is no 1..200 or 1... of a number", m.owner, m.field.Name, text)
		return
	}
	for i, into := range []**int64{&s.Minimum, &s.Maximum} {
		if n, err := strconv.ParseInt(parts[i+1], 10, 64); err == nil {
			*into = bound(n)
		}
	}
}
