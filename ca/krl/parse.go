package krl

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Parse reads a list. It refuses what it does not understand, wholly.
func Parse(text []byte) (*List, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrList, len(text), MaxBytes)
	}
	r := &reader{rest: text}
	if r.number64() != magic || r.number32() != formatVersion {
		return nil, fmt.Errorf("%w: it does not begin like one of version %d", ErrList, formatVersion)
	}
	l := &List{Number: r.number64(), MadeAt: r.number64()}
	if r.number64() != 0 || len(r.text()) != 0 {
		r.fail("flags or reserved bytes are set")
	}
	l.Comment = string(r.text())
	p := parser{list: l, byCA: make(map[string]int)}
	for r.err == nil && len(r.rest) > 0 {
		kind := r.octet()
		data := r.text()
		if r.err == nil {
			r.err = p.section(kind, data)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	for i := range l.Issued {
		l.Issued[i].Serials = normal(l.Issued[i].Serials)
	}
	return l, l.check()
}

type parser struct {
	list   *List
	byCA   map[string]int // place in list.Issued, by wire form
	ranges int
}

func (p *parser) section(kind byte, data []byte) error {
	r := &reader{rest: data}
	switch kind {
	case sectionCertificates:
		return p.certificates(r)
	case sectionKeys:
		for r.more() {
			if key := r.key(); r.err == nil {
				p.list.Keys = append(p.list.Keys, key)
			}
		}
	case sectionSHA256:
		for r.more() {
			h := r.text()
			if r.err == nil && len(h) != sha256.Size {
				r.fail("a fingerprint of %d bytes", len(h))
			}
			if r.err == nil {
				p.list.Hashes = append(p.list.Hashes, [sha256.Size]byte(h))
			}
		}
	default:
		return fmt.Errorf("%w that is read here: it has a section of type %d", ErrList, kind)
	}
	return r.err
}

// certificates reads what one authority's certificates are revoked by. OpenSSH
// knows a section without authority, which is about everybody's; none of ours is.
func (p *parser) certificates(r *reader) error {
	ca := r.key()
	if len(r.text()) != 0 {
		r.fail("reserved bytes are set")
	}
	if r.err != nil {
		return r.err
	}
	at, known := p.byCA[string(ca.Marshal())]
	if !known {
		at = len(p.list.Issued)
		p.byCA[string(ca.Marshal())] = at
		p.list.Issued = append(p.list.Issued, Issued{CA: ca})
	}
	into := &p.list.Issued[at].Serials
	for r.more() {
		kind := r.octet()
		data := &reader{rest: r.text()}
		if r.err != nil {
			break
		}
		switch kind {
		case serialList:
			for data.more() {
				s := data.number64()
				p.add(data, into, Range{s, s})
			}
		case serialRange:
			first, last := data.number64(), data.number64()
			p.add(data, into, Range{first, last})
			data.end()
		case serialBitmap:
			p.bitmap(data, into)
			data.end()
		default:
			data.fail("certificates are revoked by something of type %#x, which is not read here", kind)
		}
		r.err = data.err
	}
	return r.err
}

func (p *parser) add(r *reader, into *[]Range, one Range) {
	switch {
	case r.err != nil:
		return
	case one.First == 0 || one.First > one.Last:
		r.fail("serials %d to %d", one.First, one.Last)
		return
	case p.ranges == MaxRanges:
		r.fail("more than %d ranges of serials", MaxRanges)
		return
	}
	p.ranges++
	*into = append(*into, one)
}

func (p *parser) bitmap(r *reader, into *[]Range) {
	first, number := r.number64(), r.text()
	if r.err != nil {
		return
	}
	if len(number) > 0 && number[0]&0x80 != 0 {
		r.fail("a bitmap is a negative number")
		return
	}
	if number = bytes.TrimLeft(number, "\x00"); len(number) > maxBits/8 {
		r.fail("a bitmap of %d bytes, at most %d", len(number), maxBits/8)
		return
	}
	for i := len(number) - 1; i >= 0; i-- {
		for bit := range 8 {
			if number[i]&(1<<bit) == 0 {
				continue
			}
			s := first + uint64(len(number)-1-i)*8 + uint64(bit) //nolint:gosec // below maxBits
			if s < first {
				r.fail("a bitmap goes beyond the greatest serial")
				return
			}
			if n := len(*into); n > 0 && (*into)[n-1].Last+1 == s && s != 0 {
				(*into)[n-1].Last = s
				continue
			}
			p.add(r, into, Range{s, s})
		}
	}
}

// reader reads fields one after the other. After the first error it reads zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) more() bool { return r.err == nil && len(r.rest) > 0 }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrList}, args...)...)
	}
}

func (r *reader) end() {
	if len(r.rest) > 0 {
		r.fail("%d bytes follow where it should end", len(r.rest))
	}
}

func (r *reader) take(n uint64) []byte {
	if r.err == nil && uint64(len(r.rest)) < n {
		r.fail("it is cut off")
	}
	if r.err != nil {
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) octet() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) number32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) number64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text() []byte { return r.take(uint64(r.number32())) }

func (r *reader) key() ssh.PublicKey {
	wire := r.text()
	if r.err != nil {
		return nil
	}
	if len(wire) > maxKey {
		r.fail("a key of %d bytes", len(wire))
		return nil
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil || !bytes.Equal(key.Marshal(), wire) {
		r.fail("it holds what is no SSH public key")
		return nil
	}
	return key
}
