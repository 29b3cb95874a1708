package ca_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/catest"
	"github.com/sallyport/sallyport/ca/softkey"
)

// answers is a Signer that answers as a test wants.
type answers struct {
	ca.Signer
	answer func(sign func([]byte) (*ssh.Signature, error), tbs []byte) (*ssh.Signature, error)
}

// Sign answers.
func (a answers) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	return a.answer(func(tbs []byte) (*ssh.Signature, error) { return a.Signer.Sign(ctx, tbs) }, tbs)
}

// TestPromiseP14_WhatTheKeyAnswers: Finish releases nothing but a signature over
// the recorded bytes, and tells a key that is away from one that signs badly.
func TestPromiseP14_WhatTheKeyAnswers(t *testing.T) {
	t.Parallel()
	key, err := softkey.Create(t.TempDir()+"/user-ca", "", bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	type sign = func([]byte) (*ssh.Signature, error)
	for _, tt := range []struct {
		name   string
		answer func(s sign, tbs []byte) (*ssh.Signature, error)
		want   error
		not    error
	}{
		{"as it should", func(s sign, tbs []byte) (*ssh.Signature, error) { return s(tbs) }, nil, ca.ErrSigner},
		{"over other bytes", func(s sign, tbs []byte) (*ssh.Signature, error) { return s(tbs[1:]) }, ca.ErrSigner, ca.ErrUnavailable},
		{"of another format", func(s sign, tbs []byte) (*ssh.Signature, error) {
			sig, err := s(tbs)
			sig.Format = ssh.KeyAlgoECDSA256
			return sig, err
		}, ca.ErrSigner, ca.ErrUnavailable},
		{"cut off", func(s sign, tbs []byte) (*ssh.Signature, error) {
			sig, err := s(tbs)
			sig.Blob = sig.Blob[:63]
			return sig, err
		}, ca.ErrSigner, ca.ErrUnavailable},
		{"an error", func(sign, []byte) (*ssh.Signature, error) { return nil, errors.New("disk full") }, ca.ErrSigner, ca.ErrUnavailable},
		{"away", func(sign, []byte) (*ssh.Signature, error) { return nil, fmt.Errorf("%w: sealed", ca.ErrUnavailable) }, ca.ErrUnavailable, ca.ErrSigner},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := catest.Record(t, key.PublicKey())
			cert, err := ca.Finish(t.Context(), answers{key, tt.answer}, d.Certificate, d.Proof, d.Policy)
			if !errors.Is(err, tt.want) || errors.Is(err, tt.not) || (cert != nil) != (tt.want == nil) {
				t.Errorf("%v, certificate %t; want %v and not %v", err, cert != nil, tt.want, tt.not)
			}
		})
	}
}
