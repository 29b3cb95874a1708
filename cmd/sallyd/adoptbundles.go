package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ledger"
)

func logPolicy(logKey string) (*ledger.Policy, error) { return audit.PolicyOf([]string{logKey}) }

// add takes one more source and checks its tree against the log key.
func (b *bundles) add(ctx context.Context, source string) (err error) {
	one := bundle{name: source}
	if strings.Contains(source, "://") {
		one.file, err = b.download(ctx, source)
	} else {
		one.file, err = os.Open(source) //nolint:gosec // the operator names the file
	}
	if err != nil {
		return err
	}
	b.list = append(b.list, one)
	_, end, err := audit.CheckTree(ctx, one.file, []string{b.logKey})
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	b.list[len(b.list)-1].size = end.Leaves
	if end.Leaves > b.size {
		b.size, b.checkpoint = end.Leaves, []byte(end.Checkpoint)
	}
	return nil
}

// leaves reads all bundles side by side.
func (b *bundles) leaves() iter.Seq2[authority.CopyLeaf, error] {
	return func(yield func(authority.CopyLeaf, error) bool) {
		readers := make([]*audit.Reader, len(b.list))
		for i, one := range b.list {
			if _, err := one.file.Seek(0, io.SeekStart); err != nil {
				yield(authority.CopyLeaf{}, err)
				return
			}
			r, err := audit.NewReader(one.file)
			if err != nil {
				yield(authority.CopyLeaf{}, fmt.Errorf("%s: %w", one.name, err))
				return
			}
			readers[i] = r
		}
		for index := range b.size {
			leaf, err := b.leaf(readers, index)
			if !yield(leaf, err) || err != nil {
				return
			}
		}
	}
}

// leaf reads one leaf from all that have it.
func (b *bundles) leaf(readers []*audit.Reader, index int64) (out authority.CopyLeaf, err error) {
	from := ""
	for i, r := range readers {
		if index >= b.list[i].size {
			continue
		}
		e, err := r.Next()
		if err != nil {
			return out, fmt.Errorf("%s: %w", b.list[i].name, err)
		}
		switch {
		case out.Text == nil:
			out, from = authority.CopyLeaf{Index: e.Index, Text: bytes.Clone(e.Text), Opening: e.Opening, Certificate: e.Certificate}, b.list[i].name
			continue
		case !bytes.Equal(out.Text, e.Text):
			return out, fmt.Errorf("%w: leaf %d is another one in %s than in %s, and both are signed by this log key; go on with neither (docs/recovery.md, \"Two ledgers\")",
				ledger.ErrForked, index, b.list[i].name, from)
		case out.Opening.Facts == nil, out.Opening.Person == nil && e.Opening.Person != nil:
			out.Opening = e.Opening
		}
		if out.Certificate == nil {
			out.Certificate = e.Certificate
		}
	}
	return out, nil
}

const (
	// maxDownload bounds a bundle from elsewhere, in bytes.
	maxDownload = 64 << 30
	// maxRedirects is how often an address may lead to another, never away from TLS.
	maxRedirects = 3
	// answerWait is how long somebody may take to begin an answer.
	answerWait = time.Minute
)

// errTiles says that an address has the tree and nothing of what it hides.
var errTiles = errors.New("it has the ledger as tiles only")

// download fetches a bundle into a file of its own.
func (b *bundles) download(ctx context.Context, address string) (_ *os.File, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("%s: an address begins with https://, or http:// on this machine, and names nobody", address)
	}
	body, err := get(ctx, u.String())
	if err != nil {
		return nil, b.tiles(ctx, u, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	f, err := os.CreateTemp(b.dir, ".adopt-*")
	if err != nil {
		return nil, err
	}
	// It has what people are called: whatever ends this process, no name leads to it.
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	n, err := io.Copy(f, io.LimitReader(body, maxDownload+1))
	if err == nil && n > maxDownload {
		err = fmt.Errorf("%s: over %d bytes", address, int64(maxDownload))
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// get asks for what lies at an address.
func get(ctx context.Context, address string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: answerWait}).DialContext,
		TLSHandshakeTimeout: answerWait, ResponseHeaderTimeout: answerWait,
	}, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects || next.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
			return fmt.Errorf("%s: it leads to %s, and no further than that is followed", address, next.URL.Redacted())
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s: it answers with status %d", address, resp.StatusCode), resp.Body.Close())
	}
	return resp.Body, nil
}

// tiles looks whether an address that has no bundle has tlog-tiles, as mirrors of
// the tree do, and says what is missing there.
func (b *bundles) tiles(ctx context.Context, u *url.URL, missing error) error {
	body, err := get(ctx, u.JoinPath("checkpoint").String())
	if err != nil {
		return missing
	}
	note, err := io.ReadAll(io.LimitReader(body, ledger.MaxText+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return missing
	}
	policy, err := b.policy()
	if err != nil {
		return err
	}
	c, err := policy.OpenCheckpoint(note)
	if err != nil {
		return missing
	}
	if c.Size <= b.have {
		return fmt.Errorf("%s: %w, and of no more leaves (%d) than are here", u, errTiles, c.Size)
	}
	return fmt.Errorf("%s: %w: they show that there were %d leaves, with their kinds, but the facts, person parts and certificates of leaves %d to %d are not in them; "+
		"ask for an export bundle of these", u, errTiles, c.Size, b.have, c.Size-1)
}
