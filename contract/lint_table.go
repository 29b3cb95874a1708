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

// lints is the table; init order needs it to be filled by a function, as the
// checks name it through the linter.
var lints = lintTable()

func lintTable() []lint {
	return []lint{
		{
			"E00", "terms-refused", "the file can't be read as terms, or a rule of the format is broken that has no lint of its own",
			"`grant: {max: 4 hours}`", "write what the message says would pass", nil,
		},
		{
			"E01", "unsatisfiable-quorum", "somebody may ask, and fewer people than a stage's quorum could decide about them",
			"`{from: [leads], quorum: 2}`, and one of the two leads may ask", "lower the quorum or add a group to `from`", checkE01,
		},
		{
			"E02", "nobody-can-approve", "a stage's groups are empty",
			"`from: [dba-owners]`, and nobody is in it", "put somebody into the group, or name another in `from`", checkE02,
		},
		{
			"E03", "nobody-can-request", "the groups that may ask are empty",
			"`who: [nw-support]`, and nobody is in it", "put somebody into the group, name another in `who`, or leave the role out", checkE03,
		},
		{
			"E04", "self-approval", "somebody could decide on their own request through a second account or a service identity that the server does not hold as theirs, or look at their own break-glass",
			"a deploy robot may ask, and the human who runs it is in `from`", "link the accounts (`sallyd person link`), or take one of them out of the group", checkE04,
		},
		{
			"E05", "sod-deadlock", "each stage alone has enough people, all together have not, as nobody decides twice or who has the requester's manager",
			"two stages from a group of two, of whom one asks", "add a group to one of the stages, lower a quorum, or ease `duties`", checkE05,
		},
		{
			"E06", "escalation-loop", "groups pass silence round in a circle",
			"stage one escalates from leads to soc, stage two from soc to leads", "let one of the stages escalate to a third group", checkE06,
		},
		{
			"E07", "escalation-to-nobody-new", "a silent stage asks nobody who was not asked before, or the requester only",
			"`{from: [leads], escalate: {to: [leads], timeout: 1h}}`", "escalate to a group with other people in it", checkE07,
		},
		{
			"E14", "orphan-role", "a role has no path that decides, so every request is denied",
			"`paths: []`", "add a path, or leave the role out", checkE14,
		},
	}
}
