package main

import (
	"context"
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/internal/lab"
)

// BenchmarkPrincipals measures the verb as sshd calls it: a process each time, with
// a good certificate. Its budget is 8 ms and 20 MB.
func BenchmarkPrincipals(b *testing.B) {
	program := filepath.Join(b.TempDir(), "sally-host")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	root, err := lab.NewRootDir(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := root.Remove(context.Background()); err != nil {
			b.Error(err)
		}
	})
	w := hosttest.New(b, time.Now(), "ops", "web-1.demo")
	config, err := w.Config().Marshal()
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string][]byte{host.ConfigFile: config, host.BundleFile: w.BundleFile(w.Bundle()), host.SignedFile: w.SignedKRL(w.Now)} {
		if _, err := root.InstallText(b.Context(), string(text), 0o644, name); err != nil {
			b.Fatal(err)
		}
	}
	cert := w.Issue(w.Template(hosttest.Signer(b, "subject").PublicKey()))
	certificate := base64.StdEncoding.EncodeToString(cert.Marshal())
	var largest int64
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), program, verbPrincipals, "--dir", root.Path(), certificate, "ops")
		out, err := cmd.Output()
		if err != nil || string(out) != "ops@web-1.demo\n" {
			b.Fatalf("%q, %v", out, err)
		}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			largest = max(largest, usage.Maxrss)
		}
	}
	b.ReportMetric(float64(largest)/1024, "MB-max")
}
