package sshdconf

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxNamed is how many keys of a file are named in a finding.
const maxNamed = 4

// keyLine is a line of an authorized_keys file that lets somebody in.
type keyLine struct {
	name      string // the key's fingerprint, or what is known of it
	authority bool   // it trusts a certificate authority
}

// keyFile is what a file of keys comes to: how many there are of each, and the first few names.
type keyFile struct {
	plain, authorities int
	names, authorityOf []string
}

// summary counts the keys of a file. It keeps little, whatever a user has written there.
func summary(text string) keyFile {
	var f keyFile
	for _, key := range readKeys(text) {
		count, names := &f.plain, &f.names
		if key.authority {
			count, names = &f.authorities, &f.authorityOf
		}
		if *count++; len(*names) < maxNamed {
			*names = append(*names, key.name)
		}
	}
	return f
}

// readKeyFile reads a file of keys.
func readKeyFile(path string) (keyFile, error) {
	text, err := readFile(path)
	if err != nil {
		return keyFile{}, err
	}
	return summary(string(text)), nil
}

// readKeys reads the lines of an authorized_keys file. A line that is no comment counts as a key even if it can't be read
// here: sshd may know more types than this.
func readKeys(text string) []keyLine {
	var keys []keyLine
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k := keyLine{name: "a line that is no key known here", authority: namesAuthority(line)}
		if key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil {
			k.name = ssh.FingerprintSHA256(key)
			for _, option := range options {
				k.authority = k.authority || strings.EqualFold(option, "cert-authority")
			}
		}
		keys = append(keys, k)
	}
	return keys
}

// namesAuthority tells whether the options at the start of a line have cert-authority outside of quotes.
func namesAuthority(line string) bool {
	quoted, start := false, 0
	for i := 0; i <= len(line); i++ {
		end := i == len(line)
		switch {
		case !end && line[i] == '\\' && i+1 < len(line) && line[i+1] == '"':
			i++
		case !end && line[i] == '"':
			quoted = !quoted
		case end || !quoted && (line[i] == ',' || line[i] == ' ' || line[i] == '\t'):
			if strings.EqualFold(line[start:i], "cert-authority") {
				return true
			}
			if end || line[i] != ',' {
				return false
			}
			start = i + 1
		}
	}
	return false
}

// expand is the path of a user's file for a pattern of AuthorizedKeysFile, as sshd makes it; empty if the pattern has a
// token that sshd would refuse.
func expand(pattern string, a Account) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			b.WriteByte(pattern[i])
			continue
		}
		if i++; i == len(pattern) {
			return ""
		}
		switch pattern[i] {
		case '%':
			b.WriteByte('%')
		case 'h':
			b.WriteString(a.Home)
		case 'u':
			b.WriteString(a.Name)
		case 'U':
			b.WriteString(strconv.FormatUint(uint64(a.UID), 10))
		default:
			return ""
		}
	}
	if path := b.String(); strings.HasPrefix(path, "/") {
		return path
	}
	return a.Home + "/" + b.String()
}

// judgeKeyFiles looks into the files of keys that are in force for users and says whom they let in without a certificate.
// The files of the owner's own way are expected, and a note; an authority is expected in none.
func judgeKeyFiles(w Wanted, s Settings, users []Account, read func(path string) (keyFile, error)) []Finding {
	var found []Finding
	for _, pattern := range s.keyFiles() {
		if w.Offline != "" && pattern == w.Offline+"/%u" {
			continue // held to host.json, byte for byte, by whoever knows that
		}
		own := w.ownKeys(pattern)
		for _, user := range users {
			path := expand(pattern, user)
			if path == "" {
				continue
			}
			keys, err := read(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				found = append(found, Finding{
					ID: "keys-unread", Severity: Bypass, Says: fmt.Sprintf("the keys that let %s in can't be looked at: %v", user.Name, err),
					Mend: "run sally-host doctor as root; if it says so again, remove the file",
				})
			default:
				found = append(found, judgeKeyFile(path, user.Name, keys, own)...)
			}
		}
	}
	return found
}

func judgeKeyFile(path, user string, keys keyFile, own bool) []Finding {
	var found []Finding
	if keys.authorities > 0 {
		found = append(found, Finding{
			ID: "cert-authority", Severity: Bypass,
			Says: fmt.Sprintf("%s trusts a certificate authority of its own, whose certificates let people in as %s without the verifier: %s", path, user, few(keys.authorityOf, keys.authorities)),
			Mend: "remove the cert-authority line",
		})
	}
	switch {
	case keys.plain == 0:
	case own:
		found = append(found, Finding{
			ID: "break-glass-keys", Severity: Note,
			Says: fmt.Sprintf("the owner's way in is open: %s lets %d in as %s with a plain key: %s", path, keys.plain, user, few(keys.names, keys.plain)),
			Mend: "empty the file when it is no longer needed",
		})
	default:
		found = append(found, Finding{
			ID: "plain-keys", Severity: Bypass,
			Says: fmt.Sprintf("%s lets %d in as %s with a plain key: %s", path, keys.plain, user, few(keys.names, keys.plain)),
			Mend: "remove the keys, or set AuthorizedKeysFile as the fragment does",
		})
	}
	return found
}

// few lists the first names and says how many more there are.
func few(names []string, all int) string {
	if all <= len(names) {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), all-len(names))
}

// JudgeAuthorities compares the file that TrustedUserCAKeys names with the authorities of the trust bundle, each as SSH wire
// bytes.
func JudgeAuthorities(path string, bundle [][]byte) []Finding {
	text, err := readFile(path)
	if err != nil {
		return []Finding{{
			ID: "authorities-unread", Severity: Weak, Says: fmt.Sprintf("no certificate gets in, because the authorities' keys can't be read: %v", err),
			Mend: "run sally-host setup again",
		}}
	}
	var found []Finding
	want := map[string]bool{}
	for _, key := range bundle {
		want[string(key)] = true
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		wire, name := wireOf(line)
		if !want[string(wire)] {
			found = append(found, Finding{
				ID: "foreign-authority", Severity: Bypass, Says: fmt.Sprintf("%s trusts a certificate authority that the trust bundle does not have: %s", path, name),
				Mend: "run sally-host setup again, which writes the file from the bundle; find out who changed it",
			})
		}
		delete(want, string(wire))
	}
	if len(want) > 0 {
		found = append(found, Finding{
			ID: "authority-missing", Severity: Weak, Says: fmt.Sprintf("%s lacks %d of the trust bundle's certificate authorities, whose certificates are refused", path, len(want)),
			Mend: "run sally-host setup again, which writes the file from the bundle",
		})
	}
	return found
}

// wireOf is the key of a line and its name.
func wireOf(line string) (wire []byte, name string) {
	if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil {
		return key.Marshal(), ssh.FingerprintSHA256(key)
	}
	if f := strings.Fields(line); len(f) >= 2 {
		if wire, err := base64.StdEncoding.DecodeString(f[1]); err == nil {
			return wire, "a key of type " + strconv.Quote(f[0][:min(len(f[0]), 60)])
		}
	}
	return nil, "a line that is no key known here"
}
