package vault

import (
	"context"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
)

// job is one call to Sign that waits for its batch.
type job struct {
	ctx    context.Context // the waiting caller's, who has left when it ends
	tbs    []byte
	answer chan<- result
}

type result struct {
	sig *ssh.Signature
	err error
}

// Sign has tbs signed by the pinned version. It returns only a signature that
// verifies. It gives up when ctx ends or the signer's own deadline is over,
// which counts from the call, whatever is before it.
func (s *Signer) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	answer := make(chan result, 1) // work never waits for a caller who left
	r := result{err: fmt.Errorf("%w: the server is stopping", ca.ErrUnavailable)}
	select {
	case s.jobs <- &job{ctx: ctx, tbs: tbs, answer: answer}:
		select {
		case r = <-answer:
		case <-ctx.Done():
		case <-s.done:
		}
	case <-ctx.Done():
	case <-s.done:
	}
	if r.err != nil && ctx.Err() != nil { // whatever else came of it
		return nil, fmt.Errorf("%w: %w", ca.ErrUnavailable, s.unreachable(ctx, nil))
	}
	return r.sig, r.err
}

// work signs what waits, a batch at a time, until ctx ends. It never waits for
// more to come: while one batch is at Vault, the next gathers by itself.
func (s *Signer) work(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-s.jobs:
			s.signBatch(ctx, s.gather(first))
		}
	}
}

func (s *Signer) gather(first *job) []*job {
	batch := []*job{first}
	for len(batch) < MaxBatch {
		select {
		case j := <-s.jobs:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// signBatch answers every job of the batch, each by its own item. The request
// goes on while anybody waits for it: one caller's end must not take the others'
// signatures away, and each caller has a deadline.
func (s *Signer) signBatch(ctx context.Context, batch []*job) {
	batch = slices.DeleteFunc(batch, func(j *job) bool { return j.ctx.Err() != nil })
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting atomic.Int64
	waiting.Store(int64(len(batch)))
	for _, j := range batch {
		stop := context.AfterFunc(j.ctx, func() {
			if waiting.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	items, err := s.ask(ctx, batch)
	for i, j := range batch {
		if err != nil {
			j.answer <- result{err: err}
			continue
		}
		if items[i].refused {
			s.checked = false // the key may have changed; then the next request says how
		}
		sig, err := s.verified(items[i], j.tbs)
		j.answer <- result{sig: sig, err: err}
	}
}

// ask sends the batch to Vault. The key is compared first if that was not done
// yet, because Vault was away at the start, or if there is doubt about it.
func (s *Signer) ask(ctx context.Context, batch []*job) ([]item, error) {
	if !s.checked {
		if err := s.compare(ctx); err != nil {
			return nil, err
		}
	}
	inputs := make([]map[string]string, len(batch))
	for i, j := range batch {
		inputs[i] = map[string]string{"input": base64.StdEncoding.EncodeToString(j.tbs)}
	}
	body := map[string]any{"key_version": s.c.Version, "batch_input": inputs}
	if s.kind.hash != "" {
		body["hash_algorithm"], body["marshaling_algorithm"] = s.kind.hash, "asn1"
	}
	answer, err := s.call(ctx, func() (*secret, error) { return s.api.Logical().WriteWithContext(ctx, s.signPath(), body) })
	if err != nil {
		return nil, err
	}
	return readItems(answer, len(batch))
}

// item is one answer of a batch; refused is set where Vault gave an error.
type item struct {
	signature string
	refused   bool
}

// readItems reads batch_results, which stand in the order of the inputs.
func readItems(answer *secret, want int) ([]item, error) {
	var list []any
	if answer != nil {
		list, _ = answer.Data["batch_results"].([]any)
	}
	if len(list) != want {
		return nil, fmt.Errorf("%w: Vault answered %d signatures for %d", ca.ErrSigner, len(list), want)
	}
	out := make([]item, want)
	for i, entry := range list {
		fields, _ := entry.(map[string]any)
		problem, _ := fields["error"].(string)
		out[i].refused = problem != ""
		out[i].signature, _ = fields["signature"].(string)
	}
	return out, nil
}

// verified turns transit's "vault:vN:BASE64" into an SSH signature, if it is one
// by the pinned key over tbs.
func (s *Signer) verified(it item, tbs []byte) (*ssh.Signature, error) {
	if it.refused {
		return nil, fmt.Errorf("%w: Vault refused this one of its batch", ca.ErrSigner)
	}
	text, ok := strings.CutPrefix(it.signature, "vault:v"+strconv.Itoa(s.c.Version)+":")
	if !ok {
		return nil, fmt.Errorf("%w: Vault did not sign with version %d of the key", ca.ErrSigner, s.c.Version)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: Vault's signature is malformed", ca.ErrSigner)
	}
	sig := &ssh.Signature{Format: s.kind.format, Blob: raw}
	if s.kind.format == ssh.KeyAlgoECDSA256 { // DER there, two mpints in SSH (RFC 5656, 3.1.2)
		var rs struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(raw, &rs); err != nil || len(rest) != 0 {
			return nil, fmt.Errorf("%w: Vault's signature is malformed", ca.ErrSigner)
		}
		sig.Blob = ssh.Marshal(rs)
	}
	if err := s.public.Verify(tbs, sig); err != nil {
		return nil, fmt.Errorf("%w: Vault's signature does not verify", ca.ErrSigner)
	}
	return sig, nil
}
