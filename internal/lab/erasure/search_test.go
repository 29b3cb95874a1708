package erasure_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// forms are all the ways in which a text is looked for: as it is, in base64 of any
// alignment, in hex, in UTF-16, escaped.
func forms(text string) map[string][]byte {
	out := map[string][]byte{
		"plain": []byte(text), "hex": []byte(hex.EncodeToString([]byte(text))), "upper-case hex": []byte(strings.ToUpper(hex.EncodeToString([]byte(text)))),
		"query": []byte(url.QueryEscape(text)), "path": []byte(url.PathEscape(text)), "lower case": []byte(strings.ToLower(text)), "upper case": []byte(strings.ToUpper(text)),
	}
	for name, big := range map[string]bool{"UTF-16BE": true, "UTF-16LE": false} {
		for _, u := range utf16.Encode([]rune(text)) {
			high, low := byte(u>>8), byte(u)
			if big {
				out[name] = append(out[name], high, low)
			} else {
				out[name] = append(out[name], low, high)
			}
		}
	}
	for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for before := range 3 {
			whole := enc.EncodeToString(append(make([]byte, before), text...))
			first, last := []int{0, 2, 3}[before], (before+len(text))*8/6 // what depends on neither neighbour
			out[name+" "+string(rune('0'+before))] = []byte(whole[first:last])
		}
	}
	return out
}

// canaries are texts that stand nowhere but with one person, each in every form.
type canaries map[string]map[string][]byte

func newCanaries(texts ...string) canaries {
	c := canaries{}
	for _, text := range texts {
		c[text] = forms(text)
	}
	return c
}

// in returns which texts stand somewhere, and in which form.
func (c canaries) in(text []byte) []string {
	var out []string
	for name, all := range c {
		for form, bytes2 := range all {
			if bytes.Contains(text, bytes2) {
				out = append(out, name+" ("+form+")")
			}
		}
	}
	return out
}

// below returns which texts stand in the files below a folder.
func (c canaries) below(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		for _, found := range c.in(text) {
			out = append(out, found+" in "+path)
		}
		return err
	}))
	if files == 0 {
		t.Errorf("%s has no files", dir)
	}
	return out
}

// The search finds a text in each form, wherever it stands.
func TestSearchFindsEveryForm(t *testing.T) {
	t.Parallel()
	c := newCanaries("Zephyrine Quastenflosser")
	for form, text := range c["Zephyrine Quastenflosser"] {
		if len(c.in(append([]byte("xx"), text...))) == 0 {
			t.Errorf("%s is not found", form)
		}
	}
	for before := range 6 {
		text := strings.Repeat("a", before) + "Zephyrine Quastenflosser" + "bcd"
		if len(c.in([]byte(base64.StdEncoding.EncodeToString([]byte(text))))) == 0 {
			t.Errorf("%d characters before it in base64: not found", before)
		}
	}
	if found := c.in([]byte("Zephyrine and a Quastenflosser")); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
