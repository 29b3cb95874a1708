package openssh

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/sshcert"
)

// Of the environment in which the wrapper calls the stand-in.
const (
	realKeygen = "SALLYPORT_REAL_KEYGEN"
	journal    = "SALLYPORT_KEYGEN_JOURNAL"
)

// The journal, one line for each call that signs or makes a list.
const (
	journalFile     = "keygen-of-ours.log"
	madeCertificate = "certificate"
	madeList        = "list"
)

// AsKeygen tells whether this process was called by the wrapper.
func AsKeygen() bool { return os.Getenv(realKeygen) != "" }

// errLeft says that a call is left to the real ssh-keygen.
var errLeft = errors.New("left to ssh-keygen")

// Keygen behaves as ssh-keygen. Certificates that it signs are encoded and signed by us; the real one makes them first, so
// that it is the one to read the flags. Revocation lists by key, fingerprint and serial are made by us alone. It returns the
// exit code.
func Keygen(args []string) int {
	c := parseCall(args)
	var err error
	switch {
	case c.list && !c.update:
		err = c.makeList()
		if err == nil {
			return note(madeList)
		}
	case c.authority != "" && !c.list:
		if code := theReal(args); code != 0 {
			return code
		}
		for _, key := range c.rest {
			if err := signAgain(c, key); err != nil {
				note("a certificate: " + err.Error())
			} else {
				note(madeCertificate)
			}
		}
		return 0
	default:
		return theReal(args)
	}
	note("a list: " + err.Error())
	return theReal(args)
}

func note(line string) int {
	f, err := os.OpenFile(os.Getenv(journal), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fault(err)
	}
	_, err = fmt.Fprintln(f, strings.ReplaceAll(line, "\n", " "))
	if err := errors.Join(err, f.Close()); err != nil {
		return fault(err)
	}
	return 0
}

func fault(err error) int {
	fmt.Fprintln(os.Stderr, "ssh-keygen of ours:", err)
	return 255
}

// theReal calls the real ssh-keygen.
func theReal(args []string) int {
	cmd := exec.Command(os.Getenv(realKeygen), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return fault(err)
	}
	return cmd.ProcessState.ExitCode()
}

// call is what the flags of ssh-keygen say, as far as it matters here.
type call struct {
	list, update bool   // -k, -u
	authority    string // -s
	file         string // -f
	number       uint64 // -z
	algorithm    string // -t
	other        bool   // a flag that is none of those below
	rest         []string
}

// parseCall reads flags as getopt does.
func parseCall(args []string) call {
	const valued = "sfztInVODCNPbwYRFrmMWa"
	var c call
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			c.rest = append(c.rest, arg)
			continue
		}
		for j := 1; j < len(arg); j++ {
			flag, value := arg[j], ""
			if strings.IndexByte(valued, flag) >= 0 {
				if value = arg[j+1:]; value == "" && i+1 < len(args) {
					i++
					value = args[i]
				}
				j = len(arg)
			}
			c.flag(flag, value)
		}
	}
	return c
}

func (c *call) flag(flag byte, value string) {
	switch flag {
	case 'k':
		c.list = true
	case 'u':
		c.update = true
	case 's':
		c.authority = value
	case 'f':
		c.file = value
	case 't':
		c.algorithm = value
	case 'z':
		c.number, c.other = 0, c.other || value == ""
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			c.number = n
		}
	case 'Y', 'Q', 'l', 'L', 'U', 'D':
		c.other = true
	}
}

// signAgain takes the certificate that the real ssh-keygen has made for a key and makes it anew: encoded by us, over a
// nonce of ours, signed by the same authority.
func signAgain(c call, key string) error {
	if c.other {
		return errLeft
	}
	path := strings.TrimSuffix(key, ".pub") + "-cert.pub"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	public, comment, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return err
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok {
		return errLeft
	}
	signer, err := authority(c, cert)
	if err != nil {
		return err
	}
	made := *cert
	made.Nonce, made.Signature = make([]byte, ca.NonceSize), nil
	if _, err := io.ReadFull(rand.Reader, made.Nonce); err != nil {
		return err
	}
	tbs := sshcert.SignedBytes(&made)
	if made.Signature, err = signer.SignWithAlgorithm(rand.Reader, tbs, cert.Signature.Format); err != nil {
		return err
	}
	if err := signer.PublicKey().Verify(tbs, made.Signature); err != nil {
		return err
	}
	line := fmt.Sprintf("%s %s %s\n", made.Type(), base64.StdEncoding.EncodeToString(made.Marshal()), comment)
	return os.WriteFile(path, []byte(line), 0o600)
}

// authority is the signer whose key made the certificate.
func authority(c call, cert *ssh.Certificate) (ssh.AlgorithmSigner, error) {
	pem, err := os.ReadFile(c.authority)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, err // a FIDO key say, whose token we do not have
	}
	able, ok := signer.(ssh.AlgorithmSigner)
	if !ok || string(signer.PublicKey().Marshal()) != string(cert.SignatureKey.Marshal()) {
		return nil, errLeft
	}
	return able, nil
}

// makeList makes the revocation list that -k asks for.
func (c call) makeList() error {
	if c.file == "" || c.other {
		return errLeft
	}
	list := krl.List{Number: c.number, MadeAt: uint64(time.Now().Unix())}
	var by ssh.PublicKey
	if c.authority != "" {
		public := c.authority
		if !strings.HasSuffix(public, ".pub") {
			public += ".pub"
		}
		text, err := os.ReadFile(public)
		if err != nil {
			return err
		}
		if by, _, _, _, err = ssh.ParseAuthorizedKey(text); err != nil {
			return err
		}
	}
	for _, path := range c.rest {
		text, err := readInput(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if line, _, _ = strings.Cut(strings.TrimSpace(line), "#"); line == "" {
				continue
			}
			if err := revoke(&list, by, line); err != nil {
				return err
			}
		}
	}
	out, err := list.Marshal()
	if err != nil {
		return err
	}
	if _, err := krl.Parse(out); err != nil {
		return err
	}
	return os.WriteFile(c.file, out, 0o600)
}

// readInput reads a file. What comes on standard input can be read but once, so only nothing is taken from there.
func readInput(path string) (string, error) {
	if path != "-" {
		text, err := os.ReadFile(path)
		return string(text), err
	}
	text, err := io.ReadAll(os.Stdin)
	if err == nil && len(text) > 0 {
		return "", errLeft
	}
	return "", err
}

// revoke puts one line of a specification into the list (ssh-keygen(1), KEY REVOCATION LISTS).
func revoke(list *krl.List, by ssh.PublicKey, line string) error {
	kind, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch kind {
	case "serial":
		return revokeSerials(list, by, value)
	case "hash":
		sum, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(value, "SHA256:"))
		if err != nil || len(sum) != sha256.Size || !strings.HasPrefix(value, "SHA256:") {
			return errLeft
		}
		list.Hashes = append(list.Hashes, [sha256.Size]byte(sum))
		return nil
	case "id", "sha1":
		return errLeft // not in our lists
	case "key", "sha256":
		line = value
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return err
	}
	cert, ok := key.(*ssh.Certificate)
	switch {
	case ok && (cert.Serial == 0 || kind == "sha256"):
		return errLeft // by its key ID
	case ok:
		return revokeSerials(list, cert.SignatureKey, strconv.FormatUint(cert.Serial, 10))
	case kind == "sha256":
		list.Hashes = append(list.Hashes, sha256.Sum256(key.Marshal()))
	default:
		list.Keys = append(list.Keys, key)
	}
	return nil
}

func revokeSerials(list *krl.List, by ssh.PublicKey, value string) error {
	if by == nil {
		return errLeft // whoever signed
	}
	first, last, isRange := strings.Cut(value, "-")
	if !isRange {
		last = first
	}
	from, fromErr := strconv.ParseUint(first, 0, 64)
	to, toErr := strconv.ParseUint(last, 0, 64)
	if err := errors.Join(fromErr, toErr); err != nil {
		return err
	}
	i := slices.IndexFunc(list.Issued, func(i krl.Issued) bool { return string(i.CA.Marshal()) == string(by.Marshal()) })
	if i < 0 {
		list.Issued = append(list.Issued, krl.Issued{CA: by})
		i = len(list.Issued) - 1
	}
	list.Issued[i].Serials = append(list.Issued[i].Serials, krl.Range{First: from, Last: to})
	return nil
}
