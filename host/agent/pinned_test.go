package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/ledger/trust"
)

// TestPromiseP09_ListsThatAreNotTaken leave the one before in force, and are said.
func TestPromiseP09_ListsThatAreNotTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		list func(f *farm) agent.List
		says string
	}{
		{"by another key", func(f *farm) agent.List { return f.listBy(hosttest.Signer(f.t, "mallory"), 21, 21) }, trust.ErrKRLSigner.Error()},
		{"by the authority's key", func(f *farm) agent.List { return f.listBy(f.world.CA, 21, 21) }, trust.ErrKRLSigner.Error()},
		{"a lower number", func(f *farm) agent.List { return f.list(19) }, agent.ErrOlder.Error()},
		{"two numbers", func(f *farm) agent.List { return f.listBy(f.world.KRLKey, 5, 21) }, agent.ErrNumbered.Error()},
		{"another list", func(f *farm) agent.List {
			l := f.list(21, 7)
			l.KRL = f.list(21).KRL
			return l
		}, trust.ErrKRLOther.Error()},
		{"the same number, another list", func(f *farm) agent.List { return f.list(20) }, agent.ErrTwoLists.Error()},
		{"no statement", func(f *farm) agent.List {
			l := f.list(21)
			l.Statement = ""
			return l
		}, ""},
		{"that names a key", func(f *farm) agent.List {
			owner := hosttest.Signer(f.t, "owner").PublicKey()
			return f.stated(f.world.KRLKey, &krl.List{Number: 21, MadeAt: 1, Keys: []ssh.PublicKey{owner}}, 21, clock())
		}, agent.ErrNamesKeys.Error()},
		{"that names a key by its digest", func(f *farm) agent.List {
			return f.stated(f.world.KRLKey, &krl.List{Number: 21, MadeAt: 1, Hashes: [][32]byte{{1}}}, 21, clock())
		}, agent.ErrNamesKeys.Error()},
		{"of tomorrow", func(f *farm) agent.List {
			return f.stated(f.world.KRLKey, &krl.List{Number: 21, MadeAt: 1}, 21, clock().Add(10*time.Minute))
		}, agent.ErrFuture.Error()},
		{"nothing", func(*farm) agent.List { return agent.List{} }, ""},
		{"of another contract", func(f *farm) agent.List {
			lineage := f.world.Lineage
			f.world.Lineage = canon.Digest(hosttest.Derived("other"))
			defer func() { f.world.Lineage = lineage }()
			return f.list(21)
		}, "lineage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *farm) {
				good := f.list(20, 7)
				f.serv.set(func() { f.serv.list = &good })
				stop := f.run()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if f.read(host.KRLFile) != string(good.KRL) {
					t.Fatal("the good list was not taken")
				}
				signed := f.read(host.SignedFile)
				bad := tt.list(f)
				f.serv.set(func() { f.serv.list = &bad })
				time.Sleep(10 * time.Second)
				synctest.Wait()
				stop()
				if f.read(host.KRLFile) != string(good.KRL) || f.read(host.SignedFile) != signed {
					t.Error("the list was taken")
				}
				if !f.log.has("revocation list") || !f.log.has("not taken") && tt.says != "" || !f.log.has(tt.says) {
					t.Errorf("the log does not say %q:\n%s", tt.says, f.log.buf.String())
				}
			})
		})
	}
}

// TestPromiseP09_NumbersOfAKeyEndWithIt: whoever had a key for lists may have driven the
// number as high as numbers go. When the bundle names another key, numbers begin anew.
func TestPromiseP09_NumbersOfAKeyEndWithIt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		stolen := f.list(1 << 52)
		f.serv.set(func() { f.serv.list = &stolen })
		stop := f.run()
		defer stop()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if f.read(host.KRLFile) != string(stolen.KRL) {
			t.Fatal("the list of the highest number was not taken")
		}
		f.world.KRLKey = hosttest.Signer(t, "new key for lists")
		f.put(host.BundleFile, f.world.BundleFile(f.bundle(2)))
		good := f.list(21, 7)
		f.serv.set(func() { f.serv.list = &good })
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.read(host.KRLFile) != string(good.KRL) {
			t.Fatalf("the new key's list is not taken:\n%s", f.log.buf.String())
		}
		older := f.list(20)
		f.serv.set(func() { f.serv.list = &older })
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.read(host.KRLFile) != string(good.KRL) {
			t.Error("an older list of the new key was taken")
		}
	})
}

// TestALaterStatementIsTaken about the same list: nothing more was revoked.
func TestALaterStatementIsTaken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		first := f.list(20, 7)
		f.serv.set(func() { f.serv.list = &first })
		stop := f.run()
		time.Sleep(5 * time.Second)
		before := f.read(host.SignedFile)
		time.Sleep(time.Minute)
		again := f.list(20, 7)
		f.serv.set(func() { f.serv.list = &again })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if f.read(host.SignedFile) == before {
			t.Error("the later statement was not taken")
		}
		f.serv.set(func() { f.serv.list = &first })
		after := f.read(host.SignedFile)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if f.read(host.SignedFile) != after {
			t.Error("an earlier statement was taken")
		}
		stop()
	})
}

// TestAStaleListIsSaid, once.
func TestAStaleListIsSaid(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		list := f.list(20, 7)
		f.serv.set(func() { f.serv.list = &list })
		stop := f.run()
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if f.log.has("the revocation list is stale") {
			t.Error("said too early")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !f.log.has("the revocation list is stale") {
			t.Error("not said")
		}
		stop()
	})
}

// TestPromiseP08_AServerCanNotSwapKeys: a host takes no bundle that the roots which it
// pins have not signed, whatever is in it.
func TestPromiseP08_AServerCanNotSwapKeys(t *testing.T) {
	t.Parallel()
	mallory := func(f *farm) ssh.Signer { return hosttest.Signer(f.t, "mallory") }
	stolen := func(f *farm, number int64) trust.Bundle {
		b := f.bundle(number)
		b.UserCAs = []trust.Key{hosttest.Key(f.t, mallory(f))}
		b.KRLKeys = []trust.Key{hosttest.Key(f.t, hosttest.Signer(f.t, "mallory's lists"))}
		return b
	}
	for _, tt := range []struct {
		name    string
		bundles func(f *farm) [][]byte
		taken   bool
	}{
		{"signed by the root", func(f *farm) [][]byte { return [][]byte{f.signed(stolen(f, 2), f.root())} }, true},
		{"two at once", func(f *farm) [][]byte {
			return [][]byte{f.signed(f.bundle(2), f.root()), f.signed(stolen(f, 3), f.root())}
		}, true},
		{"unsigned", func(f *farm) [][]byte { return [][]byte{f.signed(stolen(f, 2), nil)} }, false},
		{"signed by another", func(f *farm) [][]byte { return [][]byte{f.signed(stolen(f, 2), mallory(f))} }, false},
		{"roots swapped as well", func(f *farm) [][]byte {
			b := stolen(f, 2)
			by := hosttest.Signer(f.t, "mallory's root")
			b.Roots[0].Keys = []trust.NamedKey{{Name: "ada", Key: hosttest.Key(f.t, by)}}
			return [][]byte{f.signed(b, by)}
		}, false},
		{"a number left out", func(f *farm) [][]byte { return [][]byte{f.signed(stolen(f, 3), f.root())} }, false},
		{"the same number", func(f *farm) [][]byte { return [][]byte{f.signed(stolen(f, 1), f.root())} }, false},
		{"expired", func(f *farm) [][]byte {
			b := stolen(f, 2)
			b.ExpiresAt = canon.At(clock().Add(time.Second))
			b.MadeAt = b.ExpiresAt - 1
			return [][]byte{f.signed(b, f.root())}
		}, false},
		{"another contract", func(f *farm) [][]byte {
			b := stolen(f, 2)
			b.Lineage = canon.Digest(hosttest.Derived("other"))
			return [][]byte{f.signed(b, f.root())}
		}, false},
		{"rubbish", func(*farm) [][]byte { return [][]byte{[]byte("{}")} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *farm) {
				stop := f.run()
				time.Sleep(5 * time.Second)
				before, authorities := f.read(host.BundleFile), f.read(host.AuthoritiesFile)
				list := tt.bundles(f)
				f.serv.set(func() { f.serv.bundles = list })
				time.Sleep(11 * time.Minute)
				synctest.Wait()
				stop()
				if tt.taken {
					want := string(ssh.MarshalAuthorizedKey(mallory(f).PublicKey()))
					if f.read(host.BundleFile) != string(list[len(list)-1]) || f.read(host.AuthoritiesFile) != want {
						t.Error("the bundle was not taken, or sshd knows other authorities")
					}
					return
				}
				if f.read(host.BundleFile) != before || f.read(host.AuthoritiesFile) != authorities {
					t.Error("the bundle was taken")
				}
				if !f.log.has("another trust bundle, which is not taken") {
					t.Error("nothing was said")
				}
			})
		})
	}
}
