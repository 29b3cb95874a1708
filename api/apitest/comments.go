package apitest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// Comments holds what the source of Go packages says of their types and of the
// fields of their structs, by "package.Type" and "package.Type.Field".
type Comments map[string]string

// ReadComments reads the packages in these folders.
func ReadComments(dirs ...string) (Comments, error) {
	out := make(Comments)
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, fmt.Errorf("reading the comments: %w", err)
			}
			out.add(parsed)
		}
	}
	return out, nil
}

func (c Comments) add(file *ast.File) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			doc := typ.Doc
			if doc == nil && len(gen.Specs) == 1 {
				doc = gen.Doc
			}
			name := file.Name.Name + "." + typ.Name.Name
			c[name] = oneLine(doc)
			c.addFields(name, typ.Type)
		}
	}
}

// addFields adds the fields of a struct. One of a struct without a name is found
// as part of the field that has it, "package.Type.Field.Inner".
func (c Comments) addFields(name string, typ ast.Expr) {
	st, ok := typ.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range st.Fields.List {
		text := oneLine(field.Doc)
		if text == "" {
			text = oneLine(field.Comment)
		}
		for _, id := range field.Names {
			c[name+"."+id.Name] = text
			c.addFields(name+"."+id.Name, field.Type)
		}
	}
}

func oneLine(group *ast.CommentGroup) string { return strings.Join(strings.Fields(group.Text()), " ") }
