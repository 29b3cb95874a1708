package canon

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// The types that the ledger is made of are few and plain. Each has a shape, found
// out once, by which its values are written and read directly, several times as
// fast as encoding/json does it. What is odd about a type or a value, and every
// refusal, is left to encoding/json: a shape decides nothing by itself.

// shape is how a type's values are written and read.
type shape struct {
	write, read form
	fields      []field // of a struct, in the order of their keys
	elem        *shape  // of a slice, map or pointer
}

// form is one way to write a value.
type form int

const (
	odd     form = iota // encoding/json knows
	object              // a struct
	list                // a slice
	dict                // a map by strings
	plainly             // a string
	spelled             // by MarshalText or UnmarshalText
	integer             // a signed number
	natural             // an unsigned number
	truth               // a bool
	pointer
)

// field is a member of an object.
type field struct {
	key       string
	start     string // the key as it is written, with quotes and colon
	index     int
	omitEmpty bool
	omitZero  bool
	shape     *shape
}

var (
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	zeroTeller      = reflect.TypeFor[interface{ IsZero() bool }]()
)

// shapes has the shape of each type that was asked for.
var shapes sync.Map // of reflect.Type to *shape

// shapeOf returns the shape of a type.
func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape) //nolint:forcetypeassert // nothing else is stored
	}
	s := find(t, nil)
	shapes.Store(t, s)
	return s
}

// find makes the shape of a type that stands within others: one that contains
// itself is odd.
func find(t reflect.Type, within []reflect.Type) *shape {
	s := &shape{}
	if slices.Contains(within, t) {
		return s
	}
	within = append(slices.Clip(within), t)
	by := reflect.PointerTo(t)
	if by.Implements(jsonMarshaler) || by.Implements(jsonUnmarshaler) {
		return s
	}
	s.write = structure(t)
	s.read = s.write
	switch {
	case t.Implements(textMarshaler):
		s.write = spelled
	case by.Implements(textMarshaler): // only a value that has an address
		s.write = odd
	}
	if t.Kind() != reflect.Pointer && by.Implements(textUnmarshaler) {
		s.read = spelled
	}
	if t.Kind() == reflect.Pointer && t.Implements(textMarshaler) {
		s.write = pointer // what it points to is written in the same way
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		s.elem = find(t.Elem(), within)
	case reflect.Map:
		if s.elem = find(t.Elem(), within); t.Key().Implements(textMarshaler) || reflect.PointerTo(t.Key()).Implements(textUnmarshaler) {
			s.write, s.read = odd, odd
		}
	case reflect.Struct:
		if s.write == object || s.read == object {
			if !s.addFields(t, within) {
				return &shape{}
			}
		}
	}
	return s
}

// structure is the form of a type that has no methods of its own for it.
func structure(t reflect.Type) form {
	switch t.Kind() {
	case reflect.Struct:
		return object
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 { // bytes are written in base64
			return list
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return dict
		}
	case reflect.String:
		if t != reflect.TypeFor[json.Number]() {
			return plainly
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return integer
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return natural
	case reflect.Bool:
		return truth
	case reflect.Pointer:
		return pointer
	}
	return odd
}

// addFields adds the fields of a struct; false says that it has some which are
// odd by themselves.
func (s *shape) addFields(t reflect.Type, within []reflect.Type) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous:
			return false
		case !f.IsExported() || tag == "-":
			continue
		case !validKey(name): // or none, which the field's own name is then
			return false
		}
		out := field{key: name, start: `"` + name + `":`, index: i, shape: find(f.Type, within)}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "":
			case "omitempty":
				out.omitEmpty = true
			case "omitzero":
				out.omitZero = true
				if f.Type.Implements(zeroTeller) != reflect.PointerTo(f.Type).Implements(zeroTeller) {
					return false // asked only if the value has an address
				}
			default:
				return false
			}
		}
		if out.omitEmpty && f.Type.Kind() == reflect.Interface {
			return false
		}
		s.fields = append(s.fields, out)
	}
	slices.SortFunc(s.fields, func(a, b field) int { return strings.Compare(a.key, b.key) })
	for i := 1; i < len(s.fields); i++ {
		if s.fields[i-1].key == s.fields[i].key {
			return false
		}
	}
	return true
}

// left reports whether a field is left out.
func (f *field) left(v reflect.Value) bool {
	if f.omitEmpty {
		switch v.Kind() {
		case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
			return v.Len() == 0
		case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Pointer,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			return v.IsZero()
		}
	}
	if !f.omitZero {
		return false
	}
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok && v.Kind() != reflect.Pointer {
		return z.IsZero()
	}
	return v.IsZero()
}
