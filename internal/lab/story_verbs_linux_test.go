package lab_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab/clischema"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// typed is a command line of Alice's and what must become of it.
type typed struct {
	verb string // "ledger list"
	code int
	line string // a shell's; words in capitals with $ are the story's
	says string // what stands on standard error
	// once: it is not typed again with --json.
	once bool
}

// verbs tells what sally does with every exit code that docs/cli.md lists, and
// holds what it prints to the documented schema.
type verbs struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // one story's
	s       *site.Site
	schema  *clischema.Schema
	words   map[string]string // what stands for the story's words
	met     map[string]bool   // "verb code"
	checked map[string]bool   // verbs whose result was held to the schema
}

// TestStoryVerbs types every verb of sally in every state that gives it another
// exit code: before a login, with a server, with one that is silent, with none, and
// with Ctrl-C.
func TestStoryVerbs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	schema, err := clischema.Load("../../docs/cli.schema.json")
	must(t, err)
	s := openSite(t, ctx, site.Config{Plan: site.Plan{CertTTL: 2 * time.Minute}})
	v := &verbs{t: t, ctx: ctx, s: s, schema: schema, words: map[string]string{}, met: map[string]bool{}, checked: map[string]bool{}}
	v.words["$URL"], v.words["$PIN"] = s.URL(), s.PinFile()
	v.words["$WEB1"], v.words["$WEB2"] = s.Principal(site.Web1), s.Principal(site.Web2)
	v.met["login 0"] = true // openSite has Alice log in

	v.withoutLogin()
	v.bundles()
	v.contracts()
	v.publish()
	v.prepare()
	v.withServer()
	v.audits()
	v.decidedMeanwhile()
	v.interrupted()
	v.pipesThatClose()
	v.loggedOut()
	v.withSilentServer()
	v.withoutServer()

	for _, want := range documentedCodes(t) {
		if !v.met[want] {
			t.Errorf("docs/cli.md lists %q, and no command line of this story ends so", want)
		}
		delete(v.met, want)
	}
	for more := range v.met {
		t.Errorf("docs/cli.md does not list %q", more)
	}
	for _, verb := range schema.Verbs {
		if !v.checked[verb] {
			t.Errorf("no result of %q was held to the schema", verb)
		}
	}
}

// documentedCodes reads which exit codes each verb has.
func documentedCodes(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/cli.md")
	must(t, err)
	number := regexp.MustCompile(`\b(\d+)\b`)
	var out []string
	for section := range strings.SplitSeq(string(text), "\n## sally ") {
		verb, body, _ := strings.Cut(section, "\n")
		_, codes, ok := strings.Cut(body, "\nExit codes: ")
		if !ok {
			continue
		}
		codes, _, _ = strings.Cut(codes, "\n\n")
		for _, code := range number.FindAllString(codes, -1) {
			if code != "255" { // ssh's own
				out = append(out, verb+" "+code)
			}
		}
		if verb == "ssh" {
			out = append(out, "ssh 0") // ssh's own too, but a story must get in
		}
	}
	slices.Sort(out)
	if len(out) < 60 {
		t.Fatalf("docs/cli.md lists only %v", out)
	}
	return slices.Compact(out)
}

// type types command lines one after the other.
func (v *verbs) types(lines []typed) {
	v.t.Helper()
	for _, l := range lines {
		v.one(l, false)
		if !l.once && slices.Contains(v.schema.Verbs, l.verb) {
			v.one(l, true)
		}
	}
}

func (v *verbs) one(l typed, asJSON bool) {
	v.t.Helper()
	line := l.line
	if asJSON {
		line += " --json"
	}
	errors := v.s.Alice.Home("stderr")
	r, err := v.s.Alice.Run(v.ctx, "sh", "-c", "{ "+v.spell(line)+"; } 2>"+errors)
	must(v.t, err)
	said, err := os.ReadFile(errors)
	must(v.t, err)
	v.t.Logf("[%d] %s", r.Code, said)
	v.judge(l, asJSON, r.Code, r.Stdout, string(said))
}

// spell puts the story's words into a command line.
func (v *verbs) spell(line string) string {
	for word, text := range v.words {
		line = strings.ReplaceAll(line, word, text)
	}
	return line
}

func (v *verbs) judge(l typed, asJSON bool, code int, stdout, stderr string) {
	v.t.Helper()
	v.met[fmt.Sprintf("%s %d", l.verb, l.code)] = true
	if code != l.code || !strings.Contains(stderr, v.spell(l.says)) {
		v.t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", l.line, code, l.code, l.says, stdout, stderr)
	}
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "sally: ") && !asJSON && l.verb != "ssh" && !strings.Contains(l.line, "/dev/full") {
			v.t.Errorf("%s: a line that is no sentence of sally's: %q", l.line, line)
		}
	}
	if !asJSON {
		return
	}
	if stdout != "" {
		v.checked[l.verb] = true
		must(v.t, v.schema.Check(l.verb, []byte(stdout)))
	}
	if code != 0 {
		v.checked["error"] = true
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		must(v.t, v.schema.Check("error", []byte(lines[len(lines)-1])))
		if !strings.Contains(lines[len(lines)-1], fmt.Sprintf(`"code":%d,`, code)) {
			v.t.Errorf("%s: exit code %d, but %s", l.line, code, lines[len(lines)-1])
		}
	} else if strings.Contains(stderr, `{"v"`) {
		v.t.Errorf("%s: an error without one: %s", l.line, stderr)
	}
}

const someID = "mzxw6ytboi4dknrzgq2tmnzxgi"

// withoutLogin is a machine that has never seen a server.
func (v *verbs) withoutLogin() {
	v.t.Helper()
	v.s.Alice.Setenv("SALLY_STATE", v.s.Alice.Home("nothing"))
	for _, l := range []typed{
		{verb: "whoami", line: "sally whoami"},
		{verb: "logout", line: "sally logout"},
		{verb: "request", line: "sally request $WEB1 --for 10m --because 'two or more words'"},
		{verb: "wait", line: "sally wait " + someID},
		{verb: "cancel", line: "sally cancel " + someID},
		{verb: "revoke", line: "sally revoke 1 --because why"},
		{verb: "status", line: "sally status"},
		{verb: "list", line: "sally list"},
		{verb: "list", line: "sally list --waiting"},
		{verb: "hosts", line: "sally hosts"},
		{verb: "hosts", line: "sally hosts web-1.demo"},
		{verb: "hosts list", line: "sally hosts list"},
		{verb: "hosts show", line: "sally hosts show web-1.demo"},
		{verb: "hosts invite", line: "sally hosts invite spare.demo --addr 127.0.0.1:22 --label env=demo"},
		{verb: "hosts label", line: "sally hosts label web-1.demo --label env=test"},
		{verb: "hosts config", line: "sally hosts config web-1.demo"},
		{verb: "hosts release", line: "sally hosts release spare.demo --to harbour"},
		{verb: "hosts retire", line: "sally hosts retire spare.demo"},
		{verb: "ssh", line: "sally ssh $WEB1"},
		{verb: "ledger list", line: "sally ledger list"},
		{verb: "ledger show", line: "sally ledger show 1"},
		{verb: "ledger export", line: "sally ledger export --out x"},
		{verb: "audit explain", line: "sally audit explain 1"},
	} {
		l.code, l.says = 4, "log in first"
		v.types([]typed{l})
	}
	v.types([]typed{
		{verb: "login", code: 4, line: "sally login", says: "sally login --server URL --pin FILE"},
		{verb: "login", code: 1, line: "sally login --server $URL --pin /nowhere", says: "reading the pin file"},
		{verb: "login", code: 2, line: "sally login --server nonsense --pin $PIN", says: "not a URL"},
		{verb: "login", code: 6, line: "sally login --server http://127.0.0.1:1 --pin $PIN", says: "does not answer"},
		{verb: "version", code: 0, line: "sally version"},
		{verb: "version", code: 1, line: "sally version >/dev/full", says: "no space left on device", once: true},
		{verb: "version", code: 2, line: "sally version x", says: "takes no arguments"},
		{verb: "witness", code: 0, line: "timeout --preserve-status -s INT 2 sally witness --dir ~/witness --name w.example/1 --pin $PIN --listen 127.0.0.1:0", says: "witness w.example/1 answers on"},
		{verb: "witness", code: 1, line: "sally witness --dir ~/witness --pin /nowhere", says: "reading the pin file"},
		{verb: "witness", code: 2, line: "sally witness", says: "--dir: name the folder"},
		{verb: "cosign", code: 0, line: "sally cosign --dir ~/cosigner --name c.example/1", says: "the contract has to name this key"},
		{verb: "cosign", code: 1, line: "sally cosign --dir ~/cosigner --contract TK2tX6B4iyry4hVzwbmA4YOtiUPRc4NPgCkgp5Zkhug --server $URL --pin /nowhere", says: "reading the pin file"},
		{verb: "cosign", code: 2, line: "sally cosign", says: "--dir: name the folder"},
		{verb: "completion", code: 0, line: "sally completion zsh"},
		{verb: "completion", code: 1, line: "sally completion zsh >/dev/full"},
		{verb: "completion", code: 2, line: "sally completion", says: "SHELL: name one of bash"},
	})
	v.s.Alice.Setenv("SALLY_STATE", filepath.Join(v.s.Alice.Home(), ".local", "state", "sallyport"))
}

// publish gives hosts a trust bundle, so that they can be invited, and the inventory
// a host that can be spared.
func (v *verbs) publish() {
	v.t.Helper()
	must(v.t, v.s.StopServing())
	file := v.s.Operator.Home("bundle.json")
	for _, args := range [][]string{
		{"hosts", "keys"},
		{"hosts", "bundle", "--out", file},
		{"hosts", "publish", file},
		{"hosts", "add", "gone.demo", "--addr", "127.0.0.1:22", "--host-key", v.s.Hosts[site.Web1].HostKeyFile(), "--label", "env=demo"},
	} {
		_, err := v.s.Operator.Must(v.ctx, append(append([]string{"sallyd"}, args...), "--dir", v.s.ServerDir())...)
		must(v.t, err)
	}
	must(v.t, v.s.Serve(v.ctx))
}

// prepare makes requests in each state.
func (v *verbs) prepare() {
	v.t.Helper()
	for _, q := range []struct{ word, verdict string }{{"$DENIED", "deny"}, {"$GRANTED", "approve"}, {"$PENDING", ""}} {
		host := site.Web1
		if q.verdict == "" {
			host = site.Web2
		}
		r, err := v.s.Alice.Must(v.ctx, "sally", "request", v.s.Principal(host), "--for", "10m", "--because", "=1+1 \"quoted\", one;@two", "--no-wait")
		must(v.t, err)
		path, id := page(v.t, r.Output)
		if q.verdict != "" {
			decide(v.t, v.ctx, v.s, path, q.verdict, "")
		}
		v.words[q.word] = id
	}
	// A copy of the login that others could read is refused by every verb.
	open := v.s.Alice.Home("open")
	_, err := v.s.Alice.Must(v.ctx, "sh", "-c", "cp -a "+filepath.Join(v.s.Alice.Home(), ".local", "state", "sallyport")+" "+open+" && chmod 755 "+open)
	must(v.t, err)
	v.words["$OPEN"] = "SALLY_STATE=" + open
}

// withServer is what a server answers at once.
func (v *verbs) withServer() {
	v.t.Helper()
	v.types([]typed{
		{verb: "whoami", code: 0, line: "sally whoami"},
		{verb: "whoami", code: 2, line: "sally whoami x"},
		{verb: "whoami", code: 1, line: "$OPEN sally whoami", says: "others could read or change it"},
		{verb: "request", code: 1, line: "sally request ops@nowhere.demo --for 10m --because 'two or more words'", says: "not in the inventory"},
		{verb: "request", code: 2, line: "sally request $WEB2 --for 10 --because 'two or more words'"},
		{verb: "request", code: 7, line: "sally request $WEB2 --new --for 2h --because 'two or more words'", says: "clause §4 allows 10s to 1h"},
		{verb: "request", code: 7, line: "sally request $WEB2 --new --for 10m --because 'two words'", says: "3 or more words"},
		{verb: "wait", code: 0, line: "sally wait $GRANTED"},
		{verb: "wait", code: 1, line: "sally wait " + someID, says: "no such request"},
		{verb: "wait", code: 2, line: "sally wait x"},
		{verb: "wait", code: 3, line: "sally wait $DENIED", says: "denied by Bob Example"},
		{verb: "wait", code: 5, line: "sally wait $PENDING --timeout 1s", says: "go on with: sally wait "},
		{verb: "status", code: 0, line: "sally status"},
		{verb: "status", code: 0, line: "sally status $PENDING"},
		{verb: "status", code: 0, line: "sally status $GRANTED --wait"},
		{verb: "status", code: 1, line: "sally status " + someID},
		{verb: "status", code: 2, line: "sally status --wait"},
		{verb: "status", code: 3, line: "sally status --wait $DENIED"},
		{verb: "status", code: 5, line: "sally status --wait $PENDING --timeout 1s"},
		{verb: "cancel", code: 0, line: "sally cancel $(sally request $WEB2 --new --for 10m --because 'two or more words' --no-wait | head -n 1)"},
		{verb: "cancel", code: 1, line: "sally cancel $GRANTED", says: "there is nothing to cancel"},
		{verb: "cancel", code: 1, line: "sally cancel " + someID, says: "sally list shows your requests"},
		{verb: "cancel", code: 2, line: "sally cancel x", says: "26 characters"},
		{verb: "cancel", code: 3, line: "sally cancel $DENIED", says: "is denied already"},
		{verb: "list", code: 0, line: "sally list --state cancelled"},
		{verb: "revoke", code: 0, line: "sally revoke --request $(sally request $WEB2 --new --for 10m --because 'two or more words' --no-wait | head -n 1) --because 'done early'"},
		{verb: "revoke", code: 1, line: "sally revoke --role acme-demo/demo-operator --because why", says: "is revoked by who holds one of the offices"},
		{verb: "revoke", code: 1, line: "sally revoke 1 --because why", says: "no such request"},
		{verb: "revoke", code: 2, line: "sally revoke --because why", says: "name what to revoke"},
		{verb: "revoke", code: 2, line: "sally revoke 0 --because why", says: "no serial of a certificate"},
		{verb: "revoke", code: 2, line: "sally revoke 1", says: "say why"},
		{verb: "revoke", code: 3, line: "sally revoke --request $DENIED --because why", says: "is denied already"},
		{verb: "list", code: 0, line: "sally list --state revoked"},
		{verb: "list", code: 0, line: "sally list"},
		{verb: "list", code: 0, line: "sally list --state denied --host web-1.demo --since 1h --limit 1"},
		{verb: "list", code: 0, line: "sally list --state expired", says: "no request of yours is like that", once: true},
		{verb: "list", code: 0, line: "sally list --waiting", says: "nothing waits for you", once: true},
		{verb: "list", code: 1, line: "$OPEN sally list"},
		{verb: "list", code: 2, line: "sally list --state open"},
		{verb: "hosts", code: 0, line: "sally hosts"},
		{verb: "hosts", code: 0, line: "sally hosts web-1.demo"},
		{verb: "hosts", code: 1, line: "sally hosts nowhere.demo", says: "not in the inventory"},
		{verb: "hosts", code: 2, line: "sally hosts WEB"},
		{verb: "hosts list", code: 0, line: "sally hosts list"},
		{verb: "hosts list", code: 1, line: "$OPEN sally hosts list"},
		{verb: "hosts list", code: 2, line: "sally hosts list x", says: "takes no arguments"},
		{verb: "hosts show", code: 0, line: "sally hosts show web-1.demo"},
		{verb: "hosts show", code: 1, line: "sally hosts show nowhere.demo", says: "not in the inventory"},
		{verb: "hosts show", code: 2, line: "sally hosts show", says: "name the host to show"},
		{verb: "hosts config", code: 0, line: "sally hosts config web-1.demo", says: "the fleet shows it as not enforcing"},
		{verb: "hosts config", code: 1, line: "sally hosts config nowhere.demo", says: "not in the inventory"},
		{verb: "hosts config", code: 2, line: "sally hosts config web-1.demo --at relative", says: "--at: "},
		{verb: "hosts invite", code: 0, line: "sally hosts invite spare.demo --addr 127.0.0.1:22 --label env=demo --for 5m", says: "hand it over as a secret"},
		{verb: "hosts invite", code: 1, line: "sally hosts invite web-1.demo --addr 127.0.0.1:22 --label env=prod", says: "with other labels"},
		{verb: "hosts invite", code: 2, line: "sally hosts invite WEB --addr 127.0.0.1:22", says: "NAME:"},
		{verb: "hosts label", code: 0, line: "sally hosts label web-1.demo --label env=test", says: "until another host admin runs"},
		{verb: "hosts label", code: 1, line: "sally hosts label web-1.demo --label env=demo", says: "has these labels"},
		{verb: "hosts label", code: 2, line: "sally hosts label web-1.demo --label env", says: "NAME=VALUE"},
		{verb: "hosts retire", code: 0, line: "sally hosts retire gone.demo", says: "is retired"},
		{verb: "hosts retire", code: 1, line: "sally hosts retire nowhere.demo"},
		{verb: "hosts retire", code: 2, line: "sally hosts retire WEB", says: "NAME:"},
		{verb: "hosts release", code: 0, line: "sally hosts release gone.demo --to TK2tX6B4iyry4hVzwbmA4YOtiUPRc4NPgCkgp5Zkhug", says: "the host can't join it there yet"},
		{verb: "hosts release", code: 1, line: "sally hosts release nowhere.demo --to TK2tX6B4iyry4hVzwbmA4YOtiUPRc4NPgCkgp5Zkhug"},
		{verb: "hosts release", code: 2, line: "sally hosts release gone.demo", says: "--to: name the contract"},
		{verb: "ssh", code: 1, line: "sally ssh ops@nowhere.demo", says: "not in the inventory"},
		{verb: "ssh", code: 2, line: "sally ssh x"},
		{verb: "ssh", code: 0, line: "sally ssh $WEB1 --key-file -- true"},
		{verb: "ssh", code: 5, line: "sally ssh $WEB2 --timeout 1s", says: "go on with: sally ssh"},
		{verb: "ledger list", code: 0, line: "sally ledger list"},
		{verb: "ledger list", code: 0, line: "sally ledger list --limit 3"},
		{verb: "ledger list", code: 1, line: "$OPEN sally ledger list"},
		{verb: "ledger list", code: 2, line: "sally ledger list --limit 0"},
		{verb: "ledger list", code: 0, line: "sally ledger list --host web-1.demo --since 7d --kind certificate.issue --person me"},
		{verb: "ledger list", code: 0, line: "sally ledger list --text latency --since 1h --until 2199-01-01"},
		{verb: "ledger list", code: 0, line: "sally ledger list --person alice@acme.example --login ops --role web-operator --serial 1"},
		{verb: "ledger list", code: 7, line: "sally ledger list --people", says: "shown to the auditors that a contract names"},
		{verb: "ledger list", code: 1, line: "sally ledger list --since yesterday", says: "how long ago as 90m"},
		{verb: "ledger list", code: 2, line: "sally ledger list --follow --csv"},
		{verb: "ledger show", code: 0, line: "sally ledger show --leaf 0"},
		{verb: "ledger show", code: 0, line: "sally ledger show $(sally ledger list | sed -n 's/.*serial //p' | head -n 1)"},
		{verb: "ledger show", code: 1, line: "sally ledger show 99999"},
		{verb: "ledger show", code: 2, line: "sally ledger show"},
		{verb: "logout", code: 1, line: "$OPEN sally logout"},
		{verb: "logout", code: 2, line: "sally logout x"},
	})
	v.amendments()
	v.csv("sally list --state pending --csv", 2, `,"'=1+1 ""quoted"", one;'@two",`)
	v.csv("sally ledger list --limit 5 --csv", 7, "\r\nend,rows=5,size=")
	for line, want := range map[string]string{
		"sally status": "ssh now      yes: $WEB1\n", "sally list --waiting": "", "sally hosts": "web-2.demo", "sally whoami": "Alice Example <alice@acme.example>\n",
	} {
		r, err := v.s.Alice.Run(v.ctx, "sh", "-c", line)
		must(v.t, err)
		if !strings.Contains(r.Stdout, v.spell(want)) {
			v.t.Errorf("%s prints %q, without %q", line, r.Stdout, v.spell(want))
		}
	}
}

// csv demands so many lines of comma-separated values, and a text in them.
func (v *verbs) csv(line string, lines int, want string) {
	v.t.Helper()
	r, err := v.s.Alice.Run(v.ctx, "sh", "-c", line)
	must(v.t, err)
	if r.Code != 0 || strings.Count(r.Stdout, "\r\n") != lines || !strings.Contains(r.Stdout, want) {
		v.t.Errorf("%s: exit code %d, %q", line, r.Code, r.Output)
	}
}

// decidedMeanwhile is a no that comes while sally waits.
func (v *verbs) decidedMeanwhile() {
	v.t.Helper()
	for _, l := range []struct{ verb, line string }{
		{"ssh", "sally ssh $WEB2"}, // joins what is pending
		{"request", "sally request $WEB2 --for 10m --because 'two or more words'"},
		{"request", "sally request $WEB2 --for 10m --because 'two or more words' --json"},
	} {
		task := v.start(l.line)
		said, err := task.Expect(v.ctx, "it is decided at")
		must(v.t, err)
		path, _ := page(v.t, said)
		decide(v.t, v.ctx, v.s, path, "deny", "not today")
		v.end(typed{verb: l.verb, code: 3, line: l.line, says: "denied by Bob Example: not today"}, task)
	}
	v.types([]typed{{verb: "ssh", code: 7, line: "sally ssh $WEB2 --for 2h --because 'two or more words'", says: "clause §4 allows 10s to 1h"}})
	v.types([]typed{
		{verb: "request", code: 0, line: "sally request $WEB2 --for 10m --because 'two or more words' --no-wait", says: "it is decided at"},
		{verb: "request", code: 5, line: "sally request $WEB2 --for 10m --because 'two or more words' --timeout 1s", says: "go on with: sally wait "},
	})
}

// start types a command line that goes on.
func (v *verbs) start(line string) *site.Task {
	v.t.Helper()
	task, err := v.s.Alice.Start(v.ctx, "sh", "-c", "exec "+v.spell(line))
	must(v.t, err)
	return task
}

// end demands how a command line ends that went on; both its outputs are one.
func (v *verbs) end(l typed, task *site.Task) string {
	v.t.Helper()
	out, err := task.End(v.ctx, l.code, l.line)
	if err != nil {
		v.t.Errorf("%s: %v\n%s", l.line, err, out)
	}
	v.met[fmt.Sprintf("%s %d", l.verb, l.code)] = true
	if !strings.Contains(out, l.says) {
		v.t.Errorf("%s says %q, without %q", l.line, out, l.says)
	}
	return out
}

// loggedOut is a logout that the server hears of, and the next login.
func (v *verbs) loggedOut() {
	v.t.Helper()
	v.types([]typed{
		{verb: "logout", code: 0, line: "sally logout", says: "logged out of $URL"},
		{verb: "list", code: 4, line: "sally list", says: "log in first"},
	})
	for _, l := range askingVerbs() {
		l.code, l.says = 4, "log in first"
		v.types([]typed{l})
	}
	must(v.t, v.s.Alice.LogIn(v.ctx))
	v.types([]typed{{verb: "ssh", code: 0, line: "sally ssh $WEB1 --key-file -- true", says: "using the grant of request $GRANTED"}})
}

// withoutServer is a server that has gone.
func (v *verbs) withoutServer() {
	v.t.Helper()
	must(v.t, v.s.StopServing())
	for _, l := range append(askingVerbs(), []typed{
		{verb: "whoami", line: "sally whoami"},
		{verb: "request", line: "sally request $WEB2 --for 10m --because 'two or more words'"},
		{verb: "wait", line: "sally wait $PENDING"},
		{verb: "cancel", line: "sally cancel $PENDING"},
		{verb: "revoke", line: "sally revoke --request $PENDING --because why"},
		{verb: "status", line: "sally status"},
		{verb: "status", line: "sally status $PENDING"},
		{verb: "list", line: "sally list"},
		{verb: "hosts", line: "sally hosts"},
		{verb: "hosts list", line: "sally hosts list"},
		{verb: "hosts show", line: "sally hosts show web-1.demo"},
		{verb: "hosts invite", line: "sally hosts invite spare.demo --addr 127.0.0.1:22 --label env=demo"},
		{verb: "hosts label", line: "sally hosts label web-1.demo --label env=test"},
		{verb: "hosts config", line: "sally hosts config web-1.demo"},
		{verb: "hosts release", line: "sally hosts release spare.demo --to harbour"},
		{verb: "hosts retire", line: "sally hosts retire spare.demo"},
		{verb: "ledger list", line: "sally ledger list"},
		{verb: "ledger show", line: "sally ledger show 1"},
		{verb: "ledger export", line: "sally ledger export --out x"},
		{verb: "audit explain", line: "sally audit explain 1 $CONTRACT"},
	}...) {
		l.code, l.says = 6, "does not answer"
		v.types([]typed{l})
	}
	r, err := v.s.Alice.Run(v.ctx, "sally", "status")
	must(v.t, err)
	if want := v.spell("ssh now      yes: $WEB1\n"); !strings.HasPrefix(r.Stdout, want) || !strings.Contains(r.Stdout, "does not answer") {
		v.t.Errorf("without a server, sally status prints %s", r.Output)
	}
	// A certificate that is still good is used; without one there is nothing to do.
	v.types([]typed{
		{verb: "ssh", code: 0, line: "sally ssh $WEB1 --key-file -- true"},
		{verb: "ssh", code: 6, line: "sally ssh $WEB2", says: "does not answer"},
		{verb: "logout", code: 6, line: "sally logout", says: "logged out on this machine, but the server was not told"},
		{verb: "status", code: 4, line: "sally status", says: "log in first"},
	})
	if left, err := filepath.Glob(filepath.Join(v.s.Alice.Home(), ".local", "state", "sallyport", "*", "*-cert.pub")); err != nil || len(left) > 0 {
		v.t.Errorf("after the logout there are %v, %v", left, err)
	}
}
