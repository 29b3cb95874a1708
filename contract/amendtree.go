package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

// parseTree reads canonical JSON into maps, slices, strings, json.Number and true.
func parseTree(text []byte) (any, error) {
	if err := canon.Check(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAmendment, err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAmendment, err)
	}
	return tree, nil
}

// same reports whether two trees are one canonical JSON.
func same(a, b any) bool { return reflect.DeepEqual(a, b) }

// shown writes a tree for people, clipped.
func shown(tree any) string {
	if tree == nil {
		return "nothing"
	}
	text, err := canon.Marshal(tree)
	if err != nil {
		return "what has no canonical form"
	}
	return strictyaml.Clip(string(text))
}

// edit returns the tree with what stands at p, nil for nothing, put through change.
// What is empty then is absent, as canonical JSON has it. The tree that was given
// stays as it is.
func edit(tree any, p path, change func(now any) (any, error)) (any, error) {
	if len(p) == 0 {
		return change(tree)
	}
	if p[0].member {
		return editMember(tree, p, change)
	}
	object, ok := tree.(map[string]any)
	if tree != nil && !ok {
		return nil, fmt.Errorf("%s is a key, and there is no object", p[0].name)
	}
	value, err := edit(object[p[0].name], p[1:], change)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(object)
	if out == nil {
		out = make(map[string]any)
	}
	if out[p[0].name] = value; value == nil {
		delete(out, p[0].name)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// editMember is edit for a member of a list. A new one comes before the first whose
// name is greater: so two that come in either order stand in the same one.
func editMember(tree any, p path, change func(now any) (any, error)) (any, error) {
	list, ok := tree.([]any)
	if tree != nil && !ok {
		return nil, fmt.Errorf("[%s] is a member, and there is no list", strictyaml.Clip(p[0].name))
	}
	at, before := -1, len(list)
	for i, member := range list {
		name, ok := memberName(member)
		switch {
		case !ok:
			return nil, errors.New("the list has members without a name, so it is changed as a whole")
		case name == p[0].name:
			at = i
		case name > p[0].name && before == len(list):
			before = i
		}
	}
	var now any
	if at >= 0 {
		now = list[at]
	}
	value, err := edit(now, p[1:], change)
	if err != nil {
		return nil, err
	}
	if name, ok := memberName(value); value != nil && (!ok || name != p[0].name) {
		return nil, fmt.Errorf("the value is not the member %s", strictyaml.Clip(p[0].name))
	}
	out := slices.Clone(list)
	switch {
	case at >= 0 && value != nil:
		out[at] = value
	case at >= 0:
		out = slices.Delete(out, at, at+1)
	case value != nil:
		out = slices.Insert(out, before, value)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// memberName returns what names a member of a list for good.
func memberName(member any) (string, bool) {
	switch m := member.(type) {
	case string:
		return m, true
	case map[string]any:
		if id, ok := m["id"].(string); ok {
			return id, true
		}
		party, isParty := m["party"].(string)
		capacity, isCapacity := m["capacity"].(string)
		return party + "/" + capacity, isParty && isCapacity
	}
	return "", false
}

// order returns the list with its members in another order. Both orders are lists
// of names.
func order(now, was, value any) (any, error) {
	list, _ := now.([]any)
	names, ok := memberNames(list)
	if !ok || !same(names, was) {
		return nil, fmt.Errorf("the members are %s, not %s", shown(names), shown(was))
	}
	to, _ := value.([]any)
	out := make([]any, 0, len(list))
	left := slices.Clone(names)
	for _, name := range to {
		if i := slices.Index(left, name); i >= 0 {
			left[i] = nil // each once
			out = append(out, list[i])
		}
	}
	if len(out) != len(list) || len(to) != len(list) {
		return nil, fmt.Errorf("%s is no order of the same members", shown(value))
	}
	return out, nil
}

// memberNames returns the names of a list's members; false if one has none, or two
// have the same.
func memberNames(list []any) ([]any, bool) {
	names := make([]any, 0, len(list))
	for _, member := range list {
		name, ok := memberName(member)
		if !ok || slices.Contains(names, any(name)) {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// differ collects what makes one tree of another.
type differ struct {
	ops []Op
	err error
}

func (d *differ) emit(kind OpKind, at path, was, value any) {
	op := Op{Op: kind, Path: at.String()}
	for _, side := range []struct {
		from any
		to   *json.RawMessage
	}{{was, &op.Was}, {value, &op.Value}} {
		if side.from == nil {
			continue
		}
		text, err := canon.Marshal(side.from)
		if err != nil {
			d.err = fmt.Errorf("%w: %w", ErrAmendment, err)
			return
		}
		*side.to = text
	}
	d.ops = append(d.ops, op)
}

// value tells two values apart that stand at one path. nil is nothing; an object or
// a list that is not there is as good as an empty one.
func (d *differ) value(at path, old, new any) {
	if same(old, new) {
		return
	}
	oldObject, isObject := old.(map[string]any)
	newObject, becomesObject := new.(map[string]any)
	if (isObject || old == nil) && (becomesObject || new == nil) {
		d.object(at, oldObject, newObject)
		return
	}
	oldList, isList := old.([]any)
	newList, becomesList := new.([]any)
	if (isList || old == nil) && (becomesList || new == nil) && byMember(oldList, newList) {
		d.list(at, oldList, newList)
		return
	}
	switch {
	case old == nil:
		d.emit(OpAdd, at, nil, new)
	case new == nil:
		d.emit(OpRemove, at, old, nil)
	default:
		d.emit(OpReplace, at, old, new)
	}
}

func (d *differ) object(at path, old, new map[string]any) {
	keys := slices.Sorted(maps.Keys(old))
	for key := range new {
		if _, ok := old[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		d.value(at.with(key, false), old[key], new[key])
	}
}

// byMember reports whether a change of a list can be told member by member: each
// has a name, and strings have no order but their own.
func byMember(old, new []any) bool {
	strings := 0
	for _, list := range [][]any{old, new} {
		names, ok := memberNames(list)
		if !ok {
			return false
		}
		for i, member := range list {
			if _, ok := member.(string); !ok {
				continue
			}
			if strings++; i > 0 && names[i-1].(string) >= names[i].(string) { //nolint:forcetypeassert // memberNames makes strings
				return false
			}
		}
	}
	return strings == 0 || strings == len(old)+len(new)
}

func (d *differ) list(at path, old, new []any) {
	oldNames, _ := memberNames(old) // byMember has asked
	newNames, _ := memberNames(new)
	result := any(old)
	for i, name := range oldNames {
		name, _ := name.(string)
		if !slices.Contains(newNames, any(name)) {
			d.emit(OpRemove, at.with(name, true), old[i], nil)
			result = placed(result, name, nil)
		}
	}
	for i, name := range newNames {
		name, _ := name.(string)
		was := slices.Index(oldNames, any(name))
		if was < 0 {
			d.emit(OpAdd, at.with(name, true), nil, new[i])
		} else {
			d.value(at.with(name, true), old[was], new[i])
		}
		result = placed(result, name, new[i])
	}
	list, _ := result.([]any)
	if names, _ := memberNames(list); !same(names, newNames) {
		d.emit(OpOrder, at, names, newNames)
	}
}

// placed is what a list becomes when a member with a name is set, or taken away.
func placed(list any, name string, value any) any {
	if l, ok := list.([]any); ok && len(l) == 0 {
		list = nil
	}
	out, err := editMember(list, path{{name, true}}, func(any) (any, error) { return value, nil })
	if err != nil { // every member of such a list has a name
		return nil
	}
	return out
}
