package audit

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Head is the first line of a bundle: whose ledger it is and how long.
type Head struct {
	LogKey string `json:"log_key"` // that leaf 0 names, a vkey
	Origin string `json:"origin"`
	Size   int64  `json:"size"`    // leaves
	UserCA string `json:"user_ca"` // that leaf 0 names, b64 of the SSH wire form
	V      string `json:"v"`
}

// End is the last line of a bundle. Its numbers tell a whole file from one that
// lost something on the way; they are no proof.
type End struct {
	Certificates int64  `json:"certificates"` // lines with one
	Checkpoint   string `json:"checkpoint"`   // signed, over exactly the bundle's leaves
	Facts        int64  `json:"facts"`        // lines with facts
	Leaves       int64  `json:"leaves"`
	Persons      int64  `json:"persons"` // lines with a person part
	V            string `json:"v"`
}

// Entry is a leaf with what is known of its opening: one line of a bundle.
type Entry struct {
	Index int64
	// Text is the leaf, six lines.
	Text []byte
	// Opening is what the leaf hides. Without facts the leaf is closed: its facts
	// are not shown. A person part is missing where there is none, where it was
	// erased, and where it is not shown.
	Opening record.Opening
	// Certificate is the signed certificate in wire form that the leaf recorded; nil
	// for other kinds, and where none was signed.
	Certificate []byte
}

// appendLine writes an entry as a line without its newline.
func (e Entry) appendLine(b []byte) ([]byte, error) {
	if e.Index < 0 || e.Index > ledger.MaxSize {
		return nil, fmt.Errorf("%w: index %d", ErrBundle, e.Index)
	}
	o := e.Opening
	leaf, err := canon.Marshal(string(e.Text))
	if err != nil {
		return nil, err
	}
	for _, text := range [][]byte{o.Facts, o.Person} {
		if text == nil {
			continue
		}
		if err := canon.Check(text); err != nil || text[0] != '{' {
			return nil, fmt.Errorf("%w: leaf %d: an opening is no canonical JSON object", ErrBundle, e.Index)
		}
	}
	b = append(b, '{')
	if e.Certificate != nil {
		b = append(b, `"certificate":"`+canon.B64(e.Certificate)+`",`...)
	}
	if o.Facts != nil {
		b = append(append(b, `"facts":`...), o.Facts...)
		b = append(b, `,"facts_salt":"`+o.FactsSalt.String()+`",`...)
	}
	b = append(b, `"index":`...)
	b = strconv.AppendInt(b, e.Index, 10)
	b = append(append(b, `,"leaf":`...), leaf...)
	if o.Person != nil {
		b = append(append(b, `,"person":`...), o.Person...)
		b = append(b, `,"person_salt":"`+o.PersonSalt.String()+`"`...)
	}
	if b = append(b, '}'); len(b) > maxLine {
		return nil, fmt.Errorf("%w: leaf %d: %d bytes, at most %d in a line", ErrBundle, e.Index, len(b), maxLine)
	}
	return b, nil
}

// parseLine reads what appendLine writes and refuses everything else. The entry's
// texts lie within line.
func parseLine(line []byte) (Entry, error) {
	members, err := canon.Members(line)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	e := Entry{Index: -1}
	var factsSalt, personSalt bool
	for _, m := range members {
		switch m.Key {
		case "index":
			e.Index, err = strconv.ParseInt(string(m.Value), 10, 64)
		case "leaf":
			var text string
			text, err = stringOf(m)
			e.Text = []byte(text)
		case "facts":
			e.Opening.Facts, err = objectOf(m)
		case "person":
			e.Opening.Person, err = objectOf(m)
		case "facts_salt":
			factsSalt = true
			e.Opening.FactsSalt, err = saltOf(m)
		case "person_salt":
			personSalt = true
			e.Opening.PersonSalt, err = saltOf(m)
		case "certificate":
			e.Certificate, err = wireOf(m)
		default:
			return Entry{}, fmt.Errorf("%w: a leaf's line has no %q", ErrBundle, m.Key)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w: %w", m.Key, ErrBundle, err)
		}
	}
	switch {
	case e.Index < 0 || len(e.Text) == 0:
		return Entry{}, fmt.Errorf("%w: a leaf's line has index and leaf", ErrBundle)
	case (e.Opening.Facts != nil) != factsSalt || (e.Opening.Person != nil) != personSalt:
		return Entry{}, fmt.Errorf("%w: an opening and its salt stand together", ErrBundle)
	case e.Opening.Person != nil && e.Opening.Facts == nil:
		return Entry{}, fmt.Errorf("%w: a person part stands with the facts", ErrBundle)
	}
	return e, nil
}

func stringOf(m canon.Member) (string, error) {
	text, ok := canon.String(m.Value)
	if !ok {
		return "", fmt.Errorf("%w: no string", canon.ErrNotCanonical)
	}
	return text, nil
}

func objectOf(m canon.Member) ([]byte, error) {
	if m.Value[0] != '{' {
		return nil, fmt.Errorf("%w: no object", canon.ErrNotCanonical)
	}
	return m.Value, nil
}

func saltOf(m canon.Member) (ledger.Salt, error) {
	text, err := stringOf(m)
	if err != nil {
		return ledger.Salt{}, err
	}
	return ledger.ParseSalt(text)
}

func wireOf(m canon.Member) ([]byte, error) {
	text, err := stringOf(m)
	if err != nil {
		return nil, err
	}
	wire, err := canon.ParseB64(text)
	if err == nil && len(wire) > sshcert.MaxCertificate {
		err = fmt.Errorf("%w: %d bytes", sshcert.ErrCertificate, len(wire))
	}
	return wire, err
}

func (h Head) check() error {
	switch {
	case h.V != HeadVersion:
		return fmt.Errorf("%w: its version is %.80q, this program reads %q", ErrBundle, h.V, HeadVersion)
	case h.Size < 1 || h.Size > ledger.MaxSize:
		return fmt.Errorf("%w: a ledger of %d leaves", ErrBundle, h.Size)
	}
	if _, err := ledger.NewPolicy(h.Origin, h.LogKey); err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return nil
}

// exactly reads canonical JSON into v, which must be written as that very text.
func exactly(text []byte, v any) error {
	if err := canon.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	again, err := canon.Marshal(v)
	if err != nil || !bytes.Equal(again, text) {
		return fmt.Errorf("%w: a member is missing", ErrBundle)
	}
	return nil
}
