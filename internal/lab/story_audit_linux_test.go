package lab_test

import (
	"os"
	"regexp"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/lab"
)

// audits is what is done with the ledger as a whole: by a person with what she may
// see, and with the operator's export, for which no server is asked.
func (v *verbs) audits() {
	v.t.Helper()
	v.words["$LEDGER"], v.words["$PIPE"] = v.s.Operator.Home("ledger.jsonl"), v.s.Alice.Home("pipe")
	_, err := v.s.Operator.Must(v.ctx, "sallyd", "ledger", "export", "--out", v.words["$LEDGER"], "--dir", v.s.ServerDir())
	must(v.t, err)
	v.words["$CONTRACT"] = "--contract " + v.printed(`"lineage": "([^"]+)"`, "sally", "list", "--json")
	v.words["$SERIAL"] = v.printed(`serial (\d+)`, "sally", "ledger", "list")
	v.types([]typed{
		{verb: "ledger export", code: 0, line: "sally ledger export --out $(mktemp -u ~/export.XXXXXX)"},
		{verb: "ledger export", code: 1, line: "sally ledger export --out ~/.", says: "is there already"},
		{verb: "ledger export", code: 2, line: "sally ledger export", says: "--out FILE"},
		{verb: "audit verify", code: 0, line: "sally audit verify $LEDGER --pin $PIN $CONTRACT"},
		{verb: "audit verify", code: 1, line: "sally audit verify $PIN --pin $PIN $CONTRACT", says: "not a whole export bundle"},
		{verb: "audit verify", code: 2, line: "sally audit verify $LEDGER --pin $PIN", says: "--contract DIGEST"},
		{verb: "audit explain", code: 0, line: "sally audit explain $SERIAL --bundle $LEDGER --pin $PIN $CONTRACT"},
		{verb: "audit explain", code: 1, line: "sally audit explain $SERIAL $CONTRACT", says: "it is unknown"},
		{verb: "audit explain", code: 2, line: "sally audit explain x $CONTRACT", says: "a number from 1"},
	})

	// A bundle may come through a pipe; who interrupts does not wait for its end.
	must(v.t, unix.Mkfifo(v.words["$PIPE"], 0o600))
	pipe, err := os.OpenFile(v.words["$PIPE"], os.O_RDWR, 0)
	must(v.t, err)
	_, err = pipe.WriteString(`{"`)
	must(v.t, err)
	l := typed{verb: "audit verify", code: 130, line: "sally audit verify $PIPE --pin $PIN $CONTRACT"}
	task := v.start(l.line)
	must(v.t, lab.Poll(v.ctx, l.line+" to read", func() (bool, error) {
		waiting, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
		return waiting == 0, err
	}))
	must(v.t, syscall.Kill(task.PID(), syscall.SIGINT))
	v.end(l, task)
	must(v.t, pipe.Close())
}

// printed finds something in what a command line of Alice's prints.
func (v *verbs) printed(pattern string, argv ...string) string {
	v.t.Helper()
	r, err := v.s.Alice.Must(v.ctx, argv...)
	must(v.t, err)
	found := regexp.MustCompile(pattern).FindStringSubmatch(r.Stdout)
	if found == nil {
		v.t.Fatalf("%v prints no %s: %s", argv, pattern, r.Output)
	}
	return found[1]
}
