package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/lab/robot"
)

// errCheck is wrapped by every assertion that does not hold.
var errCheck = errors.New("not as promised")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errCheck, fmt.Sprintf(format, args...))
}

// contains asserts that an answer contains all the texts.
func contains(answer string, texts ...string) error {
	for _, text := range texts {
		if !strings.Contains(answer, text) {
			return wrong("no %q in %q", text, strings.TrimSpace(answer))
		}
	}
	return nil
}

// shows asserts that a page has all the texts, however its lines break.
func shows(page *robot.Page, texts ...string) error {
	return contains(strings.Join(strings.Fields(page.Text()), " "), texts...)
}

// printed is what ssh-keygen -L says about a certificate.
type printed struct {
	kind          string
	keyID         string
	serial        uint64
	after, before time.Time
	principals    []string
	critical      []string
	extensions    []string
}

var listHeads = []string{"Principals:", "Critical Options:", "Extensions:"}

// parsePrinted reads the answer of ssh-keygen -L for one certificate, with
// times in UTC.
func parsePrinted(text string) (printed, error) {
	var c printed
	lists := map[string]*[]string{"Principals:": &c.principals, "Critical Options:": &c.critical, "Extensions:": &c.extensions}
	var list *[]string
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		head, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if l, ok := listOf(line, lists); ok {
			list = l
			seen[head] = true
			continue
		}
		if list != nil {
			*list = append(*list, line)
			continue
		}
		var err error
		switch head {
		case "Type":
			c.kind = value
		case "Key ID":
			c.keyID, err = strconv.Unquote(value)
		case "Serial":
			c.serial, err = strconv.ParseUint(value, 10, 64)
		case "Valid":
			c.after, c.before, err = parseValid(value)
		default:
			continue
		}
		if err != nil {
			return printed{}, wrong("%q: %v", line, err)
		}
		seen[head] = true
	}
	for _, head := range []string{"Type", "Key ID", "Serial", "Valid", "Principals", "Critical Options", "Extensions"} {
		if !seen[head] {
			return printed{}, wrong("ssh-keygen -L prints no %q", head)
		}
	}
	return c, nil
}

// listOf finds the list that a heading starts; "(none)" behind it leaves the
// list empty.
func listOf(line string, lists map[string]*[]string) (*[]string, bool) {
	for _, head := range listHeads {
		if line == head || line == head+" (none)" {
			return lists[head], true
		}
	}
	return nil, false
}

var validForm = regexp.MustCompile(`^from (\S+) to (\S+)$`)

func parseValid(value string) (after, before time.Time, err error) {
	m := validForm.FindStringSubmatch(value)
	if m == nil {
		return after, before, errors.New("no span of time")
	}
	const form = "2006-01-02T15:04:05"
	if after, err = time.Parse(form, m[1]); err != nil {
		return after, before, err
	}
	before, err = time.Parse(form, m[2])
	return after, before, err
}
