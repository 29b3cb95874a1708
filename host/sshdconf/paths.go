package sshdconf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Secure tells whether only owner can change what a path names: the file itself and each folder above it belong to owner
// or root and can't be written to by group or others. Links are followed, as sshd does.
func Secure(path string, owner uint32) error {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for at := resolved; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if uid, ok := ownerOf(info); !ok || uid != owner && uid != 0 {
			return fmt.Errorf("%s belongs to the user %d", at, uid)
		}
		sticky := info.IsDir() && info.Mode()&fs.ModeSticky != 0
		if info.Mode().Perm()&0o022 != 0 && (at == resolved || !sticky || owner == 0) {
			return fmt.Errorf("%s can be written to by others (mode %04o)", at, info.Mode().Perm())
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// Place is a file of ours and what it would mean if others could change it.
type Place struct {
	ID, Path string
	Severity Severity
	Means    string // "…, so that WHAT"
	Optional bool   // it may be absent
	Runs     bool   // it is a program
}

// JudgePlaces says which of our files others can change.
func JudgePlaces(places []Place, owner uint32) []Finding {
	var found []Finding
	for _, p := range places {
		err := Secure(p.Path, owner)
		switch {
		case errors.Is(err, fs.ErrNotExist) && p.Optional:
		case errors.Is(err, fs.ErrNotExist):
			found = append(found, Finding{
				ID: p.ID, Severity: Weak, Says: p.Path + " is missing, so no certificate gets in", Mend: "run sally-host setup again",
			})
		case err == nil && p.Runs && !runs(p.Path):
			found = append(found, Finding{
				ID: "program-not-run", Severity: Weak, Says: p.Path + " can't be run, so no certificate gets in", Mend: "chmod 0755 " + p.Path,
			})
		case err != nil:
			found = append(found, Finding{
				ID: p.ID, Severity: p.Severity, Says: fmt.Sprintf("%v, so that %s", err, p.Means),
				Mend: "give it and the folders above it to root, chmod go-w; sally-host setup does it for its own",
			})
		}
	}
	return found
}

func runs(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o001 != 0 // by the verifier's own account
}

// krlMagic begins a revocation list of OpenSSH's own format.
var krlMagic = []byte("SSHKRL\n\x00")

// JudgeRevoked looks at the file of revoked keys. sshd refuses every key, plain ones too, while it can't read it.
func JudgeRevoked(path string) []Finding {
	text, err := readRevoked(path)
	says := ""
	switch {
	case err != nil:
		says = fmt.Sprintf("nobody gets in with a key, because the file of revoked keys can't be read: %v", err)
	case !bytes.HasPrefix(text, krlMagic):
		says = fmt.Sprintf("nobody may get in with a key, because the file of revoked keys %s is no revocation list", path)
	default:
		return nil
	}
	return []Finding{{ID: "revoked-unread", Severity: Weak, Says: says, Mend: "run sally-host setup again, which makes an empty list where there is none"}}
}

func readRevoked(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, len(krlMagic))
	n, readErr := f.Read(head)
	if err := f.Close(); err != nil {
		return nil, err
	}
	if readErr != nil {
		return nil, fmt.Errorf("%s: %w", path, readErr)
	}
	return head[:n], nil
}

// judgeFiles is about the modes of sshd's own files (CIS 5.1.1 to 5.1.3).
func judgeFiles(config string, global Settings) []Finding {
	var found []Finding
	check := func(id, path, what string, most fs.FileMode) {
		info, err := os.Stat(path)
		if err != nil {
			return // sshd itself says so
		}
		uid, known := ownerOf(info)
		if info.Mode().Perm()&^most != 0 || known && uid != 0 {
			found = append(found, Finding{
				ID: id, Severity: Weak, Says: fmt.Sprintf("%s %s has mode %04o and belongs to user %d", what, path, info.Mode().Perm(), uid),
				Mend: fmt.Sprintf("chown root and chmod %04o %s", most, path),
			})
		}
	}
	check("cis-5.1.1", config, "the configuration", 0o600)
	for _, key := range global.Values("hostkey") {
		check("cis-5.1.2", key, "the private host key", 0o600)
		check("cis-5.1.3", key+".pub", "the public host key", 0o644)
	}
	return found
}
