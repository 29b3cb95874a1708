package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/wholefile"
	"github.com/sallyport/sallyport/ledger/trust"
)

// Reasons why something that a server sent is not taken.
var (
	// ErrOlder says that a revocation list is older than the one at hand.
	ErrOlder = errors.New("the revocation list is older than the one that is here: somebody replays it, or the server lost what it knew")
	// ErrTwoLists says that a list of the same number says something else.
	ErrTwoLists = errors.New("there are two revocation lists of one number: one of them is not the ledger's")
	// ErrNumbered says that a list and what is signed about it have different numbers.
	ErrNumbered = errors.New("the revocation list has another number than its statement")
	// ErrNamesKeys says that a list revokes keys, not certificates: sshd would refuse the
	// owner's own key by it.
	ErrNamesKeys = errors.New("the revocation list names keys, and not certificates alone: the ledger's never does")
	// ErrFuture says that a list was made later than now.
	ErrFuture = errors.New("the revocation list was made later than this host's clock says it is")
)

// maxAhead is how far a server's clock may be ahead of the host's, as the verifier has it.
const maxAhead = 5 * time.Minute

// pinned is what a host pins and is held to, in the folder that only root writes to.
// Each file is read anew when it has changed: sally-host join changes them, too.
type pinned struct {
	folder host.Folder
	now    func() time.Time
	log    *slog.Logger

	writing sync.Mutex // held while files are replaced; before mu

	mu      sync.Mutex
	config  watched[host.Config] // guarded by mu
	list    watched[*krl.List]   // guarded by mu
	signed  watched[trust.KRL]   // guarded by mu
	stale   int64                // number of the list that was said to be stale; guarded by mu
	current *krl.List            // the newest list that could be read, nil before that; guarded by mu
}

// watched is a file that is read again when it has changed.
type watched[T any] struct {
	seen  string // how it looked when it was read
	value T
	err   error // why it has no value
}

// get returns what a file says. Changes are told by what stat(2) shows: files are
// replaced, never written to.
func (w *watched[T]) get(path string, read func() (T, error)) (value T, changed bool, err error) {
	look := "none"
	if info, err := os.Stat(path); err == nil {
		look = fmt.Sprint(info.ModTime().UnixNano(), info.Size(), inode(info))
	}
	if look == w.seen {
		return w.value, false, w.err
	}
	w.seen = look
	w.value, w.err = read()
	return w.value, true, w.err
}

// rules are what sessions are held to. Where host.json can't be read, everything is
// enforced without a grace: it fails closed.
func (p *pinned) rules() rules {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx := context.Background()
	config, changed, err := p.config.get(filepath.Join(p.folder.Path, host.ConfigFile), p.readConfig)
	if err != nil && changed {
		p.log.LogAttrs(ctx, slog.LevelError, "host.json can't be read: sessions end without a grace", slog.String("error", err.Error()))
	}
	p.lookAtList(ctx)
	current := p.current
	return rules{
		observe: err == nil && config.Mode == host.Observe,
		grace:   time.Duration(config.GraceSeconds) * time.Second,
		revoked: func(c *ssh.Certificate) bool { return current != nil && current.Revokes(c) },
	}
}

// lookAtList takes a list that has come, and says when none comes any more. One that
// can't be read, or is older, leaves the one before in force.
func (p *pinned) lookAtList(ctx context.Context) {
	list, changed, err := p.list.get(filepath.Join(p.folder.Path, host.KRLFile), p.readList)
	switch {
	case !changed:
	case errors.Is(err, fs.ErrNotExist):
		p.log.LogAttrs(ctx, slog.LevelError, "there is no revocation list; sshd refuses everybody without one")
	case err != nil:
		p.log.LogAttrs(ctx, slog.LevelError, "the revocation list can't be read; the one before goes on to count", slog.String("error", err.Error()))
	case p.current != nil && list.Number < p.current.Number:
		p.log.LogAttrs(ctx, slog.LevelError, "the revocation list was replaced by an older one; the one before goes on to count",
			slog.Uint64("number", list.Number), slog.Uint64("before", p.current.Number))
	default:
		p.current = list
	}
	signed, changed, err := p.signed.get(filepath.Join(p.folder.Path, host.SignedFile), p.readSigned)
	if err != nil {
		if changed {
			p.log.LogAttrs(ctx, slog.LevelWarn, "what is signed about the revocation list can't be read", slog.String("error", err.Error()))
		}
		return
	}
	if canon.At(p.now()) > signed.NextAt && p.stale != signed.Number {
		p.stale = signed.Number
		p.log.LogAttrs(ctx, slog.LevelError, "the revocation list is stale: no new one has come in time",
			slog.Int64("number", signed.Number), slog.Time("made_at", signed.MadeAt.Time()), slog.Time("next_at", signed.NextAt.Time()))
	}
}

func (p *pinned) readConfig() (host.Config, error) {
	text, err := p.folder.Read(host.ConfigFile, host.MaxConfig)
	if err != nil {
		return host.Config{}, err
	}
	return host.ParseConfig(text)
}

func (p *pinned) readList() (*krl.List, error) {
	text, err := p.folder.Read(host.KRLFile, krl.MaxBytes)
	if err != nil {
		return nil, err
	}
	return krl.Parse(text)
}

func (p *pinned) readSigned() (trust.KRL, error) {
	text, err := p.folder.Read(host.SignedFile, trust.MaxKRLFile)
	if err != nil {
		return trust.KRL{}, err
	}
	bundle, err := p.bundle()
	if err != nil {
		return trust.KRL{}, err
	}
	return bundle.OpenKRL(text)
}

// bundle reads what the host pins now.
func (p *pinned) bundle() (trust.Bundle, error) {
	text, err := p.folder.Read(host.BundleFile, trust.MaxEnvelope)
	if err != nil {
		return trust.Bundle{}, err
	}
	signed, err := trust.Parse(text)
	return signed.Bundle, err
}

// have is the statement about the list that is in force, and the number of that list.
// They differ if a crash came between the two files; the zero statement is none.
func (p *pinned) have() (says trust.KRL, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookAtList(context.Background())
	if p.signed.err == nil {
		says = p.signed.value
	}
	if p.current != nil {
		number = p.current.Number
	}
	return says, number
}

// takeList puts a revocation list in force, if a key of the trust bundle has signed
// for it and it is not older than the one at hand. Its statement may be all that is
// new: a later one says that nothing more was revoked. The list goes first, so that no
// statement speaks of a list that sshd does not read yet.
func (p *pinned) takeList(l List) (says trust.KRL, isNew bool, err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	bundle, err := p.bundle()
	if err != nil {
		return trust.KRL{}, false, err
	}
	file, err := trust.SignedKRL(l.Statement, l.Signature)
	if err != nil {
		return trust.KRL{}, false, err
	}
	if says, err = bundle.OpenKRL(file); err != nil {
		return trust.KRL{}, false, err
	}
	here := l.KRL == nil // it is the one that is here
	if here {
		if l.KRL, err = p.folder.Read(host.KRLFile, krl.MaxBytes); err != nil {
			return trust.KRL{}, false, err
		}
	}
	if err := says.Covers(l.KRL); err != nil {
		return trust.KRL{}, false, err
	}
	list, err := krl.Parse(l.KRL)
	if err != nil {
		return trust.KRL{}, false, err
	}
	if len(list.Keys)+len(list.Hashes) > 0 {
		return trust.KRL{}, false, ErrNamesKeys
	}
	if says.MadeAt.Time().Sub(p.now()) > maxAhead {
		return trust.KRL{}, false, fmt.Errorf("%w (%s)", ErrFuture, says.MadeAt.Time().UTC().Format(time.RFC3339))
	}
	had, number := p.have()
	begins := p.unknownSigner(bundle)
	if begins {
		had, number = trust.KRL{}, 0
	}
	highest := max(number, uint64(had.Number)) //nolint:gosec // numbers are not negative
	switch {
	case list.Number != uint64(says.Number): //nolint:gosec // as above
		return trust.KRL{}, false, ErrNumbered
	case list.Number < highest:
		return trust.KRL{}, false, fmt.Errorf("%w (%d, here is %d)", ErrOlder, list.Number, highest)
	case says.Number == had.Number && says.SHA256 != had.SHA256:
		return trust.KRL{}, false, fmt.Errorf("%w (%d)", ErrTwoLists, says.Number)
	case says.Number == had.Number && list.Number == number && says.MadeAt <= had.MadeAt:
		return says, false, nil
	}
	if !here { // the file's time is that of the list
		if err := wholefile.Write(filepath.Join(p.folder.Path, host.KRLFile), l.KRL, 0o644); err != nil {
			return trust.KRL{}, false, err
		}
	}
	if err := wholefile.Write(filepath.Join(p.folder.Path, host.SignedFile), file, 0o644); err != nil {
		return trust.KRL{}, false, err
	}
	if begins {
		p.mu.Lock()
		p.current = list
		p.mu.Unlock()
	}
	return says, list.Number > highest, nil
}

// unknownSigner tells whether what is signed about the list at hand was signed by a key
// that the trust bundle names no more. Its number counts no longer, then: whoever had that
// key may have driven it as high as numbers go.
func (p *pinned) unknownSigner(bundle trust.Bundle) bool {
	text, err := p.folder.Read(host.SignedFile, trust.MaxKRLFile)
	if err != nil {
		return false
	}
	_, err = bundle.OpenKRL(text)
	return errors.Is(err, trust.ErrKRLSigner)
}

// takeBundles pins what comes after the bundle at hand, if the roots in that have
// signed it. The authorities that sshd knows follow: first the bundle, since what
// sshd does not know opens nothing anyway.
func (p *pinned) takeBundles(files [][]byte) (trust.Bundle, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	current, err := p.bundle()
	if err != nil {
		return trust.Bundle{}, err
	}
	next, err := trust.Last(current, files, p.now())
	if err != nil {
		return trust.Bundle{}, err
	}
	text, err := next.Marshal()
	if err != nil {
		return trust.Bundle{}, err
	}
	authorities, err := host.Authorities(next.Bundle)
	if err != nil {
		return trust.Bundle{}, err
	}
	if err := wholefile.Write(filepath.Join(p.folder.Path, host.BundleFile), text, 0o644); err != nil {
		return trust.Bundle{}, err
	}
	p.mu.Lock()
	p.signed.seen = "" // another key may have to have signed it
	p.mu.Unlock()
	return next.Bundle, wholefile.Write(filepath.Join(p.folder.Path, host.AuthoritiesFile), authorities, 0o644)
}

// mend makes the authorities that sshd knows those of the bundle: a crash may have
// come between the two files.
func (p *pinned) mend() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	bundle, err := p.bundle()
	if err != nil {
		return err
	}
	want, err := host.Authorities(bundle)
	if err != nil {
		return err
	}
	have, err := p.folder.Read(host.AuthoritiesFile, trust.MaxText)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if slices.Equal(have, want) {
		return nil
	}
	return wholefile.Write(filepath.Join(p.folder.Path, host.AuthoritiesFile), want, 0o644)
}
