// Package audit owns what an auditor does with a ledger: the export bundle, its
// replay, and a verdict on every certificate.
//
// A bundle is one text file (docs/formats.md): [Writer] writes it line by line,
// [Reader] reads it, and [Verify] checks it against keys and contract digests that
// were obtained elsewhere. It needs no server, no database and no network: the
// tree is built again from the leaves, each opening is held to its commitment, and
// the leaves are replayed through record.Check, the same fold by which the server
// decides. What comes out is a [Report].
//
// A [Replay] takes leaves from anywhere else, such as a database that is to be
// compared with its own ledger.
package audit

import "errors"

// Reasons why a bundle is refused as a whole, beside those of packages ledger and
// record: nothing that it says counts then.
var (
	// ErrBundle says that a file is not an export bundle, or not a whole one.
	ErrBundle = errors.New("not a whole export bundle")
	// ErrOther says that a bundle is of another ledger, or names other keys, than
	// the ones that are pinned.
	ErrOther = errors.New("the bundle is not of the ledger that you pinned")
	// ErrUnconfirmed says that cosigners whose word is asked for have not given it.
	ErrUnconfirmed = errors.New("too few of the cosigners that you named have confirmed this ledger")
	// ErrConfig says that the settings of a replay can't be used.
	ErrConfig = errors.New("not usable for an audit")
)

// Versions of the first and the last line of a bundle.
const (
	HeadVersion = "sallyport.export/v1"
	EndVersion  = "sallyport.export.end/v1"
)

// maxLine bounds one line of a bundle, in bytes: facts and person part have at
// most 2^20 each, a certificate 98000 before its base64.
const maxLine = 5 << 19
