package krl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Of the format.
const (
	magic         = 0x5353484b524c0a00 // "SSHKRL\n" and a zero
	formatVersion = 1

	sectionCertificates = 1
	sectionKeys         = 2
	sectionSHA256       = 5

	serialList   = 0x20
	serialRange  = 0x21
	serialBitmap = 0x22
)

// How serials are written in few bytes: a list takes 8 for each, a range 16, a
// bitmap an eighth for each serial that it spans, and each needs about 17 around it.
const (
	// longRun is from where on a range is smaller than a piece of a bitmap.
	longRun = 256
	// wideGap is how many serials in between cost a bitmap as much as naming the
	// next one costs a list.
	wideGap = 64
	// maxBits is the widest bitmap: OpenSSH reads no longer number.
	maxBits = 16 << 10
	// around is what a bitmap needs beside its bits: section, offset, length, sign.
	around = 5 + 8 + 4 + 1
)

// Marshal writes the list. The same list has the same bytes.
func (l *List) Marshal() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	out := binary.BigEndian.AppendUint64(nil, magic)
	out = binary.BigEndian.AppendUint32(out, formatVersion)
	out = binary.BigEndian.AppendUint64(out, l.Number)
	out = binary.BigEndian.AppendUint64(out, l.MadeAt)
	out = binary.BigEndian.AppendUint64(out, 0) // flags
	out = text(out, nil)                        // reserved
	out = text(out, []byte(l.Comment))
	for _, i := range byKey(l.Issued, func(i Issued) []byte { return i.CA.Marshal() }) {
		if len(i.Serials) > 0 {
			out = section(out, sectionCertificates, issued(i))
		}
	}
	if len(l.Keys) > 0 {
		var keys []byte
		for _, k := range byKey(l.Keys, sshWire) {
			keys = text(keys, k.Marshal())
		}
		out = section(out, sectionKeys, keys)
	}
	if len(l.Hashes) > 0 {
		var hashes []byte
		for _, h := range byKey(l.Hashes, func(h [32]byte) []byte { return h[:] }) {
			hashes = text(hashes, h[:])
		}
		out = section(out, sectionSHA256, hashes)
	}
	if len(out) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrList, len(out), MaxBytes)
	}
	return out, nil
}

func sshWire[K interface{ Marshal() []byte }](k K) []byte { return k.Marshal() }

// byKey returns the elements in the order of their keys' bytes, as OpenSSH has them.
func byKey[T any](list []T, key func(T) []byte) []T {
	return slices.SortedFunc(slices.Values(list), func(a, b T) int { return bytes.Compare(key(a), key(b)) })
}

// text appends a string of the SSH protocol.
func text(out, s []byte) []byte {
	return append(binary.BigEndian.AppendUint32(out, uint32(len(s))), s...) //nolint:gosec // far below 4 GB
}

func section(out []byte, kind byte, data []byte) []byte { return text(append(out, kind), data) }

func issued(i Issued) []byte {
	out := text(nil, i.CA.Marshal())
	out = text(out, nil) // reserved
	var single []uint64
	list := func() {
		if len(single) > 0 {
			var data []byte
			for _, s := range single {
				data = binary.BigEndian.AppendUint64(data, s)
			}
			out, single = section(out, serialList, data), nil
		}
	}
	for rest := normal(i.Serials); len(rest) > 0; {
		n := cluster(rest)
		group := rest[:n]
		rest = rest[n:]
		first, last := group[0].First, group[n-1].Last
		switch count, bits := members(group), last-first+1; {
		case n == 1 && count > 2: // a run by itself; of two the list says it in 16 bytes, too
			list()
			out = section(out, serialRange, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, first), last))
		case around+bits/8 < 8*count:
			list()
			out = section(out, serialBitmap, bitmap(group))
		default:
			for _, r := range group {
				for s := r.First; ; s++ {
					if single = append(single, s); s == r.Last {
						break
					}
				}
			}
		}
	}
	list()
	return out
}

// cluster returns how many of the ranges, which are sorted and do not touch, are
// best written together.
func cluster(list []Range) int {
	n := 1
	if long(list[0]) {
		return n
	}
	for n < len(list) && !long(list[n]) && list[n].First-list[n-1].Last <= wideGap && list[n].Last-list[0].First < maxBits {
		n++
	}
	return n
}

func long(r Range) bool { return r.Last-r.First >= longRun }

// members counts the serials of ranges that are no long runs.
func members(list []Range) uint64 {
	n := uint64(0)
	for _, r := range list {
		if r.Last-r.First >= maxBits {
			return maxBits // a run by itself; only that it is more than two matters
		}
		n += r.Last - r.First + 1
	}
	return n
}

// bitmap writes ranges as the first serial and a number whose bit n stands for the
// serial n after it.
func bitmap(list []Range) []byte {
	first := list[0].First
	bits := list[len(list)-1].Last - first + 1
	number := make([]byte, (bits+7)/8)
	for _, r := range list {
		for s := r.First - first; s <= r.Last-first; s++ {
			number[len(number)-1-int(s/8)] |= 1 << (s % 8) //nolint:gosec // below maxBits
		}
	}
	if number[0]&0x80 != 0 { // it would be negative
		number = append([]byte{0}, number...)
	}
	return text(binary.BigEndian.AppendUint64(nil, first), number)
}
