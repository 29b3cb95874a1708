package host

import (
	"fmt"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

const maxKeyFile = 64 << 10

// ReadKey reads the private host key of sshd, from a file that nobody but its owner
// can have written: root, or the user id owner.
func ReadKey(path string, owner int) (ssh.Signer, error) {
	text, err := Folder{Path: filepath.Dir(path), Owner: owner}.Read(filepath.Base(path), maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("the host key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("the host key %s holds no unencrypted private key", path)
	}
	return key, nil
}
