package contract

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// lines says in which line of terms.yaml each path stands.
type lines struct {
	of    map[string]int
	nodes map[string]*yaml.Node // the values
}

// lineIndex reads where everything stands. A text that is no YAML has no lines.
func lineIndex(text []byte) lines {
	l := lines{of: make(map[string]int), nodes: make(map[string]*yaml.Node)}
	if strictyaml.CheckText(text, MaxFile) != nil {
		return l
	}
	document, flaw := strictyaml.Parse(text, strictyaml.Kind{Name: "terms"})
	if flaw != nil {
		return l
	}
	l.walk(document, "")
	return l
}

func (l lines) walk(n *yaml.Node, path string) {
	l.nodes[path] = n
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			at := strictyaml.Join(path, n.Content[i].Value)
			l.of[at] = n.Content[i].Line
			l.walk(n.Content[i+1], at)
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			at := strictyaml.Item(path, i)
			l.of[at] = child.Line
			l.walk(child, at)
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode: // nothing stands below
	}
}

// at returns the line of a path or, if nothing was written there, of the nearest
// one above it; 0 for the whole.
func (l lines) at(path string) int {
	for path != "" {
		if line, ok := l.of[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// signatory returns the path of a signature line. The terms have them sorted, so
// the place in the text is another.
func (l lines) signatory(s Signatory) string {
	for i := 0; ; i++ {
		at := strictyaml.Item("signatories", i)
		if _, ok := l.nodes[at]; !ok {
			return "signatories"
		}
		if l.value(at+".party") == s.Party && l.value(at+".capacity") == s.Capacity {
			return at
		}
	}
}

// value returns the scalar at a path; empty if there is none.
func (l lines) value(path string) string {
	if n, ok := l.nodes[path]; ok && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

func rolePath(r *Role) string { return "roles." + r.ID }

func pathPath(r *Role, i int) string { return strictyaml.Item(rolePath(r)+".paths", i) }

func stagePath(r *Role, i, j int) string {
	return strictyaml.Item(pathPath(r, i)+".stages", j)
}
