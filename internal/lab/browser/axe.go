package browser

import (
	"context"
	_ "embed" // the lock file
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport/internal/lab"
)

//go:embed package-lock.json
var lockFile []byte

// Barrier is something on a page that keeps somebody from using it, or that may
// do so.
type Barrier struct {
	Rule   string   `json:"rule"`
	Help   string   `json:"help"`
	Sure   bool     `json:"sure"` // else axe could not tell
	Places []string `json:"places"`
}

// String is one line about it.
func (b Barrier) String() string {
	sure := ""
	if !b.Sure {
		sure = " (not sure)"
	}
	return fmt.Sprintf("%s%s: %s: %s", b.Rule, sure, b.Help, strings.Join(b.Places, " | "))
}

// axeRun runs the rules of WCAG 2.2 A and AA and what is good practice beside
// them.
const axeRun = `axe.run(document, {
	resultTypes: ['violations', 'incomplete'],
	runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
}).then((found) => [[found.violations, true], [found.incomplete, false]].flatMap(([list, sure]) => list.map((f) => ({
	rule: f.id, help: f.help, sure,
	places: f.nodes.map((n) => n.target.join(' ') + ': ' + [...n.any, ...n.all, ...n.none].map((c) => c.message).join('; ')),
}))))`

// Barriers has axe-core look at the page as it stands.
func (t *Tab) Barriers(ctx context.Context) ([]Barrier, error) {
	dir, err := lab.NodeModules("browser", lockFile)
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join(dir, "axe-core", "axe.min.js"))
	if err != nil {
		return nil, err
	}
	if _, err := run(t, ctx, "loading axe", chromedp.Evaluate[chromedp.Void](string(source))); err != nil {
		return nil, err
	}
	return Eval[[]Barrier](ctx, t, axeRun)
}
