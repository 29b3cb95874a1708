package client

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
)

// printReport writes a line for each certificate, a line for each finding, and
// what there is to know of the whole.
func printReport(e Env, r audit.Report) error {
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range r.Certificates {
		fmt.Fprintf(table, "%s certificate %d\t%s\t%s\t%s\n", resultMark(e, c), c.Serial, verdictWords(c), e.visible(first(strings.Join(c.Principals, " "), "-")), e.visible(certificateNote(c)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s\n", mark(e, Failed), e.visible(findingWords(f)))
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	for _, line := range summary(r) {
		fmt.Fprintf(&b, "%-13s%s\n", line[0], e.visible(line[1]))
	}
	return e.write(b.Bytes())
}

func resultMark(e Env, c audit.Certificate) string {
	switch {
	case c.Verdict == audit.Unknown:
		return mark(e, Unknown)
	case c.Failed():
		return mark(e, Failed)
	default:
		return mark(e, Passed)
	}
}

func verdictWords(c audit.Certificate) string {
	if c.Waived {
		return string(c.Verdict) + ", waived"
	}
	return string(c.Verdict)
}

// certificateNote says what makes a certificate's verdict, or when it was valid.
func certificateNote(c audit.Certificate) string {
	var notes []string
	if c.ValidBeforeAt != 0 {
		notes = append(notes, "until "+stamp(c.ValidBeforeAt))
	}
	switch {
	case c.Void != 0:
		notes = append(notes, fmt.Sprintf("void by leaf %d", c.Void))
	case !c.Signed:
		notes = append(notes, "no signed one is shown")
	}
	if c.Erased != 0 {
		notes = append(notes, fmt.Sprintf("person erased by leaf %d", c.Erased))
	}
	if c.Rule != "" {
		notes = append(notes, causeWords(c.Cause, c.CauseKind)+": "+c.Rule)
	}
	return strings.Join(notes, "; ")
}

func causeWords(leaf int64, kind string) string {
	if kind == "" {
		return fmt.Sprintf("leaf %d", leaf)
	}
	return fmt.Sprintf("leaf %d (%s)", leaf, kind)
}

func findingWords(f audit.Finding) string {
	switch {
	case f.Kind == "":
		return f.Rule
	case f.Leaf == f.Cause:
		return causeWords(f.Leaf, f.Kind) + ": " + f.Rule
	default:
		return fmt.Sprintf("%s rests on %s: %s", causeWords(f.Leaf, f.Kind), causeWords(f.Cause, f.CauseKind), f.Rule)
	}
}

// summary is what there is to know of the ledger as a whole.
func summary(r audit.Report) [][2]string {
	lines := [][2]string{{"ledger", fmt.Sprintf("%s, %s, root %s, under a checkpoint that the pinned log key signed", r.Origin, counted(r.Size, "leaf", "leaves"), r.Root)}}
	if len(r.Cosigned) > 0 {
		lines = append(lines, [2]string{"confirmed", "by " + strings.Join(r.Cosigned, ", ") + ", who saw this ledger and no other"})
	}
	if r.Unconfirmed > 0 {
		lines = append(lines, [2]string{"unconfirmed", fmt.Sprintf("%s without their words inside: older than they are, or made past them", counted(r.Unconfirmed, "certificate", "certificates"))})
	}
	if s := r.Succeeds; s != nil {
		lines = append(lines, [2]string{"succeeds", fmt.Sprintf("%s, which signed for %s, root %s, of which %d are kept; it is verified by itself, with its log key %s",
			s.Origin, counted(s.Size, "leaf", "leaves"), s.Root, s.Kept, s.LogKey)})
	}
	for _, c := range r.Contracts {
		state := "not in force"
		if c.InForceAt != 0 {
			state = "in force from " + stamp(c.InForceAt)
		}
		vouched := "its version 1 is none that you named"
		if c.Vouched {
			vouched = "its version 1 is one that you named"
		}
		lines = append(lines, [2]string{"contract", fmt.Sprintf("%s version %d, %s, signed by %s, %s; %s",
			c.ID, c.Version, c.Contract, first(strings.Join(c.Signed, ", "), "nobody"), state, vouched)})
	}
	lines = append(lines, [2]string{"certificates", certificateCount(r)})
	if r.Closed > 0 {
		lines = append(lines, [2]string{"closed", counted(r.Closed, "leaf", "leaves") + " whose facts the bundle does not show"})
	}
	if r.NoPerson > 0 {
		lines = append(lines, [2]string{"persons", counted(r.NoPerson, "person part is", "person parts are") + " not shown, and no leaf says that they were erased; what rests on who that was is unknown"})
	}
	if r.Erased > 0 {
		lines = append(lines, [2]string{"erased", counted(r.Erased, "person part is", "person parts are") + " erased, as two people signed for in leaves of the ledger; who that was is the server's word"})
	}
	for _, kind := range slices.Sorted(maps.Keys(r.UnknownKinds)) {
		n := r.UnknownKinds[kind]
		lines = append(lines, [2]string{"unknown", fmt.Sprintf("%s of kind %s, which this version of sally does not know; what stands behind is unknown", counted(n, "leaf", "leaves"), kind)})
	}
	if r.Count(audit.Attested) > 0 {
		lines = append(lines, [2]string{"attested", "rests on the server's word in the ledger, for the decisions and for who somebody is (docs/audit.md)"})
	}
	return lines
}

func certificateCount(r audit.Report) string {
	void, unsigned := 0, 0
	for _, c := range r.Certificates {
		switch {
		case c.Void != 0:
			void++
		case !c.Signed:
			unsigned++
		}
	}
	return fmt.Sprintf("%d: %d proved, %d attested, %d unknown, %d unjustified; of these %d void, and %d without a signed one",
		len(r.Certificates), r.Count(audit.Proved), r.Count(audit.Attested), r.Count(audit.Unknown), r.Count(audit.Unjustified), void, unsigned)
}

// counted is a number with its noun.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// stamp is a moment of the ledger in UTC: an audit reads the same everywhere.
func stamp(m canon.Micros) string { return m.Time().Format("2006-01-02 15:04:05Z") }
