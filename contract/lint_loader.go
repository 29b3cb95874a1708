package contract

import "errors"

// refusal is the finding about a file that the loader refuses.
func (l *linter) refusal(err error) Finding {
	f := Finding{Severity: SeverityError, Message: err.Error()}
	row := &lints[0]
	if flaw, ok := errors.AsType[*TermsError](err); ok {
		f.Path, f.Line, f.Message = flaw.Path, flaw.Line, flaw.Message
	}
	f.Code, f.Name, f.Mend = row.code, row.name, row.mend
	return f
}
