package sshdconf

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write puts files below a new folder, whose name stands for DIR in their text, and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadConfig(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"sshd_config": `# comment
	Include DIR/d/*.conf   "DIR/with space" DIR/none*
PORT = 22
UsePAM	yes # text behind
"LogLevel" VERBOSE
Match User git,"a b" Address 10.0.0.0/8
	PasswordAuthentication yes
	Include DIR/in-block
	X11Forwarding no
match all
Banner none`,
		"d/00-a.conf":    "LoginGraceTime 20\nMatch Group wheel\nMaxSessions 2\n",
		"d/10-b.conf":    "MaxAuthTries 3\r\n",
		"d/.hidden.conf": "PermitRootLogin yes\n",
		"with space":     "MaxStartups 1:2:3\n",
		"in-block":       "GatewayPorts yes\nMatch Host x\nAllowTcpForwarding no\n",
	})
	c, err := ReadConfig(filepath.Join(dir, "sshd_config"))
	if err != nil {
		t.Fatal(err)
	}
	global := "LoginGraceTime 20\nMaxAuthTries 3\nMaxStartups 1:2:3\nPORT = 22\nUsePAM\tyes # text behind\n\"LogLevel\" VERBOSE\n"
	if got := string(c.Global()); got != global {
		t.Errorf("for everybody it has\n%s\nwant\n%s", got, global)
	}
	alone := []string{
		"MaxSessions 2\n",
		"PasswordAuthentication yes\nGatewayPorts yes\nX11Forwarding no\n",
		"PasswordAuthentication yes\nGatewayPorts yes\nAllowTcpForwarding no\nX11Forwarding no\n",
		"Banner none\n",
	}
	if len(c.Blocks) != len(alone) {
		t.Fatalf("%d blocks, want %d: %v", len(c.Blocks), len(alone), c.Blocks)
	}
	for i, want := range alone {
		if got := string(c.Alone(i)); got != global+"Match all\n"+want {
			t.Errorf("%s alone is\n%s\nwant\n%s", c.Blocks[i], got, global+"Match all\n"+want)
		}
	}
	if got, want := c.Blocks[1].String(), `Match User git,"a b" Address 10.0.0.0/8 (`+dir+"/sshd_config:6)"; got != want {
		t.Errorf("the block is called %s, want %s", got, want)
	}
	if l := c.first("maxauthtries"); l == nil || l.String() != dir+"/d/10-b.conf:1" {
		t.Errorf("MaxAuthTries stands at %v", l)
	}
	if len(c.Files) != 5 || slices.ContainsFunc(c.Files, func(path string) bool { return strings.Contains(path, "hidden") }) {
		t.Errorf("it is read from %v", c.Files)
	}
}

// What can't be read whole is refused: what it says could be a way around the verifier.
func TestReadConfigRefuses(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{
		"loop": "Include DIR/loop\n", "quote": "Include \"DIR/x\n", "blocks": strings.Repeat("Match all\n", maxBlocks+1),
		"large": strings.Repeat("#", maxOutput+1), "fan": strings.Repeat("Include DIR/fan-*\n", maxFiles), "fan-a": "", "fan-b": "", "folder/x": "",
		"dangling": "Include DIR/link\n", "pattern": "Include DIR/[\n",
	})
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"missing", "loop", "quote", "blocks", "large", "fan", "folder", "dangling", "pattern"} {
		if _, err := ReadConfig(filepath.Join(dir, name)); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	t.Parallel()
	answers := readRecorded(t, filepath.Join("testdata", "recorded", "9.2.txtar"))
	whole := answers["require.0"]
	if _, err := ParseSettings(whole); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"nothing": "", "cut off": whole[:len(whole)/2], "another program's": whole + "Usage: x\n", "too much": whole + strings.Repeat("banner none\n", maxOutput),
	}
	for _, key := range judged {
		lines := byKeyword(whole)
		delete(lines, key)
		var b strings.Builder
		for _, line := range lines {
			b.WriteString(line)
		}
		tests["without "+key] = b.String()
	}
	for name, output := range tests {
		if _, err := ParseSettings(output); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("port 22\nauthenticationmethods any\n")
	f.Add("authenticationmethods publickey,password:x a:\n")
	f.Fuzz(func(t *testing.T, output string) {
		s, err := ParseSettings(output)
		if err != nil {
			return
		}
		for _, found := range append(Judge(standard(), s), JudgeWeak(s)...) {
			if found.ID == "" || found.Says == "" || found.Mend == "" {
				t.Errorf("%+v", found)
			}
		}
	})
}

// However a file is written, no line of it is lost but comments, includes and Match lines.
func FuzzReadConfig(f *testing.F) {
	f.Add("Port 22\nMatch all\n Banner=x\n\"a\" b\n#c\nInclude /nonexistent/*\n")
	f.Add("a=\"\n=\n\"\n\\\n'x' \"y\\\" z\"")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // would read this machine's files
		}
		path := filepath.Join(t.TempDir(), "sshd_config")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := ReadConfig(path)
		if err != nil {
			return
		}
		lines := 0
		for line := range strings.Lines(text) {
			if line = strings.Trim(line, " \t\r\n\f"); line != "" && line[0] != '#' {
				lines++
			}
		}
		if got := len(c.Lines) + len(c.Blocks); got > lines {
			t.Errorf("%d settings out of %d lines", got, lines)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add("cert-authority ssh-ed25519 AAAA\n")
	f.Add("command=\"a,cert-authority b\",cert-authority ssh-rsa x\n# no\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := 0
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines++
			}
		}
		if got := len(readKeys(text)); got != lines {
			t.Errorf("%d keys in %d lines of %q", got, lines, text)
		}
	})
}
