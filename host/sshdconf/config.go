package sshdconf

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxDepth is how deep sshd follows Include.
	maxDepth = 16
	// maxFiles and maxBlocks bound what is read, and how often sshd is asked.
	maxFiles  = 256
	maxBlocks = 256
	// sshDir is where sshd looks for the files of an Include without a path.
	sshDir = "/etc/ssh"
)

// Config is the text of a configuration with its includes in place, in the order in which sshd reads it.
type Config struct {
	Files  []string // every file that was read, in order, each once
	Lines  []Line
	Blocks []Block
}

// Line is one setting. Includes and Match lines are none: they are followed.
type Line struct {
	File    string
	Number  int
	Text    string // as it stands, without what surrounds it
	Keyword string // in lower case
	block   int    // in Blocks, or -1
}

// Block is a Match block: settings for some connections only.
type Block struct {
	File   string
	Number int
	Match  string // its criteria, as they stand
	parent int    // the block that includes its file, or -1
}

// String says which block it is.
func (b Block) String() string { return fmt.Sprintf("Match %s (%s:%d)", b.Match, b.File, b.Number) }

// String says where the line stands.
func (l Line) String() string { return fmt.Sprintf("%s:%d", l.File, l.Number) }

// ReadConfig reads a configuration as sshd does: Include is followed, in alphabetic order and without hidden files; an
// included file does not change which Match block the including one is in.
func ReadConfig(path string) (Config, error) {
	r := reader{seen: map[string]bool{}}
	if err := r.file(path, -1, 0); err != nil {
		return Config{}, err
	}
	return r.config, nil
}

type reader struct {
	config Config
	files  int
	seen   map[string]bool
}

// file reads one file whose lines belong to a block until it says Match itself.
func (r *reader) file(path string, block, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: %s is included more than %d deep", ErrUnreadable, path, maxDepth)
	}
	if r.files++; r.files > maxFiles {
		return fmt.Errorf("%w: it includes more than %d files", ErrUnreadable, maxFiles)
	}
	text, err := readFile(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if !r.seen[path] {
		r.seen[path] = true
		r.config.Files = append(r.config.Files, path)
	}
	parent, number := block, 0
	for line := range strings.Lines(string(text)) {
		number++
		l := Line{File: path, Number: number, Text: strings.Trim(line, " \t\r\n\f"), block: block}
		var rest string
		if l.Keyword, rest = cutKeyword(l.Text); l.Keyword == "" {
			continue
		}
		switch l.Keyword {
		case "match":
			if len(r.config.Blocks) == maxBlocks {
				return fmt.Errorf("%w: it has more than %d Match blocks", ErrUnreadable, maxBlocks)
			}
			r.config.Blocks = append(r.config.Blocks, Block{File: path, Number: number, Match: rest, parent: parent})
			block = len(r.config.Blocks) - 1
		case "include":
			if err := r.include(l, rest, depth); err != nil {
				return err
			}
		default:
			r.config.Lines = append(r.config.Lines, l)
		}
	}
	return nil
}

// include reads what an Include line names. A pattern that matches nothing includes nothing.
func (r *reader) include(l Line, rest string, depth int) error {
	patterns, err := splitArgs(rest)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnreadable, l, err)
	}
	for _, pattern := range patterns {
		if !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "~") {
			pattern = sshDir + "/" + pattern
		}
		paths, err := glob(pattern)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUnreadable, l, err)
		}
		for _, path := range paths {
			if err := r.file(path, l.block, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// Without is the configuration without the lines of one file.
func (c Config) Without(file string) Config {
	c.Lines = slices.DeleteFunc(slices.Clone(c.Lines), func(l Line) bool { return l.File == file })
	return c
}

// Global is the text of the lines that hold for every connection.
func (c Config) Global() []byte {
	var b bytes.Buffer
	c.write(&b, func(block int) bool { return block < 0 })
	return b.Bytes()
}

// Alone is the text of a configuration in which block i holds for every connection and no other block for any. What sshd
// makes of it is what the block can bring about, whomever its criteria name.
func (c Config) Alone(i int) []byte {
	var with []int
	for block := i; block >= 0; block = c.Blocks[block].parent {
		with = append(with, block)
	}
	b := bytes.NewBuffer(c.Global())
	fmt.Fprintln(b, "Match all")
	c.write(b, func(block int) bool { return slices.Contains(with, block) })
	return b.Bytes()
}

func (c Config) write(b *bytes.Buffer, which func(block int) bool) {
	for _, l := range c.Lines {
		if which(l.block) {
			fmt.Fprintln(b, l.Text)
		}
	}
}

// cutKeyword cuts a line as sshd does: the keyword ends at blanks or at one equals sign. A comment has none.
func cutKeyword(line string) (word, rest string) {
	if line == "" || line[0] == '#' {
		return "", ""
	}
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		word, rest, _ = strings.Cut(quoted, `"`)
	} else if end := strings.IndexAny(line, " \t\r\f="); end >= 0 {
		word, rest = line[:end], line[end:]
	} else {
		word = line
	}
	rest = strings.TrimLeft(rest, " \t\r\f")
	if after, ok := strings.CutPrefix(rest, "="); ok {
		rest = strings.TrimLeft(after, " \t\r\f")
	}
	return strings.ToLower(word), rest
}

// splitArgs splits what stands behind a keyword: words, single and double quotes, a comment at the end.
func splitArgs(s string) ([]string, error) {
	var args []string
	for s = strings.TrimLeft(s, " \t"); s != "" && s[0] != '#'; s = strings.TrimLeft(s, " \t") {
		var word strings.Builder
		quote := byte(0)
		i := 0
		for ; i < len(s); i++ {
			c := s[i]
			switch {
			case c == '\\' && i+1 < len(s) && strings.IndexByte(`'"\ `, s[i+1]) >= 0:
				i++
				word.WriteByte(s[i])
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && (c == '\'' || c == '"'):
				quote = c
			case quote == 0 && (c == ' ' || c == '\t'):
				goto done
			default:
				word.WriteByte(c)
			}
		}
	done:
		if quote != 0 {
			return nil, fmt.Errorf("a quotation mark is not closed")
		}
		args, s = append(args, word.String()), s[i:]
	}
	return args, nil
}

// glob is glob(3) as sshd calls it: like filepath.Glob, but * and ? pass over a dot at the start of a name, and [! begins
// what is left out.
func glob(pattern string) ([]string, error) {
	paths, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return nil, err
	}
	want := strings.Split(filepath.Clean(pattern), "/")
	return slices.DeleteFunc(paths, func(path string) bool {
		for i, name := range strings.Split(path, "/") {
			if strings.HasPrefix(name, ".") && i < len(want) && !strings.HasPrefix(want[i], ".") {
				return true
			}
		}
		return false
	}), nil
}

// readFile reads a regular file of bounded size, never a pipe or a device.
func readFile(path string) (text []byte, err error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	text, err = io.ReadAll(io.LimitReader(f, maxOutput+1))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && len(text) > maxOutput {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxOutput)
	}
	return text, err
}

// openRegular opens a file without waiting for whoever writes into a pipe. What is no regular file is not even opened: a
// user's link to a device could do harm by that alone.
func openRegular(path string) (*os.File, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0) //nolint:gosec // what sshd reads, or a user's file of keys
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}
