package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/lab/site"
)

// guide is what the person is told.
type guide struct {
	site *site.Site
	bin  string // absolute
	home string // of the person's sally
}

func newGuide(s *site.Site, bin string) (*guide, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	home, err := s.Dir.Mkdir(0o700, "people", "you")
	return &guide{site: s, bin: bin, home: home}, err
}

// environment is what sets a shell up for sally, without touching the person's
// own state folder.
func (g *guide) environment() []string {
	return []string{
		"export PATH=" + quote(g.bin) + ":$PATH",
		"export SALLY_STATE=" + quote(g.home),
		"export SALLY_SERVER=" + g.site.URL(),
		"export SALLY_PIN=" + quote(g.site.PinFile()),
	}
}

// commands are what an engineer types, in order.
func (g *guide) commands() []string {
	return []string{
		"sally login",
		"sally ssh " + g.site.Principal(site.Web1) + ` --for 1h --because "trying Sallyport out"`,
	}
}

// afterwards is what shows what has happened.
func (g *guide) afterwards() []string {
	return []string{
		"sally whoami",
		"sally status",
		"sally ledger list",
	}
}

// WriteTo writes the guide.
func (g *guide) WriteTo(w io.Writer) (int64, error) {
	s := g.site
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s "+format+"\n", append([]any{name}, args...)...)
	}
	lines := func(list []string) { b.WriteString("\n    " + strings.Join(list, "\n    ") + "\n\n") }

	b.WriteString("Sallyport is up, on loopback. Ctrl-C ends it and removes everything.\n\n")
	row("pages", "%s/", s.URL())
	for _, p := range []struct {
		person *site.Person
		what   string
	}{
		{s.Alice, "engineer and lead; nobody decides on their own request"},
		{s.Bob, "lead: decides"},
	} {
		name, password := p.person.Account()
		row("account", "%-5s  password %s  %s", name, password, p.what)
	}
	row("hosts", "%s  %s", s.Principal(site.Web1), s.Principal(site.Web2))
	row("contract", "%s", s.ContractDir())
	row("server", "%s  (log: %s)", s.ServerDir(), s.ServerLog())

	b.WriteString("\n1. In a terminal, be the engineer. sally prints the page to log in at: sign in as alice.\n")
	lines(append(g.environment(), g.commands()...))
	b.WriteString("2. In a browser, be the lead: open the pages, sign in as bob, approve. The shell opens in the terminal.\n" +
		"   (One browser will do: alice's login was for sally alone.)\n\n")
	b.WriteString("3. See what is on record. The number behind \"serial\" is the certificate's; show takes it.\n")
	lines(append(g.afterwards(), "sally ledger show SERIAL"))
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// quote writes a path for a shell.
func quote(path string) string {
	if strings.ContainsAny(path, " '\"$`\\!&;|<>()*?[]#~") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
