package sshdconf

import "fmt"

// DropsPrincipals tells whether a release has bz#3574: a line for AuthorizedKeysCommand, none too, that stands before
// AuthorizedPrincipalsCommand makes sshd pass over the latter, and of several lines for the latter the last one counts.
// Releases before 8.7 do not have it.
func (v Version) DropsPrincipals() bool { return !v.Before(8, 7) && v.Before(9, 4) }

// JudgeRelease is about what a release of OpenSSH does otherwise than it should.
func JudgeRelease(v Version, config Config, global Settings) []Finding {
	var found []Finding
	if v.Before(8, 2) {
		found = append(found, Finding{
			ID: "old-openssh", Severity: Weak, Says: fmt.Sprintf("OpenSSH %s is too old for sally-host setup: it knows no Include", v), Mend: "upgrade to 9.4 or newer",
		})
	}
	if !v.DropsPrincipals() {
		return found
	}
	keys, principals := config.first("authorizedkeyscommand"), config.first("authorizedprincipalscommand")
	switch {
	case keys == nil:
		if global.none("authorizedprincipalscommand") {
			break
		}
		found = append(found, Finding{
			ID: "bz3574-possible", Severity: Note,
			Says: fmt.Sprintf("OpenSSH %s lets a line for AuthorizedKeysCommand, which anybody may add later, switch the verifier off (bz#3574)", v),
			Mend: "upgrade to 9.4 or newer; run sally-host doctor after each change until then",
		})
	case global.none("authorizedprincipalscommand") && principals != nil:
		found = append(found, Finding{
			ID: "bz3574", Severity: Bypass, Line: keys.String(),
			Says: fmt.Sprintf("OpenSSH %s drops AuthorizedPrincipalsCommand because a line for AuthorizedKeysCommand stands before it (bz#3574)", v),
			Mend: "remove the line, even if it says none, or upgrade to 9.4 or newer",
		})
	default:
		found = append(found, Finding{
			ID: "bz3574-near", Severity: Weak, Line: keys.String(),
			Says: fmt.Sprintf("OpenSSH %s would drop the verifier if the line for AuthorizedKeysCommand came to stand before it (bz#3574)", v),
			Mend: "remove the line, even if it says none, or upgrade to 9.4 or newer",
		})
	}
	return found
}

// first is the first line with a keyword that holds for everybody, or nil.
func (c Config) first(keyword string) *Line {
	for i := range c.Lines {
		if c.Lines[i].block < 0 && c.Lines[i].Keyword == keyword {
			return &c.Lines[i]
		}
	}
	return nil
}
