// Package redocly owns the lab's second opinion of an OpenAPI document: npm's
// @redocly/openapi-core, written by other people in another language. No product
// binary links this package.
package redocly

import (
	"context"
	_ "embed" // the program and its lock file
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/lab"
)

//go:embed lint.mjs
var program []byte

//go:embed package-lock.json
var lockFile []byte

// Lint checks a document with the program's files in dir, and returns its flaws,
// none if it is good.
func Lint(ctx context.Context, dir string, document []byte) ([]string, error) {
	modules, err := lab.NodeModules("redocly", lockFile)
	if err != nil {
		return nil, err
	}
	node, err := lab.FindProgram("node")
	if err != nil {
		return nil, err
	}
	main, file := filepath.Join(dir, "lint.mjs"), filepath.Join(dir, "openapi.json")
	err = errors.Join(os.WriteFile(main, program, 0o600), os.WriteFile(file, document, 0o600), os.Symlink(modules, filepath.Join(dir, "node_modules")))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, node, "--no-warnings", main, file)
	var stderr strings.Builder
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("redocly: %w: %s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	flaws := lines[:len(lines)-1]
	if last := lines[len(lines)-1]; last != fmt.Sprintf("checked: %d", len(flaws)) {
		return nil, fmt.Errorf("redocly ended with %q", last)
	}
	return flaws, nil
}
