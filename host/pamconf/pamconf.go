// Package pamconf owns the one line that sally-host has in the PAM file of sshd: where
// it has to stand, putting it there, taking it away, and what is wrong with one that
// somebody has moved or edited.
//
// A file is read as libpam reads it (pam.conf(5)), as far as its session part goes. Its
// includes are looked into, since what the line has to stand behind and in front of
// mostly stands in them.
package pamconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Limits of what is read, so that files that include one another come to an end.
const (
	// MaxFile is how many bytes a file may have.
	MaxFile    = 256 << 10
	maxDepth   = 16
	maxModules = 4096
)

// ErrUnread is wrapped when a file can't be read as libpam would read it.
var ErrUnread = errors.New("the PAM file can't be read as libpam would")

// File is one file of PAM, with what it includes.
type File struct {
	Path  string
	text  string
	lines []line
}

// line is one line of the file's own, together with those that continue it.
type line struct {
	start, end int      // bytes of the text; end is behind the line end, if there is one
	number     int      // of its first line, from 1
	modules    []module // of its session part: its own, or all that it includes
}

// module is one step of the session stack.
type module struct {
	control  string   // required, …, or what stands in brackets, in lower case
	name     string   // pam_exec.so, without its folder
	args     []string // as they are handed over
	where    string   // FILE:LINE
	included bool     // it stands in another file
	apart    bool     // in a stack of its own (substack), whose ends and jumps stay in it
}

// Reader reads a file of PAM by its path, at most [MaxFile] bytes.
type Reader func(path string) ([]byte, error)

// Parse reads a file and what it includes. Names of includes are looked for in the
// file's own folder, then where libpam looks for them.
func Parse(name string, read Reader) (File, error) {
	text, err := read(name)
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrUnread, err)
	}
	p := parser{read: read, folder: path.Dir(name)}
	f := File{Path: name, text: string(text)}
	if f.lines, err = p.lines(name, string(text), 0); err != nil {
		return File{}, err
	}
	return f, nil
}

// parser reads files that include one another.
type parser struct {
	read    Reader
	folder  string
	modules int
}

func (p *parser) lines(name, text string, depth int) ([]line, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%w: %s has over %d bytes", ErrUnread, name, MaxFile)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: %s is included %d files deep; two of them may include one another", ErrUnread, name, depth)
	}
	var out []line
	number := 1
	for start := 0; start < len(text); {
		end, content, many := logical(text[start:])
		l := line{start: start, end: start + end, number: number}
		var err error
		if l.modules, err = p.session(content, fmt.Sprintf("%s:%d", name, number), depth); err != nil {
			return nil, err
		}
		out = append(out, l)
		start += end
		number += many
	}
	return out, nil
}

// logical cuts one line off, with those that a backslash at its end continues: how many
// bytes they are, what they say without comments, and how many they are.
func logical(text string) (bytes int, content string, many int) {
	var b strings.Builder
	for {
		raw, _, found := strings.Cut(text[bytes:], "\n")
		many++
		bytes += len(raw)
		if found {
			bytes++
		}
		said, continued := strings.CutSuffix(uncommented(raw), "\\")
		b.WriteString(said)
		if !continued || bytes >= len(text) {
			return bytes, b.String(), many
		}
		b.WriteByte(' ')
	}
}

// uncommented is a line without its comment.
func uncommented(raw string) string {
	said, _, _ := strings.Cut(raw, "#")
	return strings.TrimRight(said, " \t\r")
}

// session returns what a line adds to the session part.
func (p *parser) session(content, where string, depth int) ([]module, error) {
	words := split(content)
	if len(words) == 2 && strings.EqualFold(words[0], "@include") {
		return p.include(words[1], where, depth)
	}
	if len(words) < 3 || !strings.EqualFold(strings.TrimPrefix(words[0], "-"), "session") {
		return nil, nil
	}
	control := strings.ToLower(words[1])
	switch control {
	case "include":
		return p.include(words[2], where, depth)
	case "substack":
		inside, err := p.include(words[2], where, depth)
		for i := range inside {
			inside[i].apart = true
		}
		return inside, err
	}
	if p.modules++; p.modules > maxModules {
		return nil, fmt.Errorf("%w: over %d lines for sessions", ErrUnread, maxModules)
	}
	return []module{{control: control, name: path.Base(words[2]), args: words[3:], where: where, included: depth > 0}}, nil
}

// include returns the session part of another file.
func (p *parser) include(name, where string, depth int) ([]module, error) {
	places := []string{name}
	if !path.IsAbs(name) {
		places = []string{path.Join(p.folder, name), path.Join("/etc/pam.d", name), path.Join("/usr/lib/pam.d", name)}
	}
	for _, place := range places {
		text, err := p.read(place)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: what %s includes: %w", ErrUnread, where, err)
		}
		lines, err := p.lines(place, string(text), depth+1)
		var all []module
		for _, l := range lines {
			all = append(all, l.modules...)
		}
		return all, err
	}
	return nil, fmt.Errorf("%w: %s includes %.100q, which is not there", ErrUnread, where, name)
}

// split takes a line apart as libpam does: at blanks, but what begins with a bracket
// goes to the closing one, in which \] is a bracket.
func split(content string) []string {
	var words []string
	for rest := strings.TrimLeft(content, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		if rest[0] != '[' {
			end := strings.IndexAny(rest, " \t")
			if end < 0 {
				end = len(rest)
			}
			words = append(words, rest[:end])
			rest = rest[end:]
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(rest) && rest[i] != ']'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) && rest[i+1] == ']' {
				i++
			}
			b.WriteByte(rest[i])
		}
		words = append(words, b.String())
		rest = rest[min(i+1, len(rest)):]
	}
	return words
}
