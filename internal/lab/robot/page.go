package robot

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Page is where a visit ended.
type Page struct {
	URL    *url.URL // after redirects
	Status int
	Header http.Header
	Body   string
	Title  string
	Forms  []*Form
	Links  []Link

	text string
}

// Link is one a element with an address.
type Link struct {
	URL  *url.URL
	Text string
}

// Text returns what a person would read on the page: visible text with single
// spaces, blocks on lines of their own.
func (p *Page) Text() string { return p.text }

func (p *Page) parse(r io.Reader) error {
	// Without scripting, noscript is part of the page.
	root, err := html.ParseWithOptions(r, html.ParseOptionEnableScripting(false))
	if err != nil {
		return err
	}
	base := p.URL
	forms := map[*html.Node]*Form{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "title":
			if p.Title == "" {
				p.Title = visible(n)
			}
		case "base":
			if u, err := p.URL.Parse(attr(n, "href")); err == nil && attr(n, "href") != "" {
				base = u
			}
		case "a":
			if u, err := base.Parse(attr(n, "href")); err == nil && has(n, "href") {
				p.Links = append(p.Links, Link{URL: u, Text: visible(n)})
			}
		case "form":
			f := newForm(n, base)
			forms[n] = f
			p.Forms = append(p.Forms, f)
		}
	}
	for n := range root.Descendants() {
		if f := p.owner(n, forms); f != nil {
			f.add(n, base)
		}
	}
	p.text = visible(root)
	return nil
}

// owner returns the form that a control belongs to: the one its form attribute
// names, else the one around it.
func (p *Page) owner(n *html.Node, forms map[*html.Node]*Form) *Form {
	if n.Type != html.ElementNode || !slices.Contains([]string{"input", "button", "select", "textarea"}, n.Data) {
		return nil
	}
	if has(n, "form") {
		for _, f := range p.Forms {
			if f.ID != "" && f.ID == attr(n, "form") {
				return f
			}
		}
		return nil
	}
	for a := range n.Ancestors() {
		if f := forms[a]; f != nil {
			return f
		}
	}
	return nil
}

// visible returns the text under n that a browser would show.
func visible(n *html.Node) string {
	var b strings.Builder
	write(&b, n)
	var lines []string
	for line := range strings.SplitSeq(b.String(), "\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func write(b *strings.Builder, n *html.Node) {
	switch n.Type {
	case html.TextNode:
		b.WriteString(strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(n.Data))
		return
	case html.ElementNode:
		if has(n, "hidden") {
			return
		}
	case html.CommentNode, html.DoctypeNode, html.ErrorNode, html.RawNode:
		return
	case html.DocumentNode:
	}
	block := false
	switch n.Data {
	case "script", "style", "template", "head", "textarea", "select":
		return
	case "input":
		if t := inputType(n); t == "submit" || t == "button" || t == "reset" {
			b.WriteString(" " + attr(n, "value") + " ")
		}
		return
	case "br":
		b.WriteString("\n")
	case "td", "th":
		b.WriteString(" ")
	case "a", "abbr", "b", "cite", "code", "em", "i", "kbd", "mark", "q",
		"s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr":
	case "label", "button":
		b.WriteString(" ")
	default:
		block = true
	}
	if block {
		b.WriteString("\n")
	}
	for c := range n.ChildNodes() {
		write(b, c)
	}
	if block {
		b.WriteString("\n")
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Namespace == "" && a.Key == name })
}

// inputType returns the type of an input element, lower case, "text" if none.
func inputType(n *html.Node) string {
	if t := strings.ToLower(attr(n, "type")); t != "" {
		return t
	}
	return "text"
}
