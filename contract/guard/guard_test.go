package guard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract/guard"
)

// known are facts of every field.
func known() guard.Facts {
	return guard.Facts{
		"grant_seconds": guard.OfInt(3600), "hosts": guard.OfInt(2), "reason_words": guard.OfInt(5),
		"ticket": guard.OfBool(true), "first_time_host": guard.OfBool(false),
		"groups": guard.OfSet("sre", "staff"), "calendars": guard.OfSet("de-business"), "logins": guard.OfSet("ops"),
		"flow": guard.OfString("code"), "issuer": guard.OfString("acme"),
	}
}

func TestParseAndEval(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		src       string
		want      bool
		canonical string // empty: src itself
	}{
		{"ticket", true, ""},
		{"!ticket", false, ""},
		{"!!ticket", true, ""},
		{"ticket == true", true, "ticket"},
		{"ticket != true", false, "!ticket"},
		{"ticket == false", false, "!ticket"},
		{"first_time_host != false", false, "first_time_host"},
		{"grant_seconds <= 3600", true, ""},
		{"grant_seconds < 3600", false, ""},
		{"grant_seconds >= 3600", true, ""},
		{"grant_seconds > 3600", false, ""},
		{"grant_seconds == 3600", true, ""},
		{"grant_seconds != 3600", false, ""},
		{"hosts < 9007199254740991", true, ""},
		{"hosts in [1, 2]", true, ""},
		{"hosts in[ 1,3 ]", false, "hosts in [1, 3]"},
		{`"sre" in groups`, true, ""},
		{`"dba" in groups`, false, ""},
		{`!("dba" in groups)`, true, ""},
		{`("sre" in groups)`, true, `"sre" in groups`},
		{`flow == "code"`, true, ""},
		{`flow != "code"`, false, ""},
		{`issuer in ["acme", "northwind"]`, true, ""},
		{`issuer in ["a\"c\\me"]`, false, ""},
		{"ticket || ticket && first_time_host", true, ""}, // && binds tighter
		{"(ticket || ticket) && first_time_host", false, ""},
		{"ticket && (ticket && (first_time_host))", false, "ticket && ticket && first_time_host"},
		{"((ticket || first_time_host) || ticket)", true, "ticket || first_time_host || ticket"},
		{"!(ticket && first_time_host)", true, ""},
		{"!(hosts == 2)", false, ""},
		{
			"\tgrant_seconds<=3600&&ticket\r\n&&!first_time_host&&\"sre\"in groups&&\"de-business\"in calendars", true,
			`grant_seconds <= 3600 && ticket && !first_time_host && "sre" in groups && "de-business" in calendars`,
		},
		{strings.Repeat("(", 32) + "ticket" + strings.Repeat(")", 32), true, "ticket"},
	} {
		t.Run(tt.src, func(t *testing.T) {
			t.Parallel()
			e, err := guard.Parse(tt.src)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.Eval(known()); err != nil || got != tt.want {
				t.Errorf("Eval = %t, %v; want %t", got, err, tt.want)
			}
			want := tt.canonical
			if want == "" {
				want = tt.src
			}
			if e.String() != want {
				t.Errorf("String = %s, want %s", e, want)
			}
		})
	}
}

func TestParseSaysWhereAndWhatPasses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ src, want string }{
		{"", `column 1: unexpected end of the guard; expected a field such as grant_seconds, a "word" in a set, ! or (`},
		{"  ", "column 3: unexpected end of the guard"},
		{"true", "column 1: \"true\" stands alone; write the field first"},
		{"3600 >= grant_seconds", "column 1: 3600 stands alone; write the field first"},
		{`"code" == flow`, `column 8: unexpected "=="; after "code" expected in and a set such as groups; in a comparison the field comes first`},
		{"grant_second <= 1", `column 1: no field "grant_second"; did you mean grant_seconds?`},
		{"ttl <= 1", `column 1: no field "ttl"; expected one of calendars, first_time_host, flow, grant_seconds, groups, hosts, issuer, logins, reason_words, ticket`},
		{"groups", "column 7: groups is a set; write \"word\" in groups"},
		{`groups == "sre"`, "column 8: groups is a set"},
		{`groups in ["sre"]`, "column 8: groups is a set"},
		{"hosts", "column 6: unexpected end of the guard after hosts, which is an int from 1 to 64; write hosts <= 64"},
		{`hosts == "2"`, `column 10: hosts is an int from 1 to 64, and "2" is not; write hosts <= 64`},
		{"ticket == 1", "column 11: ticket is a bool, and 1 is not; write ticket or !ticket"},
		{"ticket < true", "column 8: ticket is a bool, which has no order"},
		{`flow < "code"`, "column 6: flow is a string, which has no order"},
		{"flow == code", `column 9: "code" is no constant: a field is compared with a constant only, and texts stand in double quotes`},
		{"hosts == reason_words", `column 10: "reason_words" is no constant`},
		{"flow == 'code'", "column 9: texts stand in double quotes"},
		{`flow == r"code"`, "column 9: a text has no letters before its quote"},
		{`flow == "code`, "column 9: the text has no closing quote"},
		{`flow == "a\n"`, "column 11: in a text a backslash stands before \" or \\ only"},
		{`flow == "a\`, "column 11: in a text a backslash stands"},
		{"flow == \"a\nb\"", "column 11: a text holds printable ASCII characters only, not '\\n'"},
		{"flow == \"ä\"", "column 10: a text holds printable ASCII characters only, not '\\u00e4'"},
		{"flow == \"\xff\"", "column 10: a text holds printable"},
		{"ticket in [true]", "column 8: ticket is a bool; write ticket or !ticket"},
		{"hosts in []", "column 11: unexpected \"]\"; expected a constant"},
		{"hosts in [1,]", "column 13: unexpected \"]\"; expected a constant"},
		{"hosts in [1 2]", "column 13: unexpected 2; expected , or ]"},
		{"hosts in [1, 1]", "column 14: 1 is in the list twice"},
		{"hosts in [1", "column 12: unexpected end of the guard; expected , or ]"},
		{"hosts in 1", "column 10: unexpected 1; expected a list"},
		{`"a" in ["a"]`, `column 8: "a" and the list are both constants`},
		{`"a" in flow`, `column 8: flow is a string, not a set; write flow == "word"`},
		{`"a" in grups`, `column 8: no field "grups"; did you mean groups?`},
		{"1 < hosts < 3", "column 1: 1 stands alone"},
		{"hosts == 1 == ticket", `column 12: "==" can't follow here`},
		{"!ticket == false", `column 9: "==" can't follow here`},
		{"(ticket) == false", `column 10: "==" can't follow here`},
		{`!"sre" in groups`, "column 2: unexpected \"sre\""},
		{"!hosts == 1", "column 2: hosts is an int from 1 to 64, and ! stands before a bool field or parentheses; write !(hosts …)"},
		{"ticket ticket", `column 8: unexpected "ticket"; expected && or || or the end`},
		{"ticket & ticket", "column 8: \"&\" is no part of the language"},
		{"ticket and ticket", `column 8: unexpected "and"`},
		{"ticket &&", "column 10: unexpected end of the guard"},
		{"&& ticket", "column 1: unexpected \"&&\""},
		{"(ticket", "column 8: unexpected end of the guard; expected ) for the ( in column 1"},
		{"ticket)", `column 7: unexpected ")"`},
		{"()", `column 2: unexpected ")"`},
		{"hosts == 01", "column 10: a whole number has no leading zero"},
		{"hosts == 1h", "column 10: expected a whole number such as 3600, without unit or fraction"},
		{"hosts == 1.0", "column 10: expected a whole number"},
		{"hosts == -1", "column 10: \"-\" is no part"},
		{"hosts == 9007199254740992", "column 10: the number is too large; at most 9007199254740991"},
		{"hosts == 99999999999999999999999", "column 10: the number is too large"},
		{"hosts + 1 == 2", `column 7: "+" is no part`},
		{"size(groups) == 1", `column 1: no field "size"`},
		{"ticket // why", `column 8: "/" is no part`},
		{"ticket \x1b[2J", `column 8: "\x1b" is no part`},
		{"ticket\u202e", `column 7: "\u202e" is no part`},
		{"ticket ? ticket : ticket", `column 8: "?" is no part`},
		{strings.Repeat("(", 33) + "ticket" + strings.Repeat(")", 33), "column 33: more than 32 parentheses and ! inside each other"},
		{strings.Repeat("!", 100) + "ticket", "column 33: more than 32"},
		{strings.Repeat("ticket||", 128) + "ticket", "more than 256 parts"},
		{strings.Repeat(" ", 4096) + "ticket", "column 1: the guard is 4102 bytes long; at most 4096"},
	} {
		t.Run(tt.src, func(t *testing.T) {
			t.Parallel()
			e, err := guard.Parse(tt.src)
			se, ok := errors.AsType[*guard.SyntaxError](err)
			if e != nil || !ok || !errors.Is(err, guard.ErrSyntax) || se.Column < 1 {
				t.Fatalf("Parse = %v, %v", e, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestEvalRefusesWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	const all = `grant_seconds > 20 || hosts == 3 || reason_words < 2 || ticket || first_time_host || "a" in groups || "b" in calendars || "c" in logins || flow == "code" || issuer == "acme"`
	every, err := guard.Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	if got := every.Fields(); len(got) != len(guard.Known) {
		t.Fatalf("Fields = %v, want all of Known", got)
	}
	for name := range guard.Known {
		facts := known()
		delete(facts, name)
		if got, err := every.Eval(facts); got || !errors.Is(err, guard.ErrMissing) || !strings.HasSuffix(err.Error(), ": "+name) {
			t.Errorf("without %s: Eval = %t, %v; want ErrMissing", name, got, err)
		}
		facts[name] = guard.Value{}
		if got, err := every.Eval(facts); got || !errors.Is(err, guard.ErrFact) {
			t.Errorf("with no %s: Eval = %t, %v; want ErrFact", name, got, err)
		}
		for other, v := range known() {
			if guard.Known[other].Type == guard.Known[name].Type {
				continue
			}
			facts[name] = v
			if got, err := every.Eval(facts); got || !errors.Is(err, guard.ErrFact) {
				t.Errorf("with the %s in %s: Eval = %t, %v; want ErrFact", other, name, got, err)
			}
		}
	}
	for _, n := range []int64{-1, 0, 65} {
		facts := known()
		facts["hosts"] = guard.OfInt(n)
		if got, err := every.Eval(facts); got || !errors.Is(err, guard.ErrFact) {
			t.Errorf("%d hosts: Eval = %t, %v; want ErrFact", n, got, err)
		}
	}
	if _, err := every.Eval(guard.Facts{"ticket": guard.OfBool(true)}); err == nil || !strings.Contains(err.Error(), "calendars, first_time_host, flow") {
		t.Errorf("Eval = %v; want all that is missing", err)
	}
}

func TestNoGuardAlwaysHolds(t *testing.T) {
	t.Parallel()
	var none *guard.Expr
	if ok, err := none.Eval(nil); !ok || err != nil || none.Fields() != nil || none.String() != "" {
		t.Errorf("nil: %t, %v, %v, %q", ok, err, none.Fields(), none)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	set := guard.OfSet("b", "a", "b")
	for _, tt := range []struct {
		v    guard.Value
		want string
	}{
		{guard.OfInt(3600), "3600"},
		{guard.OfBool(true), "true"},
		{guard.OfString(`a"b\c`), `"a\"b\\c"`},
		{guard.OfString("\x1b[2J\u202e"), `"\x1b[2J\u202e"`},
		{set, `["a", "b"]`},
		{guard.OfSet(), "[]"},
		{guard.Value{}, "missing"},
	} {
		if got := tt.v.String(); got != tt.want {
			t.Errorf("String = %s, want %s", got, tt.want)
		}
		for _, o := range []guard.Value{guard.OfInt(0), guard.OfBool(false), guard.OfString(""), guard.OfSet("a"), guard.OfSet("a", "c")} {
			if tt.v.Equal(o) || !tt.v.Equal(tt.v) {
				t.Errorf("%s and %s", tt.v, o)
			}
		}
	}
	if got := set.Members(); len(got) != 2 || set.Type() != guard.Set || guard.OfInt(7).Int() != 7 || !guard.OfBool(true).Bool() || guard.OfString("x").Text() != "x" {
		t.Errorf("Members = %v", got)
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ src, want string }{
		{"grant_seconds <= 1800", "grant_seconds 1800; "},
		{"grant_seconds > 7200", "grant_seconds 7201; "},
		{"grant_seconds == 60 || grant_seconds in [3000, 3601]", "grant_seconds 3601; "},
		{"grant_seconds <= 1800 && ticket", "grant_seconds 1800; "},
		{"grant_seconds <= 1800 || !ticket", "grant_seconds 1800; ticket false; "},
		{"first_time_host", "first_time_host true; "},
		{`"dba" in groups`, `groups ["dba", "sre", "staff"]; `},
		{`!("sre" in groups)`, `groups ["staff"]; `},
		{`flow != "code"`, `flow "other"; `},
		{`flow == "other"`, `flow "other"; `},
		{"hosts > 64", ""},
		{"grant_seconds <= 1800 && !ticket", ""}, // two changes
		{"ticket && !ticket", ""},
	} {
		e, err := guard.Parse(tt.src)
		if err != nil {
			t.Fatal(err)
		}
		facts := known()
		var got strings.Builder
		for _, c := range e.Near(facts) {
			got.WriteString(c.Field + " " + c.Value.String() + "; ")
			facts[c.Field] = c.Value
			if ok, err := e.Eval(facts); !ok || err != nil {
				t.Errorf("%s: %s is not near: %t, %v", tt.src, got.String(), ok, err)
			}
			facts = known()
		}
		if got.String() != tt.want {
			t.Errorf("%s: near is %s want %s", tt.src, got.String(), tt.want)
		}
		delete(facts, e.Fields()[0])
		if got := e.Near(facts); got != nil {
			t.Errorf("%s: near what is missing is %v", tt.src, got)
		}
	}
}
