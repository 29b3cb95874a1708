package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// keyPair is a certificate and key in files. It reads them again when they
// changed, so that a renewal needs no restart; while the new ones can't be read
// the old ones go on.
type keyPair struct {
	certificate, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	at     time.Time // newest change that was loaded
}

func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed, err := p.changed()
	if err == nil && (p.loaded == nil || changed.After(p.at)) {
		var pair tls.Certificate
		if pair, err = p.load(); err == nil {
			p.loaded, p.at = &pair, changed
		}
	}
	if p.loaded == nil {
		return nil, fmt.Errorf("%w: tls.%w", errConfig, err)
	}
	return p.loaded, nil
}

// load reads both files; the key must be its owner's alone.
func (p *keyPair) load() (tls.Certificate, error) {
	certificate, err := os.ReadFile(p.certificate)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	key, err := readPrivate(p.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, []byte(key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s: %w", p.certificate, p.key, err)
	}
	return pair, nil
}

func (p *keyPair) changed() (time.Time, error) {
	var newest time.Time
	for _, path := range []string{p.certificate, p.key} {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}, err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest, nil
}
