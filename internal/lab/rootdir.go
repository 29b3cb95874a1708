package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rootParent is where folders of root's lie. It is left in place.
const rootParent = "/var/lib/sallyport-lab"

// RootDir is a folder that root owns, for what sshd runs, or a host believes, only if
// nobody else could have written it. Without root it is filled through a sudo that
// asks for no password.
type RootDir struct{ path string }

// NewRootDir makes a folder, and removes those of processes that have ended.
func NewRootDir(ctx context.Context) (*RootDir, error) {
	if err := asRoot(ctx, "install", "-d", "-m", "0755", rootParent); err != nil {
		return nil, err
	}
	if err := removeStaleRootDirs(ctx); err != nil {
		return nil, err
	}
	d := &RootDir{path: filepath.Join(rootParent, strings.ReplaceAll(self().String(), " ", "-")+"."+rand.Text()[:8])}
	return d, asRoot(ctx, "install", "-d", "-m", "0755", d.path)
}

// Path is a path inside of it.
func (d *RootDir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Install copies a file into it, with exactly this mode, and returns where it is.
func (d *RootDir) Install(ctx context.Context, from string, mode fs.FileMode, name string) (string, error) {
	return d.Path(name), asRoot(ctx, "install", "-m", fmt.Sprintf("%04o", mode), "--", from, d.Path(name))
}

// InstallText is Install of a text.
func (d *RootDir) InstallText(ctx context.Context, text string, mode fs.FileMode, name string) (path string, err error) {
	file, err := os.CreateTemp("", "sallyport-lab-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	return d.Install(ctx, file.Name(), mode, name)
}

// Chmod changes the mode of what is in it.
func (d *RootDir) Chmod(ctx context.Context, mode fs.FileMode, name string) error {
	return asRoot(ctx, "chmod", fmt.Sprintf("%04o", mode), "--", d.Path(name))
}

// Delete deletes what is in it.
func (d *RootDir) Delete(ctx context.Context, name string) error {
	return asRoot(ctx, "rm", "-f", "--", d.Path(name))
}

// Remove removes the folder.
func (d *RootDir) Remove(ctx context.Context) error { return asRoot(ctx, "rm", "-rf", "--", d.path) }

// asRoot runs a program as root.
func asRoot(ctx context.Context, program string, args ...string) error {
	path, err := FindProgram(program)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return fmt.Errorf("%s %s has to be run as root, and there is no sudo: %w", program, strings.Join(args, " "), err)
		}
		path, args = "sudo", append([]string{"-n", path}, args...)
	}
	r, err := Run(ctx, Command{Path: path, Args: args})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s %s: %s", program, strings.Join(args, " "), strings.TrimSpace(r.Output))
	}
	return err
}

// removeStaleRootDirs removes the folders of processes that are gone.
func removeStaleRootDirs(ctx context.Context) error {
	list, err := filepath.Glob(filepath.Join(rootParent, "*-start-*.*"))
	if err != nil {
		return err
	}
	for _, path := range list {
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		if o, err := parseOwner(strings.ReplaceAll(name, "-", " ")); err == nil && !o.alive() {
			if err := asRoot(ctx, "rm", "-rf", "--", path); err != nil {
				return err
			}
		}
	}
	return nil
}
