package canon

import (
	"bytes"
	"encoding"
	"reflect"
	"strconv"
)

// decoder reads a text that was found to be canonical into a value by its shape. It
// gives up where encoding/json is to be asked.
type decoder struct {
	text []byte
	at   int
}

// decode reads into v, which is zero and can be set. After false it may be
// anything.
func (d *decoder) decode(v reflect.Value, s *shape) bool {
	switch s.read {
	case object:
		return d.object(v, s)
	case list:
		return d.list(v, s)
	case dict:
		return d.dict(v, s)
	case plainly:
		inner, ok := d.string()
		if ok {
			v.SetString(string(inner))
		}
		return ok
	case spelled:
		inner, ok := d.string()
		if !ok {
			return false
		}
		u, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
		return ok && u.UnmarshalText(inner) == nil
	case integer:
		n, ok := d.number()
		if !ok || v.OverflowInt(n) {
			return false
		}
		v.SetInt(n)
		return true
	case natural:
		n, ok := d.number()
		if !ok || v.OverflowUint(uint64(n)) { //nolint:gosec // it has no sign
			return false
		}
		v.SetUint(uint64(n)) //nolint:gosec // it has no sign
		return true
	case truth:
		if d.text[d.at] != 't' {
			return false
		}
		d.at += len("true")
		v.SetBool(true)
		return true
	case pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(v.Elem(), s.elem)
	case odd:
	}
	return false
}

// object reads members, which are in order as the fields are.
func (d *decoder) object(v reflect.Value, s *shape) bool {
	if d.text[d.at] != '{' {
		return false
	}
	fields := s.fields
	for d.text[d.at] != '}' {
		key := d.key()
		for len(fields) > 0 && fields[0].key != string(key) {
			fields = fields[1:]
		}
		if len(fields) == 0 || !d.decode(v.Field(fields[0].index), fields[0].shape) {
			return false
		}
		fields = fields[1:]
	}
	d.at++
	return true
}

// key steps over { or , and returns the key behind it, without the colon.
func (d *decoder) key() []byte {
	start := d.at + 2
	end := start + bytes.IndexByte(d.text[start:], '"')
	d.at = end + 2
	return d.text[start:end]
}

func (d *decoder) list(v reflect.Value, s *shape) bool {
	if d.text[d.at] != '[' {
		return false
	}
	n := 0
	for d.text[d.at] != ']' {
		d.at++ // [ or ,
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		if !d.decode(v.Index(n), s.elem) {
			return false
		}
		n++
	}
	d.at++
	return true
}

func (d *decoder) dict(v reflect.Value, s *shape) bool {
	if d.text[d.at] != '{' {
		return false
	}
	v.Set(reflect.MakeMap(v.Type()))
	for d.text[d.at] != '}' {
		key := reflect.ValueOf(string(d.key())).Convert(v.Type().Key())
		value := reflect.New(v.Type().Elem()).Elem()
		if !d.decode(value, s.elem) {
			return false
		}
		v.SetMapIndex(key, value)
	}
	d.at++
	return true
}

// string returns what a string stands for.
func (d *decoder) string() ([]byte, bool) {
	if d.text[d.at] != '"' {
		return nil, false
	}
	start := d.at + 1
	end, escaped := start, false
	for d.text[end] != '"' {
		if d.text[end] == '\\' {
			escaped = true
			end++
		}
		end++
	}
	d.at = end + 1
	if escaped {
		return unescape(d.text[start:end]), true
	}
	return d.text[start:end], true
}

func (d *decoder) number() (int64, bool) {
	start := d.at
	for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
		d.at++
	}
	n, err := strconv.ParseInt(string(d.text[start:d.at]), 10, 64)
	return n, err == nil
}
