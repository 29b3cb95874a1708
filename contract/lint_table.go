package contract

// LintRow is what docs/lints.md says about one lint.
type LintRow struct {
	Code, Name string
	Severity   Severity
	What       string // what is wrong when it speaks
	Example    string // a piece of the terms, or of the world, about which it speaks
	Mend       string // the smallest change that helps
}

// lint is a row of the table with its check; nil if only the loader finds it.
type lint struct {
	code, name, what, example, mend string
	check                           func(*linter)
}

// severity follows from the code's letter.
func (r lint) severity() Severity {
	switch r.code[0] {
	case 'E':
		return SeverityError
	case 'W':
		return SeverityWarning
	default:
		return SeverityInfo
	}
}

// Lints returns the table of all lints, by number.
func Lints() []LintRow {
	out := make([]LintRow, len(lints))
	for i, r := range lints {
		out[i] = LintRow{Code: r.code, Name: r.name, Severity: r.severity(), What: r.what, Example: r.example, Mend: r.mend}
	}
	return out
}

// lints is the table, by number. A function makes it, as checks are part of it.
var lints = append(errorLints(), otherLints()...)
