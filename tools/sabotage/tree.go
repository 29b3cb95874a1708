package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// treeFiles lists what a commit of everything would hold: tracked files and untracked ones that are not ignored,
// relative to root, without those deleted from the work tree.
func treeFiles(ctx context.Context, root string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the files of %s with git: %w: %s", root, err, bytes.TrimSpace(stderr.Bytes()))
	}
	var files []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(root, name)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		files = append(files, name)
	}
	return files, nil
}

// copyTree makes dst a copy of the named files of src and of nothing else.
func copyTree(dst, src string, files []string) error {
	if err := os.RemoveAll(dst); err != nil {
		return err
	}
	for _, name := range files {
		if err := copyFile(filepath.Join(dst, name), filepath.Join(src, name)); err != nil {
			return fmt.Errorf("copying the tree: %w", err)
		}
	}
	return nil
}

func copyFile(dst, src string) (err error) {
	info, err := os.Lstat(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		return os.Symlink(target, dst)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a symbolic link", src)
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// plant changes the fault's file in the copy at dir.
func plant(dir string, f Fault) error {
	path := filepath.Join(dir, filepath.FromSlash(f.File))
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("fault does not apply: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("fault does not apply: %s is not a regular file", f.File)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = f.Apply(text); err != nil {
		return err
	}
	return os.WriteFile(path, text, info.Mode().Perm())
}
