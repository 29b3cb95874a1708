package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

var errBase64 = errors.New("not canonical padded base64")

// parseStd decodes the padded standard base64 (RFC 4648 §4) of C2SP's formats.
// Go's decoder skips line breaks and drops unused bits; writing the bytes again
// and comparing leaves one text for each byte string.
func parseStd(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || base64.StdEncoding.EncodeToString(b) != s {
		return nil, errBase64
	}
	return b, nil
}

// parseHash reads a hash in the padded base64 of C2SP's formats.
func parseHash(s string) (tlog.Hash, error) {
	b, err := parseStd(s)
	if err != nil || len(b) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("%.80q is no hash in padded base64", s)
	}
	return tlog.Hash(b), nil
}

// parseSize reads a size or index in decimal without sign or leading zeros.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%.30q is no plain decimal number", s)
	}
	return n, checkSize(n)
}
