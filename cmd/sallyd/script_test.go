package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/internal/lab"
	labpostgres "github.com/sallyport/sallyport/internal/lab/postgres"
	labvault "github.com/sallyport/sallyport/internal/lab/vault"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sallyd": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the verbs as an operator does; the scripts are the
// specification of the command line.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: commands(),
	})
}

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"mode": mode, "cmpca": cmpCA, "pinkey": pinKey}
}

// TestVaultScripts runs what needs a Vault, each script with a real one of its
// own. $VAULT and $VAULT_CA
// say where it is, token-KEY is the file that signs with KEY; seal and unseal are
// commands.
func TestVaultScripts(t *testing.T) {
	t.Parallel()
	cmds := commands()
	for name, act := range map[string]func(*labvault.Server, context.Context) error{
		"seal": (*labvault.Server).Seal, "unseal": (*labvault.Server).Unseal,
	} {
		cmds[name] = func(ts *testscript.TestScript, _ bool, _ []string) {
			server, ok := ts.Value(vaultKey{}).(*labvault.Server)
			if !ok {
				ts.Fatalf("no Vault")
			}
			ts.Check(act(server, t.Context()))
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/vault", RequireExplicitExec: true, RequireUniqueNames: true, Cmds: cmds,
		Setup: func(env *testscript.Env) error { return startVault(t.Context(), env) },
	})
}

// TestPostgresScripts runs what needs a PostgreSQL, each script with a database of
// its own: $DATABASE says where it is, the file password holds the role's password.
// The script mark has a Vault, too, and in the files token-NAME who may write the mark
// sallyport/NAME.
func TestPostgresScripts(t *testing.T) {
	t.Parallel()
	w, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := labpostgres.Start(t.Context(), w, "cluster")
	if err != nil {
		t.Fatal(errors.Join(err, w.Remove()))
	}
	t.Cleanup(func() {
		if err := errors.Join(cluster.Close(), w.Remove()); err != nil {
			t.Error(err)
		}
	})
	cmds := commands()
	// putmark FILE PATH writes a file into Vault, as "vault kv put PATH note=@FILE" does.
	cmds["putmark"] = func(ts *testscript.TestScript, _ bool, args []string) {
		server, ok := ts.Value(vaultKey{}).(*labvault.Server)
		if !ok {
			ts.Fatalf("no Vault")
		}
		_, err := server.Root().Logical().WriteWithContext(t.Context(), labvault.KVMount+"/data/"+args[1], map[string]any{
			"options": map[string]any{"cas": 0}, "data": map[string]any{"note": ts.ReadFile(args[0])},
		})
		ts.Check(err)
	}
	// sql STATEMENT runs a statement as the superuser; @db is the database's name.
	cmds["sql"] = func(ts *testscript.TestScript, _ bool, args []string) {
		name, ok := ts.Value(databaseKey{}).(string)
		if !ok {
			ts.Fatalf("no database")
		}
		db, err := cluster.AdminOf(name)
		ts.Check(err)
		_, err = db.ExecContext(t.Context(), strings.ReplaceAll(args[0], "@db", name))
		ts.Check(errors.Join(err, db.Close()))
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/postgres", RequireExplicitExec: true, RequireUniqueNames: true, Cmds: cmds,
		Setup: func(env *testscript.Env) error {
			name, err := cluster.NewDatabase(t.Context(), "template1")
			if err != nil {
				return err
			}
			env.Values[databaseKey{}] = name
			env.Setenv("DATABASE", cluster.URL(name))
			if err := os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte(cluster.Password()+"\n"), 0o600); err != nil {
				return err
			}
			env.Setenv("PASSWORD", cluster.Password())
			if !strings.HasSuffix(env.WorkDir, "-mark") {
				return nil
			}
			return startMark(t.Context(), env)
		},
	})
}

// databaseKey is under which a script finds its database.
type databaseKey struct{}

// startMark gives a script a Vault that can remember marks.
func startMark(ctx context.Context, env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, ".vault")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	server, err := labvault.Start(ctx, dir)
	if err != nil {
		return err
	}
	env.Defer(func() { _ = server.Close() }) // its files go with the script's folder
	if err := server.MountKV(ctx); err != nil {
		return err
	}
	env.Values[vaultKey{}] = server
	env.Setenv("VAULT", server.Address())
	env.Setenv("VAULT_CA", server.CAFile())
	for _, name := range []string{"mark", "moved"} {
		token, err := server.NewToken(ctx, name, labvault.KVPolicy("sallyport/"+name), time.Hour)
		if err != nil {
			return err
		}
		if err := labvault.WriteToken(filepath.Join(env.WorkDir, "token-"+name), token); err != nil {
			return err
		}
	}
	return nil
}

// vaultKey is under which a script finds its Vault.
type vaultKey struct{}

func startVault(ctx context.Context, env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, ".vault")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	server, err := labvault.Start(ctx, dir, labvault.Key{Name: "user-ca", Type: "ed25519"}, labvault.Key{Name: "p256", Type: "ecdsa-p256"})
	if err != nil {
		return err
	}
	env.Defer(func() { _ = server.Close() }) // its files go with the script's folder
	if err := server.NewKey(ctx, labvault.Key{Name: "exportable", Type: "ed25519"}, map[string]any{"exportable": true}); err != nil {
		return err
	}
	for _, key := range []string{"user-ca", "p256", "exportable"} {
		token, err := server.Token(ctx, key, time.Hour)
		if err != nil {
			return err
		}
		if err := labvault.WriteToken(filepath.Join(env.WorkDir, "token-"+key), token); err != nil {
			return err
		}
	}
	env.Values[vaultKey{}] = server
	env.Setenv("VAULT", server.Address())
	env.Setenv("VAULT_CA", server.CAFile())
	return nil
}

// mode MODE FILE… demands the permissions of files.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if have := strconv.FormatUint(uint64(info.Mode().Perm()), 8); have != args[0] {
			ts.Fatalf("%s has mode %s, not %s", name, have, args[0])
		}
	}
}

// cmpca PIN KEY demands that the pin file's ca line holds the public key.
func cmpCA(ts *testscript.TestScript, _ bool, args []string) {
	key := strings.Join(strings.Fields(ts.ReadFile(args[1]))[:2], " ")
	if pin := ts.ReadFile(args[0]); !strings.HasSuffix(pin, "\nca "+key+"\n") {
		ts.Fatalf("the pin file does not end with ca %s:\n%s", key, pin)
	}
}

// pinkey KEY FILE writes a public key in place of the word KEY.
func pinKey(ts *testscript.TestScript, _ bool, args []string) {
	key := strings.Join(strings.Fields(ts.ReadFile(args[0]))[:2], " ")
	text := strings.Replace(ts.ReadFile(args[1]), "KEY", key, 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
