package site

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/robot"
)

// Person is somebody with an account at the identity provider, a terminal and a
// browser.
type Person struct {
	*Terminal
	Browser *robot.Robot

	account idp.Account
}

func (s *Site) person(who, name string, groups ...string) (*Person, error) {
	t, err := s.terminal(who)
	if err != nil {
		return nil, err
	}
	browser, err := robot.New(nil)
	if err != nil {
		return nil, err
	}
	password, err := canon.NewID(rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Person{Terminal: t, Browser: browser, account: idp.Account{
		Username: who, Password: string(password), Name: name, Email: who + "@acme.example", Groups: groups,
	}}, nil
}

// Account is the username and the password at the identity provider.
func (p *Person) Account() (username, password string) {
	return p.account.Username, p.account.Password
}

// authorizeURL finds the address that sally login prints.
var authorizeURL = regexp.MustCompile(`https?://\S+/authorize\?\S+`)

// LogIn runs sally login and, in the person's browser, the provider's login form
// that it leads to.
func (p *Person) LogIn(ctx context.Context) error {
	s := p.site
	task, err := p.Start(ctx, "sally", "login", "--server", s.URL(), "--pin", s.PinFile(), "--no-browser")
	if err != nil {
		return err
	}
	line, err := task.Expect(ctx, "/authorize?")
	if err != nil {
		return err
	}
	address := authorizeURL.FindString(line)
	if address == "" {
		return fmt.Errorf("%w: no address to open in %q", errOutput, line)
	}
	s.cfg.Tell.Typed(p.Who+"'s browser", "opens that address and signs in as "+p.account.Username)
	page, err := p.Browser.LogIn(ctx, address, p.account.Username, p.account.Password)
	if err != nil {
		return err
	}
	s.answer(page)
	_, err = task.End(ctx, 0, "sally login")
	return err
}

// SignIn opens a page of sallyd in the person's browser, which has no cookie
// yet, and signs in at the provider that it leads to.
func (p *Person) SignIn(ctx context.Context, path string) (*robot.Page, error) {
	s := p.site
	s.cfg.Tell.Typed(p.Who+"'s browser", "opens "+s.URL()+path+" and signs in as "+p.account.Username)
	page, err := p.Browser.LogIn(ctx, s.URL()+path, p.account.Username, p.account.Password)
	if err != nil {
		return nil, err
	}
	s.answer(page)
	return page, nil
}

// OpenPage opens a page of sallyd in the person's browser.
func (p *Person) OpenPage(ctx context.Context, path string) (*robot.Page, error) {
	s := p.site
	s.cfg.Tell.Typed(p.Who+"'s browser", "opens "+s.URL()+path)
	page, err := p.Browser.Get(ctx, s.URL()+path)
	if err != nil {
		return nil, err
	}
	s.answer(page)
	return page, nil
}

// Submit fills in the one form of a page that goes to path and presses a button.
func (p *Person) Submit(ctx context.Context, page *robot.Page, path string, values map[string]string, button string) (*robot.Page, error) {
	s := p.site
	var filled []string
	for _, name := range sortedKeys(values) {
		filled = append(filled, name+" = "+s.quote(values[name]))
	}
	what := "presses " + button
	if len(filled) > 0 {
		what = "fills in " + strings.Join(filled, ", ") + " and " + what
	}
	s.cfg.Tell.Typed(p.Who+"'s browser", what)
	next, err := p.Browser.Submit(ctx, page, path, values, button)
	if err != nil {
		return nil, err
	}
	s.answer(next)
	return next, nil
}

// Replay sends a form that another browser was given, from this person's own
// page and session, as a script in her browser could.
func (p *Person) Replay(ctx context.Context, from *robot.Page, form *robot.Form, values map[string]string, button string) (*robot.Page, error) {
	s := p.site
	s.cfg.Tell.Typed(p.Who+"'s browser", "POST "+form.Action.String()+" by hand, "+button+", with everything that the form has")
	forged := *from
	forged.Forms = []*robot.Form{form}
	answer, err := p.Browser.Submit(ctx, &forged, "", values, button)
	if err != nil {
		return nil, err
	}
	s.answer(answer)
	return answer, nil
}

// answer tells what a person reads on a page, without what stands on every
// page, and of a request without its details.
func (s *Site) answer(page *robot.Page) {
	text := page.Text()
	if page.Title == "" && text == "" { // no HTML
		text = strings.TrimSpace(page.Body)
	}
	if lines := strings.Split(text, "\n"); lines[0] == "Skip to the content" && len(lines) > 3 {
		text = strings.Join(lines[2:], "\n") // behind the site's name
	}
	if _, main, ok := strings.Cut(text, "Sign out\n"); ok {
		text = main
	}
	for _, below := range []string{"\nThe certificate that would be signed\n", "\nCertificates\n"} {
		if top, _, ok := strings.Cut(text, below); ok {
			text = top + "\n…"
		}
	}
	s.cfg.Tell.Answered(strings.TrimRight(fmt.Sprintf("[%d] %s", page.Status, page.Title), " ") + "\n" + text + "\n")
}
