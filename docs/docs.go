// Package docs owns the documents that a program serves.
package docs

import _ "embed" // the document

// OpenAPI describes the JSON interface, in OpenAPI 3.1. `make generate` makes it
// from the server's table of routes and the types of package api; a test of
// package server holds it to both.
//
//go:embed openapi.json
var OpenAPI []byte
