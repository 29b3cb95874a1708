package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/sshcert"
)

const publicSuffix = ".pub"

// maxPublicFile is the largest public key file read: a line of
// sshcert.MaxSubjectKey in base64, and a comment.
const maxPublicFile = 16 << 10

// ownKey is a key that the person keeps: in a security key, in the ssh-agent, or
// in a file. Only its public half is read here; ssh-keygen and ssh find the other.
type ownKey struct {
	public     ssh.PublicKey
	publicFile string
	// sshFile is what ssh gets as IdentityFile: the private key's file where there
	// is one, else the public one's, whose key an ssh-agent holds.
	sshFile string
}

// readOwnKey reads what --identity names: FILE.pub, or FILE with FILE.pub beside
// it, as ssh -i takes it. The key is held to the key policy before anybody is
// asked for anything.
func readOwnKey(file string) (ownKey, error) { return readKeyFile("--identity", file) }

// readKeyFile is readOwnKey for what another flag names.
func readKeyFile(flag, file string) (ownKey, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return ownKey{}, Usagef("%s %s: %w", flag, file, err)
	}
	if unquotable(path) {
		return ownKey{}, Usagef("%s %q: quotes, backslashes, $ and control characters cannot be given to ssh; copy the public key to another path", flag, path)
	}
	private := strings.TrimSuffix(path, publicSuffix)
	k := ownKey{publicFile: private + publicSuffix, sshFile: private}
	line, err := readPublicFile(k.publicFile)
	if errors.Is(err, fs.ErrNotExist) {
		return ownKey{}, Usagef("%s %s: there is no %s; ssh-keygen -y -f %s prints what belongs into it, ssh-add -L what an ssh-agent holds", flag, file, k.publicFile, private)
	}
	if err != nil {
		return ownKey{}, Usagef("%s %s: %w", flag, file, err)
	}
	if k.public, err = parsePublicLine(line); err != nil {
		return ownKey{}, Usagef("%s %s: %w", flag, file, err)
	}
	if info, err := os.Stat(private); err != nil || !info.Mode().IsRegular() {
		k.sshFile = k.publicFile
	}
	return k, nil
}

func readPublicFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe could wait for ever
		return nil, errors.New("it is no plain file")
	}
	f, err := os.Open(path) //nolint:gosec // the person's own file, which they named
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxPublicFile+1))
	if err == nil && len(b) > maxPublicFile {
		err = fmt.Errorf("over %d bytes; name a public key file", maxPublicFile)
	}
	return b, err
}

// parsePublicLine reads the one line of a .pub file.
func parsePublicLine(file []byte) (ssh.PublicKey, error) {
	line := strings.TrimSuffix(string(file), "\n")
	fields := strings.Fields(line)
	if len(fields) < 2 || strings.ContainsAny(line, "\r\n") {
		return nil, errors.New("not the one line of a public key file: type, base64, comment")
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil {
		return nil, errors.New("not the one line of a public key file: its second word is no base64")
	}
	key, err := sshcert.ParseSubjectKey(wire)
	if err != nil {
		return nil, err
	}
	if key.Type() != fields[0] {
		return nil, fmt.Errorf("the line says %.60q, the key is %s", fields[0], key.Type())
	}
	return key, nil
}

// subject is the key as a certificate's. Its possession is proved by ssh-keygen,
// which asks the ssh-agent first and then the file: for the passphrase, the PIN
// and the touch it asks the person itself.
func (k ownKey) subject(e Env) subject {
	return subject{public: k.public, prove: func(ctx context.Context, document []byte) (string, error) {
		if strings.HasPrefix(k.public.Type(), "sk-") {
			e.say("touch the security key when it blinks")
		}
		armored, err := e.keygenSign(ctx, k.publicFile, sshcert.NamespacePossession, document)
		if err != nil {
			return "", err
		}
		if err := sshcert.Verify(k.public, sshcert.NamespacePossession, document, armored); err != nil {
			return "", fmt.Errorf("what ssh-keygen signed with %s: %w", k.publicFile, err)
		}
		return armored, nil
	}}
}

func (e Env) keygenSign(ctx context.Context, publicFile, namespace string, document []byte) (string, error) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return "", fmt.Errorf("ssh-keygen: %w; install the OpenSSH client", err)
	}
	cmd := exec.CommandContext(ctx, program, "-q", "-Y", "sign", "-n", namespace, "-f", publicFile) //nolint:gosec // an argument, after -f
	cmd.Stdin, cmd.Stderr = bytes.NewReader(document), e.Err
	// The agent and the token's library are those that the rest of sally and ssh use.
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+e.Getenv("SSH_AUTH_SOCK"))
	if provider := e.Getenv(providerVariable); provider != "" {
		cmd.Env = append(cmd.Env, providerVariable+"="+provider)
	}
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("ssh-keygen did not sign with %s (%w); plug in and touch the security key, or load the key with ssh-add, then run this again", publicFile, err)
	}
	return string(out), nil
}

// providerVariable names a library that speaks to a security key; ssh-keygen
// reads it by itself, ssh only when it is told to.
const providerVariable = "SSH_SK_PROVIDER"

// identity is the key with a certificate for it, as ssh gets them.
func (k ownKey) identity(e Env, cert *ssh.Certificate, certFile string) identity {
	id := identity{cert: cert, certFile: certFile, keyFile: k.sshFile, options: []string{"IdentityAgent=SSH_AUTH_SOCK"}}
	if e.Getenv(providerVariable) != "" {
		id.options = append(id.options, "SecurityKeyProvider=$"+providerVariable)
	}
	return id
}
