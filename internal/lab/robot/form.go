package robot

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/net/html"
)

// Form is a form of a page with its controls as the page set them.
type Form struct {
	ID, Name string
	Action   *url.URL // nil if it is no address
	Method   string   // GET or POST
	Enctype  string   // lower case
	Fields   []Field
	Buttons  []Button

	noValidate bool
}

// Field is one control that carries a value. Radio buttons and checkboxes are
// one Field each.
type Field struct {
	Name, Type string // Type is that of an input element, or select or textarea
	Value      string
	Checked    bool     // of a radio button or checkbox
	Options    []string // values of a select
	Required   bool
	MaxLength  int // in UTF-16 units, 0 for none
	Disabled   bool
}

// Button submits its form.
type Button struct {
	Name, Value string
	Text        string   // what a person reads on it
	Action      *url.URL // formaction, nil for the form's own
	Method      string   // formmethod, empty for the form's own
	NoValidate  bool
}

func newForm(n *html.Node, base *url.URL) *Form {
	f := &Form{ID: attr(n, "id"), Name: attr(n, "name"), Method: method(attr(n, "method")), noValidate: has(n, "novalidate")}
	f.Enctype = strings.ToLower(attr(n, "enctype"))
	f.Action, _ = base.Parse(attr(n, "action")) // nil if it does not parse
	return f
}

func method(s string) string {
	if strings.EqualFold(s, http.MethodPost) {
		return http.MethodPost
	}
	return http.MethodGet
}

// add takes in one control.
func (f *Form) add(n *html.Node, base *url.URL) {
	field := Field{
		Name: attr(n, "name"), Type: inputType(n), Value: attr(n, "value"),
		Required: has(n, "required"), Disabled: disabled(n), Checked: has(n, "checked"),
	}
	if l, err := strconv.Atoi(attr(n, "maxlength")); err == nil && l > 0 {
		field.MaxLength = l
	}
	switch n.Data {
	case "textarea":
		field.Type, field.Value = "textarea", textOf(n)
	case "select":
		field.Type = "select"
		field.Value, field.Options = options(n)
	case "button":
		if t := strings.ToLower(attr(n, "type")); t == "reset" || t == "button" {
			return
		}
		f.addButton(n, base, visible(n))
		return
	default:
		switch field.Type {
		case "reset", "button":
			return
		case "submit", "image":
			f.addButton(n, base, field.Value)
			return
		case "radio", "checkbox":
			if !has(n, "value") {
				field.Value = "on"
			}
		}
	}
	f.Fields = append(f.Fields, field)
}

func (f *Form) addButton(n *html.Node, base *url.URL, text string) {
	if disabled(n) {
		return
	}
	b := Button{Name: attr(n, "name"), Value: attr(n, "value"), Text: text, NoValidate: has(n, "formnovalidate")}
	if has(n, "formaction") {
		b.Action, _ = base.Parse(attr(n, "formaction"))
	}
	if has(n, "formmethod") {
		b.Method = method(attr(n, "formmethod"))
	}
	f.Buttons = append(f.Buttons, b)
}

// disabled reports whether a control or a fieldset around it is disabled.
func disabled(n *html.Node) bool {
	if has(n, "disabled") {
		return true
	}
	for a := range n.Ancestors() {
		if a.Data == "fieldset" && has(a, "disabled") {
			return true
		}
	}
	return false
}

// options returns the selected value of a select and all its values.
func options(n *html.Node) (selected string, values []string) {
	chosen := false
	for o := range n.Descendants() {
		if o.Type != html.ElementNode || o.Data != "option" || has(o, "disabled") {
			continue
		}
		v := attr(o, "value")
		if !has(o, "value") {
			v = visible(o)
		}
		values = append(values, v)
		if has(o, "selected") || !chosen && len(values) == 1 {
			selected, chosen = v, has(o, "selected")
		}
	}
	return selected, values
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.ChildNodes() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// Form returns the one form that a selector names: "#id", a name, or the path
// of its action; empty if the page has one form only.
func (p *Page) Form(selector string) (*Form, error) {
	var found []*Form
	for _, f := range p.Forms {
		byID := f.ID != "" && "#"+f.ID == selector
		byName := f.Name != "" && f.Name == selector
		byPath := f.Action != nil && f.Action.Path == selector
		if selector == "" || byID || byName || byPath {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: %s (status %d) has %d forms for %q", ErrNoForm, p.URL.Redacted(), p.Status, len(found), selector)
	}
	return found[0], nil
}

// Submit fills in the values by field name and presses a button, named by its
// text, name or value; empty presses the first. A checkbox is checked by its
// value and cleared by the empty string.
func (r *Robot) Submit(ctx context.Context, p *Page, form string, values map[string]string, button string) (*Page, error) {
	f, err := p.Form(form)
	if err != nil {
		return nil, err
	}
	b, err := f.press(button)
	if err != nil {
		return nil, err
	}
	fields, err := f.fill(values)
	if err != nil {
		return nil, err
	}
	if !f.noValidate && !b.NoValidate {
		if err := complete(fields); err != nil {
			return nil, err
		}
	}
	action, how := f.Action, f.Method
	if b.Action != nil {
		action = b.Action
	}
	if b.Method != "" {
		how = b.Method
	}
	if action == nil || action.Scheme != "http" && action.Scheme != "https" {
		return nil, fmt.Errorf("%w: its action is no web address", ErrNoForm)
	}
	if how == http.MethodPost && f.Enctype != "" && f.Enctype != "application/x-www-form-urlencoded" {
		return nil, fmt.Errorf("%w: the robot can't send %s", ErrNoForm, f.Enctype)
	}
	data := encode(fields, b)
	v := visit{method: how, url: action, from: p, submit: true}
	if how == http.MethodPost {
		v.form = data
	} else {
		u := *action
		u.RawQuery = data
		v.url = &u
	}
	return r.visit(ctx, v)
}

// press returns the button that text names.
func (f *Form) press(text string) (Button, error) {
	if text == "" {
		if len(f.Buttons) == 0 {
			return Button{}, nil // as Enter in a form without a button
		}
		return f.Buttons[0], nil
	}
	var found []Button
	for _, b := range f.Buttons {
		if text == b.Text || text == b.Value || text == b.Name {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		return Button{}, fmt.Errorf("%w: %d buttons %q", ErrNoField, len(found), text)
	}
	return found[0], nil
}

// fill returns the fields with the values in them.
func (f *Form) fill(values map[string]string) ([]Field, error) {
	fields := slices.Clone(f.Fields)
	for name, value := range values {
		set, some := false, false
		for i := range fields {
			c := &fields[i]
			if c.Name != name || c.Disabled {
				continue
			}
			some = true
			switch c.Type {
			case "radio", "checkbox":
				c.Checked = c.Value == value || c.Checked && c.Type == "checkbox" && value != ""
				set = set || c.Value == value || c.Type == "checkbox" && value == ""
			case "select":
				if slices.Contains(c.Options, value) {
					c.Value, set = value, true
				}
			default:
				c.Value, set = value, true
			}
		}
		if !some {
			return nil, fmt.Errorf("%w: %q", ErrNoField, name)
		}
		if !set {
			return nil, fmt.Errorf("%w: %q has no choice %q", ErrNoField, name, value)
		}
	}
	return fields, nil
}

// complete reports what a browser would complain about before sending.
func complete(fields []Field) error {
	for _, c := range fields {
		if c.Disabled || c.Type == "hidden" {
			continue
		}
		missing := c.Value == ""
		switch c.Type {
		case "checkbox":
			missing = !c.Checked
		case "radio":
			missing = !slices.ContainsFunc(fields, func(o Field) bool { return o.Type == "radio" && o.Name == c.Name && o.Checked })
		}
		if c.Required && missing {
			return fmt.Errorf("%w: %q is empty", ErrRequired, c.Name)
		}
		if c.MaxLength > 0 && len(utf16.Encode([]rune(c.Value))) > c.MaxLength {
			return fmt.Errorf("%w: %q is longer than %d", ErrRequired, c.Name, c.MaxLength)
		}
	}
	return nil
}

// encode writes the entries in the order of the page, the pressed button last.
func encode(fields []Field, b Button) string {
	var pairs []string
	add := func(name, value string) {
		if name != "" {
			pairs = append(pairs, url.QueryEscape(name)+"="+url.QueryEscape(lines(value)))
		}
	}
	for _, c := range fields {
		if !c.Disabled && (c.Checked || c.Type != "radio" && c.Type != "checkbox") {
			add(c.Name, c.Value)
		}
	}
	add(b.Name, b.Value)
	return strings.Join(pairs, "&")
}

// lines ends lines with CR LF, as forms are sent.
func lines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}
