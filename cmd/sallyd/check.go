package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/canon"
)

// result is what a check came to.
type result string

// The results. Unknown is not passed: it was not looked at, or somebody should
// look at it.
const (
	passed  result = "passed"
	failed  result = "failed"
	unknown result = "unknown"
)

// finding is one check, in a sentence.
type finding struct {
	Name   string `json:"name"`
	Result result `json:"result"`
	Text   string `json:"text"`
}

var errFindings = errors.New("something is not as it must be; see the lines with ✗")

func checkCommand(dir *string) *cobra.Command {
	var online, asJSON bool
	cmd := &cobra.Command{
		Use:   "check [DIR] [--online] [--json]",
		Short: "Say what is wrong with settings, keys and ledger, and change nothing",
		Long: "Reads everything that `sallyd serve` would read and says of each thing whether it is as it must be: ✓ it is, ✗ it is\n" +
			"not, ? it was not looked at or somebody should. It changes nothing and may run beside a server. With --online it also\n" +
			"asks Vault and the identity providers.",
		Example: "  sallyd check /var/lib/sallyport --online",
		Args: func(cmd *cobra.Command, args []string) error {
			return exactly([]string{"DIR"}[:min(len(args), 1)]...)(cmd, args)
		},
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			folder := *dir
			if len(args) > 0 {
				folder = args[0]
			}
			if folder == "" {
				return errors.New("no folder named; give DIR, or --dir DIR, or set SALLYD_DIR")
			}
			return runCheck(cmd, folder, online, asJSON)
		}),
	}
	cmd.Flags().BoolVar(&online, "online", false, "ask Vault and the identity providers, too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func runCheck(cmd *cobra.Command, dir string, online, asJSON bool) error {
	var c *checkup
	for again := true; again; again = c.failed() && c.overtaken {
		c = &checkup{dir: dir, online: online, now: time.Now(), getenv: os.Getenv}
		c.run(cmd.Context())
	}
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	var b bytes.Buffer
	if asJSON {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err := enc.Encode(struct {
			OK     bool      `json:"ok"`
			Checks []finding `json:"checks"`
		}{!c.failed(), c.findings})
		if err != nil {
			return err
		}
	} else {
		for _, f := range c.findings {
			fmt.Fprintf(&b, "%s %s: %s\n", sign(f.Result), f.Name, f.Text)
		}
	}
	if _, err := cmd.OutOrStdout().Write(b.Bytes()); err != nil {
		return err
	}
	if c.failed() {
		return errFindings
	}
	return nil
}

func sign(r result) string {
	switch r {
	case passed:
		return "✓"
	case failed:
		return "✗"
	case unknown:
		return "?"
	default:
		return "?"
	}
}

// checkup looks at a server's folder and what it names.
type checkup struct {
	dir    string
	online bool
	now    time.Time
	getenv func(string) string

	findings  []finding
	overtaken bool // a server started meanwhile, so the database is to be read again
}

func (c *checkup) add(r result, name, format string, args ...any) {
	c.findings = append(c.findings, finding{name, r, canon.Visible(fmt.Sprintf(format, args...))})
}

func (c *checkup) pass(name, format string, args ...any)    { c.add(passed, name, format, args...) }
func (c *checkup) unknown(name, format string, args ...any) { c.add(unknown, name, format, args...) }
func (c *checkup) fail(name string, err error)              { c.add(failed, name, "%v", err) }

func (c *checkup) failed() bool {
	for _, f := range c.findings {
		if f.Result == failed {
			return true
		}
	}
	return false
}

// run makes all checks that can be made: one that fails keeps only those away
// which need what it found.
func (c *checkup) run(ctx context.Context) {
	if err := isFolder(c.dir); err != nil {
		c.fail("folder", err)
		return
	}
	c.pass("folder", "%s, which nobody else can write to", c.dir)
	settings, good := c.settings()
	keys := c.keys(settings, good)
	c.siem(settings)
	db := c.database(ctx, settings)
	if db == nil {
		return
	}
	c.ledger(ctx, db.store, keys, settings, good)
	c.overtaken = db.overtaken()
	if err := db.store.Close(); err != nil {
		c.fail("database", err)
	}
}
