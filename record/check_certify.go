package record

import (
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

// HostCertificateRow is a recorded host certificate, signed or not.
type HostCertificateRow struct {
	Serial    uint64       `json:"serial"`
	Host      sshcert.Host `json:"host"`
	Authority string       `json:"authority"`
	At        canon.Micros `json:"at"`
	Before    canon.Micros `json:"valid_before_at"`
	Leaf      canon.Digest `json:"leaf"`
}

// hostCertify allows exactly the host certificate that the host's name, its key in
// the ledger, the newest host CA and the moment determine: the recorded bytes are
// made again here and must be equal.
func (e Event) hostCertify(v View, f HostCertify) ([]Change, error) {
	row, err := JoinedHost(v, f.Host)
	if err != nil {
		return nil, err
	}
	if row.Lineage != f.Lineage {
		return nil, fmt.Errorf("%w: host %s is another contract's", ErrEvent, f.Host)
	}
	body, err := openCall[hostcall.CertifyBody](v, f.Document, f.Signature, f.Host, row.HostKey, f.At)
	if err != nil {
		return nil, err
	}
	if body.HostKey != row.HostKey {
		return nil, fmt.Errorf("%w: the ledger has another key of host %s", ErrDocument, f.Host)
	}
	if f.Serial != uint64(e.Index)+1 { //nolint:gosec // an index is never negative
		return nil, fmt.Errorf("%w: serial %d at index %d", ErrEvent, f.Serial, e.Index)
	}
	cert, err := RecordedHost(v, f, row)
	if err != nil {
		return nil, err
	}
	return changes(fresh(put(TableHostCertificate, serialKey(f.Serial), HostCertificateRow{
		Serial: f.Serial, Host: f.Host, Authority: f.Authority, At: f.At, Before: canon.Micros(cert.ValidBefore) * 1e6, Leaf: e.LeafHash, //nolint:gosec // seconds of this century
	}, Index{"host", string(f.Host)})))
}

// HostCA returns the key that signs host certificates now.
func HostCA(v View) (ssh.PublicKey, error) {
	keys, err := Keys(v, KeyHostCA)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("a host CA: %w", ErrNotFound)
	}
	return parseKey(keys[len(keys)-1].Key)
}

// RecordedHost returns the unsigned host certificate that the facts stand for. It
// makes it from what the ledger says of the host and compares it with the recorded
// bytes.
func RecordedHost(v View, f HostCertify, row HostRow) (*ssh.Certificate, error) {
	authority, err := HostCA(v)
	if err != nil {
		return nil, err
	}
	if canon.B64(authority.Marshal()) != f.Authority {
		return nil, fmt.Errorf("%w: it is for another host CA than the newest", ErrEvent)
	}
	nonce, err := canon.ParseB64(f.Nonce)
	if err != nil {
		return nil, fmt.Errorf("%w: nonce: %w", ErrEvent, err)
	}
	template, err := HostTemplate(row, f.At, f.Seconds)
	if err != nil {
		return nil, err
	}
	cert, err := template.Certificate(f.Serial, nonce, authority)
	if err != nil {
		return nil, err
	}
	if canon.B64(sshcert.TBS(cert)) != f.TBS {
		return nil, fmt.Errorf("%w: the recorded bytes are not those of the host", ErrEvent)
	}
	return cert, nil
}

// HostTemplate is what a certificate says of a host that is issued at a moment for
// so many seconds.
func HostTemplate(row HostRow, at canon.Micros, seconds int64) (ca.HostTemplate, error) {
	if seconds < 0 || seconds > int64(ca.MaxHostLife/time.Second) {
		return ca.HostTemplate{}, fmt.Errorf("%w: a host certificate of %d seconds", ErrEvent, seconds)
	}
	key, err := parseKey(row.HostKey)
	if err != nil {
		return ca.HostTemplate{}, err
	}
	return ca.HostTemplate{Host: row.Name, Aliases: row.Aliases, Lineage: row.Lineage, Key: key, Issued: at.Time(), Life: time.Duration(seconds) * time.Second}, nil
}
