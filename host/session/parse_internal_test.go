package session

import (
	"errors"
	"os"
	"strconv"
	"testing"
)

func TestFindMount(t *testing.T) {
	t.Parallel()
	const (
		one   = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		two   = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
		part  = "50 23 0:26 /docker/1 /srv/c/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
		blank = "30 23 0:26 / /sys/fs/my\\040cgroup rw - cgroup2 cgroup2 rw\n"
	)
	for _, tt := range []struct {
		name, text string
		want       mount
		err        error
	}{
		{"alone", one, mount{"/", "/sys/fs/cgroup"}, nil},
		{"beside version 1", two, mount{"/", "/sys/fs/cgroup/unified"}, nil},
		{"a part of it", part, mount{"/docker/1", "/srv/c/sys/fs/cgroup"}, nil},
		{"a part and the whole", part + one, mount{"/", "/sys/fs/cgroup"}, nil},
		{"the whole and a part", one + part, mount{"/", "/sys/fs/cgroup"}, nil},
		{"a blank", blank, mount{"/", "/sys/fs/my cgroup"}, nil},
		{"version 1 alone", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", mount{}, ErrNoCgroup},
		{"nothing", "", mount{}, ErrNoCgroup},
		{"cut off", "30 23 0:26 / /sys", mount{}, ErrNoCgroup},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := findMount(tt.text); got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("findMount = %+v, %v; want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestScopeFor(t *testing.T) {
	t.Parallel()
	const id = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, tt := range []struct {
		name    string
		mount   mount
		current string // as /proc/PID/cgroup has it
		want    string // empty: refused
	}{
		{"without systemd", mount{"/", "/c"}, "9:pids:/x\n0::/\n", "/c/sallyport-" + id},
		{"a session of logind", mount{"/", "/c"}, "0::/user.slice/user-1000.slice/session-3.scope\n", "/c/user.slice/user-1000.slice/session-3.scope/sallyport-" + id},
		{"sshd restarted from a session", mount{"/", "/c"}, "0::/a/sallyport-bbbbbbbbbbbbbbbbbbbbbbbbbb/sub\n", "/c/a/sallyport-" + id},
		{"part of the tree", mount{"/docker/1", "/c"}, "0::/docker/1/a\n", "/c/a/sallyport-" + id},
		{"outside of the part", mount{"/docker/1", "/c"}, "0::/docker/11\n", ""},
		{"a parent of what is seen", mount{"/", "/c"}, "0::/../x\n", ""},
		{"deleted", mount{"/", "/c"}, "0::/a (deleted)\n", "/c/a/sallyport-" + id},
		{"version 1 alone", mount{"/", "/c"}, "9:pids:/x\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			current, err := cgroupOf(tt.current)
			got := ""
			if err == nil {
				got, err = tt.mount.scopeFor(current, id)
			}
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("scopeFor = %q, %v; want %q", got, err, tt.want)
			}
			if err == nil {
				if err := checkScope(got, id); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestForeignCgroupsAreNotTouched: a record can name no cgroup but its own.
func TestForeignCgroupsAreNotTouched(t *testing.T) {
	t.Parallel()
	const id = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, folder := range []string{
		"", "/", "/sys/fs/cgroup", "/sys/fs/cgroup/system.slice", "sallyport-" + id, "/c/sallyport-bbbbbbbbbbbbbbbbbbbbbbbbbb",
		"/c/sallyport-" + id + "/", "/c/sallyport-" + id + "/..", "/c/../sallyport-" + id, "/c/sallyport-" + id + "/x",
	} {
		if err := checkScope(folder, id); err == nil {
			t.Errorf("%q passes for the cgroup of session %s", folder, id)
		}
	}
}

func TestOwnStat(t *testing.T) {
	t.Parallel()
	p, ok, err := lookUp(os.Getpid())
	if err != nil || !ok || p.PID != os.Getpid() || p.Parent != os.Getppid() || int(p.UID) != os.Getuid() || p.Started == 0 {
		t.Errorf("lookUp(%d) = %+v, %t, %v", os.Getpid(), p, ok, err)
	}
	if _, ok, err := lookUp(1 << 30); ok || err != nil {
		t.Errorf("a process that is not there: %t, %v", ok, err)
	}
}

func FuzzParseStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("12 (a) b (c\n) S 1 2 3 34816 4 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0"))
	f.Add([]byte("12 () S"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseStat(text)
		if err == nil && (p.Parent < 0 || p.Leader < 0) {
			t.Errorf("%q: %+v", text, p)
		}
	})
}

// A name may look like the fields behind it.
func TestStatOfANameWithBrackets(t *testing.T) {
	t.Parallel()
	p, err := parseStat([]byte("12 (x) S 1 1 1 (y) S 5 6 7 34817 8 0 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0"))
	if err != nil || p.PID != 12 || p.Parent != 5 || p.Leader != 7 || p.TTY != 34817 || p.Started != 99 {
		t.Errorf("parseStat = %+v, %v", p, err)
	}
}

func FuzzFindMount(f *testing.F) {
	own, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(own), "0::/a/sallyport-x/b\n")
	f.Fuzz(func(t *testing.T, mountinfo, cgroup string) {
		m, err := findMount(mountinfo)
		if err != nil {
			return
		}
		current, err := cgroupOf(cgroup)
		if err != nil {
			return
		}
		const id = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
		if folder, err := m.scopeFor(current, id); err == nil && len(m.point) > 0 && m.point[0] == '/' {
			if err := checkScope(folder, id); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzParseRecord: what is read is what would be written, and never names a cgroup but
// the session's own.
func FuzzParseRecord(f *testing.F) {
	for _, r := range []Record{
		{ID: "aaaaaaaaaaaaaaaaaaaaaaaaaa", Login: "ops", Service: "sshd", OpenedAt: 1, Boot: "x", PID: 7, Started: 9},
		{ID: "aaaaaaaaaaaaaaaaaaaaaaaaaa", Login: "ops", Service: "sshd", OpenedAt: 1, Boot: "x", PID: 7, Cgroup: "/", Certificate: "AAAA", Told: true},
	} {
		text, err := r.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseRecord(text)
		if err != nil {
			return
		}
		if again, err := s.Marshal(); err != nil || string(again) != string(text) {
			t.Errorf("%s is written as %s, %v", text, again, err)
		}
		if (s.Cert == nil) != (s.Cgroup == "") || (s.Cert != nil && (s.End.IsZero() || checkScope(s.Cgroup, s.ID) != nil)) {
			t.Errorf("%s passes", text)
		}
	})
}

// FuzzAuthInfo: what sshd says about a login is taken apart without harm, and no
// certificate of ours is found where none of our authorities signed one.
func FuzzAuthInfo(f *testing.F) {
	f.Add("publickey ssh-ed25519-cert-v01@openssh.com AAAA\n")
	f.Add("publickey ssh-ed25519 AAAA\npassword\nkeyboard-interactive pam\n")
	f.Fuzz(func(t *testing.T, info string) {
		if cert, _, err := (login{authInfo: info}).certificate(nil); cert != nil || (err != nil && !errors.Is(err, ErrLogin)) {
			t.Errorf("%q: %v, %v", info, cert, err)
		}
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	if got := plain("a b\x1b[2Jé\n"); got != "a?b?[2J??" && got != "a?b?[2J?"+"?" {
		t.Errorf("plain = %q", got)
	}
	if got := len(plain(strconv.Quote(string(make([]byte, 4000))))); got != maxWord {
		t.Errorf("%d bytes, at most %d", got, maxWord)
	}
}
