package site

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/lab"
)

// Build compiles sally, sallyd and sally-host of the module that the current folder belongs
// to into a folder.
func Build(ctx context.Context, into string) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	r, err := lab.Run(ctx, lab.Command{Path: "go", Args: []string{"build", "-o", into, "./cmd/sallyd", "./cmd/sally", "./cmd/sally-host"}, Dir: root})
	if err == nil && r.Code != 0 {
		err = errors.New(strings.TrimSpace(r.Output))
	}
	if err != nil {
		return fmt.Errorf("building the programs: %w", err)
	}
	return nil
}
