package lab

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// fidoProvider is OpenSSH's own stand-in for a FIDO token (Debian's package
// openssh-tests): a real provider library whose tokens are touched as soon as
// they are asked.
const fidoProvider = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so"

// FIDOProvider returns the provider library that stands for a FIDO token. ssh-keygen
// takes it with -w, ssh-keygen and ssh-agent by SSH_SK_PROVIDER.
func FIDOProvider() (string, error) {
	if _, err := os.Stat(fidoProvider); err != nil {
		return "", fmt.Errorf("the stand-in for a FIDO token: %w; scripts/deps.sh installs it (Debian's package openssh-tests)", err)
	}
	return fidoProvider, nil
}

// KeyPair makes an ed25519 key pair with ssh-keygen: path (no passphrase) and
// path.pub.
func KeyPair(ctx context.Context, path, comment string) error {
	return KeyPairOf(ctx, path, comment, "-t", "ed25519")
}

// KeyPairOf is KeyPair for a key that ssh-keygen's arguments describe, such as
// -t rsa -b 3072. A FIDO key (-t ed25519-sk, -t ecdsa-sk) lies in FIDOProvider's
// token.
func KeyPairOf(ctx context.Context, path, comment string, args ...string) error {
	keygen, err := FindProgram("ssh-keygen")
	if err != nil {
		return err
	}
	all := append([]string{"-q", "-N", "", "-C", comment, "-f", path}, args...)
	if slices.ContainsFunc(args, func(arg string) bool { return strings.HasSuffix(arg, "-sk") }) {
		provider, err := FIDOProvider()
		if err != nil {
			return err
		}
		all = append(all, "-w", provider)
	}
	r, err := Run(ctx, Command{Path: keygen, Args: all})
	if err != nil {
		return err
	}
	if r.Code != 0 {
		return fmt.Errorf("ssh-keygen: exit code %d: %s", r.Code, strings.TrimSpace(r.Output))
	}
	return nil
}
