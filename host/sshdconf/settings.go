package sshdconf

import (
	"fmt"
	"slices"
	"strings"
)

// maxOutput bounds what is read of sshd's output and of each file of its configuration, in bytes.
const maxOutput = 1 << 20

// Settings is what `sshd -T` prints: what is in force, globally or for one connection.
type Settings struct{ values map[string][]string }

// keyword is how `sshd -T` begins a line; older releases than 10.4 write it in lower case.
var keyword = newPattern(`^[A-Za-z0-9]+$`)

// judged are the settings without which nothing can be said: output that lacks one was cut off, or is something else.
// AuthorizedKeysFile and RevokedKeys are not among them: OpenSSH 10.5 passes over them where they are none.
var judged = []string{
	"authenticationmethods", "authorizedkeyscommand", "authorizedprincipalscommand", "authorizedprincipalscommanduser", "authorizedprincipalsfile",
	"hostbasedauthentication", "kbdinteractiveauthentication", "passwordauthentication", "permitemptypasswords", "permitrootlogin", "permituserenvironment",
	"pubkeyauthentication", "strictmodes", "trustedusercakeys",
}

// ParseSettings reads the output of `sshd -T`.
func ParseSettings(output string) (Settings, error) {
	if len(output) > maxOutput {
		return Settings{}, fmt.Errorf("%w: sshd -T printed more than %d bytes", ErrUnreadable, maxOutput)
	}
	s := Settings{values: map[string][]string{}}
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		key, value, _ := strings.Cut(line, " ")
		if !keyword.MatchString(key) {
			return Settings{}, fmt.Errorf("%w: sshd -T printed the line %.80q", ErrUnreadable, line)
		}
		key = strings.ToLower(key)
		s.values[key] = append(s.values[key], strings.TrimSpace(value))
	}
	for _, key := range judged {
		if len(s.values[key]) == 0 {
			return Settings{}, fmt.Errorf("%w: sshd -T did not say what %s is", ErrUnreadable, key)
		}
	}
	return s, nil
}

// Value is what a keyword, in lower case, is set to; the first of several, empty if sshd did not print it.
func (s Settings) Value(key string) string {
	if values := s.values[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Values is all that a keyword, in lower case, is set to.
func (s Settings) Values(key string) []string { return slices.Clone(s.values[key]) }

// none tells whether a setting is switched off.
func (s Settings) none(key string) bool {
	return s.Value(key) == "" || strings.EqualFold(s.Value(key), "none")
}

// yes tells whether a switch is on. What is neither on nor off counts as on: no switch that is asked here is better so.
func (s Settings) yes(key string) bool {
	value := s.Value(key)
	return value != "" && value != "no"
}

// methods are the lists of AuthenticationMethods, without what stands behind a colon; nil if any one method is enough.
func (s Settings) methods() [][]string {
	value := s.Value("authenticationmethods")
	if value == "any" || value == "" {
		return nil
	}
	var lists [][]string
	for _, list := range strings.Fields(value) {
		var methods []string
		for _, method := range strings.Split(list, ",") {
			name, _, _ := strings.Cut(method, ":")
			methods = append(methods, name)
		}
		lists = append(lists, methods)
	}
	return lists
}

// keyless tells whether a method lets somebody in who has shown no key.
func (s Settings) keyless(method string) bool {
	lists := s.methods()
	if lists == nil {
		return true
	}
	return slices.ContainsFunc(lists, func(list []string) bool {
		return slices.Contains(list, method) && !slices.Contains(list, "publickey")
	})
}

// BehindKey tells whether every way in shows a key first or as well, so that what else is asked is a further factor.
func (s Settings) BehindKey() bool {
	lists := s.methods()
	return lists != nil && !slices.ContainsFunc(lists, func(list []string) bool { return !slices.Contains(list, "publickey") })
}
