package sshdconf

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first asked. The verifier, which is started for each login, is
// linked with this package and asks none: compiling them all took more than half a millisecond each time.
type pattern struct{ compiled func() *regexp.Regexp }

func newPattern(text string) pattern {
	return pattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

// MatchString is that of regexp.Regexp.
func (p pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }

// FindStringSubmatch is that of regexp.Regexp.
func (p pattern) FindStringSubmatch(s string) []string { return p.compiled().FindStringSubmatch(s) }
