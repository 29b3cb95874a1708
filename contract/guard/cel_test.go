package guard_test

import (
	"testing"

	"cel.dev/cel-go/cel"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract/guard"
)

// celEnv declares the fields to CEL. A set is a list of strings there.
func celEnv(t *testing.T) *cel.Env {
	t.Helper()
	types := map[guard.Type]*cel.Type{guard.Int: cel.IntType, guard.Bool: cel.BoolType, guard.String: cel.StringType, guard.Set: cel.ListType(cel.StringType)}
	var options []cel.EnvOption
	for name, f := range guard.Known {
		options = append(options, cel.Variable(name, types[f.Type]))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// celFacts are facts as CEL takes them.
func celFacts(facts guard.Facts) map[string]any {
	out := map[string]any{}
	for name, v := range facts {
		switch v.Type() {
		case guard.Int:
			out[name] = v.Int()
		case guard.Bool:
			out[name] = v.Bool()
		case guard.String:
			out[name] = v.Text()
		case guard.Set:
			out[name] = append([]string{}, v.Members()...)
		}
	}
	return out
}

func celEval(t interface{ Fatalf(string, ...any) }, env *cel.Env, src string, facts guard.Facts) bool {
	ast, issues := env.Compile(src)
	if issues.Err() != nil {
		t.Fatalf("CEL refuses %s: %v", src, issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	out, _, err := program.Eval(celFacts(facts))
	if err != nil {
		t.Fatalf("CEL on %s: %v", src, err)
	}
	truth, ok := out.Value().(bool)
	if !ok {
		t.Fatalf("CEL makes %v of %s", out, src)
	}
	return truth
}

// Every guard is CEL, and with all facts known it means what CEL says, as written
// and in its canonical text.
func TestGuardsMeanWhatCELSays(t *testing.T) {
	t.Parallel()
	env := celEnv(t)
	rapid.Check(t, func(t *rapid.T) {
		src := drawGuard(t, 4)
		e := parse(t, src)
		facts := drawFacts(t, false)
		got, err := e.Eval(facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{src, e.String()} {
			if want := celEval(t, env, text, facts); got != want {
				t.Fatalf("%s is %t, CEL says %t of %s, for %v", src, got, want, text, facts.Strings())
			}
		}
	})
}

// The one place where a guard is not CEL: CEL lets true || missing be true.
func TestGuardsDoNotAbsorbWhatIsMissing(t *testing.T) {
	t.Parallel()
	env := celEnv(t)
	const src = "ticket || first_time_host"
	facts := guard.Facts{"ticket": guard.OfBool(true)}
	if !celEval(t, env, src, facts) {
		t.Error("CEL no longer absorbs; then the package's comment is wrong")
	}
	e, err := guard.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Eval(facts); ok || err == nil {
		t.Errorf("Eval = %t, %v; want ErrMissing", ok, err)
	}
}
