package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/internal/lab"
)

// maker lets the builders of hosttest end a measurement.
type maker struct {
	testing.TB // nil: they call nothing else
	fataler
}

// Helper does nothing.
func (maker) Helper() {}

// Fatal ends it.
func (maker) Fatal(args ...any) { panic(failure{errors.New(fmt.Sprint(args...))}) }

// Fatalf ends it.
func (maker) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// verifier measures `sally-host principals` as sshd starts it, with a good certificate,
// in turns with a Go program that does nothing: machines are noisy, and what starting a
// process takes is not ours.
func (b *bench) verifier(ctx context.Context) error {
	program, err := build(ctx, b.work.Path("bin", "sally-host"), "./cmd/sally-host")
	if err != nil {
		return err
	}
	empty, err := b.compiled(ctx, "empty", "package main\n\nfunc main() {}\n")
	if err != nil {
		return err
	}
	dir, err := b.work.Mkdir(0o755, "verifier")
	if err != nil {
		return err
	}
	var args []string
	if err := caught(func() error {
		w := hosttest.New(maker{}, time.Now(), "ops", "web-1.demo")
		for name, text := range map[string][]byte{host.BundleFile: w.BundleFile(w.Bundle()), host.SignedFile: w.SignedKRL(w.Now)} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				return err
			}
		}
		config, err := w.Config().Marshal()
		if err != nil {
			return err
		}
		cert := w.Issue(w.Template(hosttest.Signer(maker{}, "subject").PublicKey()))
		args = []string{"principals", "--dir", dir, "--log", "stderr", base64.StdEncoding.EncodeToString(cert.Marshal()), "ops"}
		return os.WriteFile(filepath.Join(dir, host.ConfigFile), config, 0o600)
	}); err != nil {
		return err
	}
	var ours, theirs sample
	for range b.size.started {
		took, err := started(ctx, "ops@web-1.demo\n", program, args...)
		if err != nil {
			return err
		}
		ours = append(ours, took)
		if took, err = started(ctx, "", empty); err != nil {
			return err
		}
		theirs = append(theirs, took)
	}
	largest, err := b.memory(ctx, program, args...)
	if err != nil {
		return err
	}
	b.figure("`sally-host principals`, a process", fmt.Sprintf("%s, %.1f MB", ours, float64(largest)/1024),
		fmt.Sprintf("%s of an empty Go program (%s)", times(ours.quantile(0.5).Seconds(), theirs.quantile(0.5).Seconds()), theirs))
	return nil
}

// launcher starts a program and prints the most memory that it had, in KiB. Linux counts
// what the starting process has for the started one, too, and the bench has much.
const launcher = `package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	fmt.Print(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}
`

// memory is the most that a program has, in KiB.
func (b *bench) memory(ctx context.Context, program string, args ...string) (largest int64, err error) {
	small, err := b.compiled(ctx, "launcher", launcher)
	if err != nil {
		return 0, err
	}
	for range b.size.started {
		out, err := exec.CommandContext(ctx, small, append([]string{program}, args...)...).Output()
		if err != nil {
			return 0, err
		}
		kib, err := strconv.ParseInt(string(out), 10, 64)
		if err != nil {
			return 0, err
		}
		largest = max(largest, kib)
	}
	return largest, nil
}

// build builds a package of the module that the current folder belongs to, as a release
// has it.
func build(ctx context.Context, to, what string) (string, error) {
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	r, err := lab.Run(ctx, lab.Command{
		Path: "go", Args: []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", to, what}, Dir: filepath.Dir(strings.TrimSpace(string(module))),
		Env: append(os.Environ(), "CGO_ENABLED=0"),
	})
	if err == nil && r.Code != 0 {
		err = errors.New(r.Output)
	}
	return to, err
}

// compiled builds a program of one file.
func (b *bench) compiled(ctx context.Context, name, text string) (string, error) {
	if _, err := b.work.Mkdir(0o700, name); err != nil {
		return "", err
	}
	source, err := b.work.Write(0o600, text, name, "main.go")
	if err != nil {
		return "", err
	}
	return build(ctx, b.work.Path("bin", name), source)
}

// started runs a program to its end.
func started(ctx context.Context, says, program string, args ...string) (time.Duration, error) {
	begin := time.Now()
	out, err := exec.CommandContext(ctx, program, args...).Output()
	took := time.Since(begin)
	if err == nil && string(out) != says {
		err = fmt.Errorf("%s says %q, want %q", program, out, says)
	}
	return took, err
}

// manySerials is how many revoked certificates a list has to bear.
const manySerials = 100_000

// revocations measures how long OpenSSH takes to load a list, as sshd does at each
// login, beside one that names nobody.
func (b *bench) revocations(ctx context.Context) error {
	dir, err := b.work.Mkdir(0o700, "lists")
	if err != nil {
		return err
	}
	if err := lab.KeyPair(ctx, filepath.Join(dir, "ca"), "ca"); err != nil {
		return err
	}
	line, err := os.ReadFile(filepath.Join(dir, "ca.pub"))
	if err != nil {
		return err
	}
	ca, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return err
	}
	none := krl.List{Number: 1, MadeAt: 1}
	for _, l := range []struct {
		what string
		step func(uint64) uint64
	}{
		{"one after the other", func(n uint64) uint64 { return 1000 + n }},
		{"about every tenth", func(n uint64) uint64 { return 1000 + 10*n + n*n%7 }},
		{"nowhere together", func(n uint64) uint64 { return 1000 + 100_003*n }},
	} {
		serials := make([]uint64, manySerials)
		for i := range serials {
			serials[i] = l.step(uint64(i))
		}
		many := krl.List{Number: 2, MadeAt: 1, Issued: []krl.Issued{{CA: ca, Serials: krl.Serials(serials...)}}}
		size, err := write(filepath.Join(dir, "many"), many)
		if err != nil {
			return err
		}
		if _, err := write(filepath.Join(dir, "none"), none); err != nil {
			return err
		}
		took, err := b.asked(ctx, dir)
		if err != nil {
			return err
		}
		b.figure(fmt.Sprintf("a list of %d revoked certificates, %s", manySerials, l.what), fmt.Sprintf("%d bytes, `ssh-keygen -Q` p50 %s", size, milliseconds(took[0].quantile(0.5))),
			fmt.Sprintf("%s of an empty list (%s)", times(took[0].quantile(0.5).Seconds(), took[1].quantile(0.5).Seconds()), milliseconds(took[1].quantile(0.5))))
	}
	return nil
}

// asked has OpenSSH look for a key in both lists, in turns.
func (b *bench) asked(ctx context.Context, dir string) (took [2]sample, err error) {
	key := filepath.Join(dir, "ca.pub")
	for range b.size.started {
		for i, name := range []string{"many", "none"} {
			t, err := started(ctx, key+" (ca): ok\n", "ssh-keygen", "-Q", "-f", filepath.Join(dir, name), key)
			if err != nil {
				return took, err
			}
			took[i] = append(took[i], t)
		}
	}
	return took, nil
}

func write(file string, l krl.List) (bytes int, err error) {
	text, err := l.Marshal()
	if err != nil {
		return 0, err
	}
	return len(text), os.WriteFile(file, text, 0o600)
}
