package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// configField is a field of a struct of settings.
type configField struct {
	name  string // of the key
	index int
	tag   reflect.StructTag
}

func fieldsOf(t reflect.Type) []configField {
	var out []configField
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		out = append(out, configField{name, i, t.Field(i).Tag})
	}
	return out
}

// configKey is a key of config.yaml. Its tags say what a Go type does not:
//
//	need      any text: it must be there
//	default   what holds without it; for all keys that need not be there
//	form      what its text looks like, if it is of a form
//	range     the least and the greatest value, "1..65535" or "1s..1h"
//	example   a value
//	secret    what is secret about it, and how it is kept
//	keys      for mappings by name: what the names are
type configKey struct {
	path  string // from the top; "issuers.CONTRACT/ISSUER.web_secret_file" where a name of a mapping stands in between
	typ   reflect.Type
	tag   reflect.StructTag
	owner string // where the comment is: "config.URL"
	group bool   // it holds further keys
}

// configKeys lists all keys that hold a value, in the order of the structs.
func configKeys() []configKey {
	return slices.DeleteFunc(allConfigKeys(), func(k configKey) bool { return k.group })
}

// allConfigKeys lists the keys that hold others, too, before those.
func allConfigKeys() []configKey { return keysBelow("", reflect.TypeFor[config](), "config") }

func keysBelow(path string, t reflect.Type, owner string) []configKey {
	var out []configKey
	for _, f := range fieldsOf(t) {
		at, typ := strictyaml.Join(path, f.name), t.Field(f.index).Type
		comment := owner + "." + t.Field(f.index).Name
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() == reflect.Map && typ.Elem().Kind() == reflect.Struct {
			at, typ = at+"."+f.tag.Get("keys"), typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()) {
			out = append(out, configKey{at, typ, f.tag, comment, false})
			continue
		}
		out = append(out, configKey{at, typ, f.tag, comment, true})
		if typ.Name() != "" {
			comment = typ.Name()
		}
		out = append(out, keysBelow(at, typ, comment)...)
	}
	return out
}
