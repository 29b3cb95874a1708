// Package apitest makes the OpenAPI document of the JSON interface from Go types
// and their comments, and holds real requests and answers to it. It is for tests:
// the server serves the document that a test wrote.
package apitest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/api"
)

// Operation is one method of one path.
type Operation struct {
	Method, Path   string
	ID, Tag        string
	Summary, More  string
	Bearer         bool // one is needed
	MayBear        bool // one makes a difference
	PathParameters any  // a struct of package api, or nil; so the next two
	Query, Body    any
	Answers        []Answer
	Problems       []Problem
}

// Answer is what an operation answers when it did what it was asked to.
type Answer struct {
	Status  int
	Body    any  // nil: none
	Streams bool // server-sent events; Body is the data of one
	Means   string
}

// Lines is the body of an answer in JSON Lines.
type Lines struct{}

// Problem is a kind of problem document.
type Problem struct {
	Status      int
	Slug, Title string
}

// Info is the general part of the document.
type Info struct {
	Title, Version, Description string
	Tags                        map[string]string // name to description
}

type document struct {
	OpenAPI    string                           `json:"openapi"`
	Info       info                             `json:"info"`
	Servers    []server                         `json:"servers"`
	Tags       []tag                            `json:"tags"`
	Paths      map[string]map[string]*operation `json:"paths"`
	Components components                       `json:"components"`
}

type (
	info struct {
		Title       string  `json:"title"`
		Version     string  `json:"version"`
		Description string  `json:"description"`
		License     license `json:"license"`
	}
	license struct {
		Name       string `json:"name"`
		Identifier string `json:"identifier"`
	}
	server struct {
		URL         string `json:"url"`
		Description string `json:"description"`
	}
	tag struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	components struct {
		Schemas   map[string]*Schema        `json:"schemas"`
		Responses map[string]*response      `json:"responses"`
		Security  map[string]map[string]any `json:"securitySchemes"`
	}
	operation struct {
		ID          string                `json:"operationId"`
		Tags        []string              `json:"tags"`
		Summary     string                `json:"summary"`
		Description string                `json:"description,omitempty"`
		Security    []map[string][]string `json:"security"`
		Parameters  []parameter           `json:"parameters,omitempty"`
		Body        *body                 `json:"requestBody,omitempty"`
		Responses   map[string]*response  `json:"responses"`
	}
	parameter struct {
		Name        string  `json:"name"`
		In          string  `json:"in"`
		Description string  `json:"description"`
		Required    bool    `json:"required,omitempty"`
		Schema      *Schema `json:"schema"`
	}
	body struct {
		Required bool             `json:"required"`
		Content  map[string]media `json:"content"`
	}
	response struct {
		Ref         string           `json:"$ref,omitempty"`
		Description string           `json:"description,omitempty"`
		Content     map[string]media `json:"content,omitempty"`
	}
	media struct {
		Schema *Schema `json:"schema"`
	}
)

const (
	mediaJSON    = "application/json"
	mediaEvents  = "text/event-stream"
	mediaProblem = "application/problem+json"
	mediaLines   = "application/x-ndjson"
	bearerScheme = "bearer"
)

// Document returns the OpenAPI document of the operations. It fails if a type or
// a field that stands in it has no comment.
func Document(about Info, operations []Operation, comments Comments) ([]byte, error) {
	b := &schemas{
		comments: comments, components: map[string]*Schema{}, named: map[string]reflect.Type{}, closed: map[reflect.Type]bool{},
		responses: map[string]*response{},
	}
	d := document{
		OpenAPI: "3.1.0",
		Info:    info{about.Title, about.Version, about.Description, license{"Apache License 2.0", "Apache-2.0"}},
		Servers: []server{{"/", "the server that serves this document"}},
		Paths:   map[string]map[string]*operation{},
	}
	used := map[string]bool{}
	for _, op := range operations {
		if d.Paths[op.Path] == nil {
			d.Paths[op.Path] = map[string]*operation{}
		}
		if used[op.Tag] = true; about.Tags[op.Tag] == "" {
			b.flaw("nothing is said of the tag %s", op.Tag)
		}
		d.Paths[op.Path][strings.ToLower(op.Method)] = b.operation(op)
	}
	for name, text := range about.Tags {
		d.Tags = append(d.Tags, tag{name, text})
		if !used[name] {
			b.flaw("no operation has the tag %s", name)
		}
	}
	slices.SortFunc(d.Tags, func(x, y tag) int { return cmp.Compare(x.Name, y.Name) })
	b.of(reflect.TypeFor[api.Problem](), false)
	d.Components.Schemas, d.Components.Responses = b.components, b.responses
	d.Components.Security = map[string]map[string]any{bearerScheme: {
		"type": "http", "scheme": "bearer", "description": "What POST /v1/sessions answers as bearer. Cookies are not looked at.",
	}}
	if len(b.flaws) > 0 {
		return nil, errors.New(strings.Join(b.flaws, "\n"))
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(d)
	return out.Bytes(), err
}

func (b *schemas) operation(op Operation) *operation {
	out := &operation{
		ID: op.ID, Tags: []string{op.Tag}, Summary: op.Summary, Description: op.More,
		Security: []map[string][]string{}, Responses: map[string]*response{},
	}
	if op.MayBear {
		out.Security = append(out.Security, map[string][]string{})
	}
	if op.Bearer || op.MayBear {
		out.Security = append(out.Security, map[string][]string{bearerScheme: {}})
	}
	out.Parameters = append(b.parameters("path", op.PathParameters), b.parameters("query", op.Query)...)
	if op.Body != nil {
		out.Body = &body{Required: true, Content: map[string]media{mediaJSON: {b.of(reflect.TypeOf(op.Body), true)}}}
	}
	for _, a := range op.Answers {
		r := &response{Description: a.Means}
		if _, ok := a.Body.(Lines); ok {
			r.Content = map[string]media{mediaLines: {&Schema{Type: "string"}}}
		} else if a.Body != nil {
			kind := mediaJSON
			if a.Streams {
				kind = mediaEvents
			}
			r.Content = map[string]media{kind: {b.of(reflect.TypeOf(a.Body), false)}}
		}
		out.Responses[strconv.Itoa(a.Status)] = r
	}
	byStatus := map[int][]Problem{}
	for _, p := range op.Problems {
		byStatus[p.Status] = append(byStatus[p.Status], p)
	}
	for status, list := range byStatus {
		out.Responses[strconv.Itoa(status)] = b.problems(list)
	}
	return out
}

func (b *schemas) parameters(in string, of any) []parameter {
	if of == nil {
		return nil
	}
	var out []parameter
	for _, m := range b.members(reflect.TypeOf(of)) {
		s := b.property(m, true)
		p := parameter{Name: m.name, In: in, Description: s.Description, Required: !m.optional, Schema: s}
		s.Description = ""
		out = append(out, p)
	}
	return out
}

// problems returns the answer that tells of one of some problems, which have one
// status. Operations with the same problems share it.
func (b *schemas) problems(list []Problem) *response {
	slices.SortFunc(list, func(x, y Problem) int { return cmp.Compare(x.Slug, y.Slug) })
	list = slices.Compact(list)
	name, types, lines := strconv.Itoa(list[0].Status), &Schema{}, []string{}
	for _, p := range list {
		name += "-" + p.Slug
		types.Enum = append(types.Enum, "/problems/"+p.Slug)
		lines = append(lines, fmt.Sprintf("`%s`: %s", p.Slug, p.Title))
	}
	b.responses[name] = &response{Description: strings.Join(lines, "; "), Content: map[string]media{mediaProblem: {&Schema{
		Ref: componentPrefix + "Problem", Properties: map[string]*Schema{"type": types, "status": {Const: list[0].Status}},
	}}}}
	return &response{Ref: "#/components/responses/" + name}
}
