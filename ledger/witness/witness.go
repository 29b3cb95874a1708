package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/ledger"
)

// ErrNoHead is returned by Heads for a log that was never seen.
var ErrNoHead = errors.New("no checkpoint of this log was seen yet")

// Heads keeps the newest checkpoint of each log that a witness has cosigned. It
// is all that a witness remembers, and what makes its word worth something: a
// witness that forgot could be shown another history.
type Heads interface {
	// Head returns the checkpoint, or an error that wraps ErrNoHead.
	Head(origin string) (ledger.Checkpoint, error)
	// SetHead replaces it. It is durable when SetHead returns nil.
	SetHead(c ledger.Checkpoint) error
}

// Judge has the last word before a witness signs: nil lets it. A plain witness
// has none; a party cosigner judges the leaves in between. An error that wraps
// ErrUnjustified is a verdict; any other says that there is none yet.
type Judge func(ctx context.Context, older, newer ledger.Checkpoint) error

// Config is what a Witness needs. All fields but Judge and Seen are required.
type Config struct {
	Signer *ledger.CosignerSigner
	Logs   []*ledger.Policy // whose checkpoints it cosigns, by origin and log key
	Heads  Heads
	Now    func() time.Time
	Judge  Judge
	// Seen is told what became of each request, for the log.
	Seen func(origin string, size int64, status int, err error)
}

// Witness answers add-checkpoint requests. It is safe for concurrent use.
type Witness struct {
	c    Config
	logs map[string]*ledger.Policy

	mu sync.Mutex // one request at a time: check, keep, sign
}

// New checks the settings.
func New(c Config) (*Witness, error) {
	if c.Signer == nil || c.Heads == nil || c.Now == nil || len(c.Logs) == 0 {
		return nil, fmt.Errorf("%w: key, logs, memory and clock must be given", ErrConfig)
	}
	w := &Witness{c: c, logs: make(map[string]*ledger.Policy)}
	for _, p := range c.Logs {
		if p.Origin() == "" || w.logs[p.Origin()] != nil {
			return nil, fmt.Errorf("log %q: %w: each log once, with its key", p.Origin(), ErrConfig)
		}
		w.logs[p.Origin()] = p
	}
	if c.Seen == nil {
		w.c.Seen = func(string, int64, int, error) {}
	}
	return w, nil
}

// refusal is why a request gets no cosignature, and the status that C2SP
// tlog-witness has for it.
type refusal struct {
	status int
	size   int64 // with 409: what was seen
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(status int, err error) error { return &refusal{status: status, err: err} }

// ServeHTTP answers POST /add-checkpoint; everything else is not found.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/add-checkpoint" {
		http.NotFound(rw, r)
		return
	}
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		http.Error(rw, "post an add-checkpoint request", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, ledger.MaxAddCheckpoint))
	if err != nil {
		http.Error(rw, "the request is too long or did not arrive whole", http.StatusBadRequest)
		return
	}
	line, err := w.Add(r.Context(), body)
	why, refused := errors.AsType[*refusal](err)
	switch {
	case err == nil:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(rw, line) // who went away needs no answer
	case refused && why.status == http.StatusConflict:
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(rw, strconv.FormatInt(why.size, 10)+"\n")
	case refused:
		http.Error(rw, why.Error(), why.status)
	default:
		http.Error(rw, "the witness can't keep what it has seen, so it signs nothing", http.StatusInternalServerError)
	}
}

// Add returns the cosignature line for an add-checkpoint request, or why not.
// What it signs it has kept before: a crash in between leaves a checkpoint that
// was kept and not signed, and a repeat of the request is told so by its size.
func (w *Witness) Add(ctx context.Context, body []byte) (line string, err error) {
	var c ledger.Checkpoint
	defer func() {
		status := http.StatusOK
		if why, ok := errors.AsType[*refusal](err); ok {
			status = why.status
		} else if err != nil {
			status = http.StatusInternalServerError
		}
		w.c.Seen(c.Origin, c.Size, status, err)
	}()
	ask, hearsay, err := ledger.ParseAddCheckpoint(body)
	if err != nil {
		return "", refuse(http.StatusBadRequest, err)
	}
	policy := w.logs[hearsay.Origin]
	if policy == nil {
		return "", refuse(http.StatusNotFound, errors.New("this witness does not know that log"))
	}
	if c, err = policy.OpenCheckpoint(ask.Checkpoint); err != nil {
		return "", refuse(http.StatusForbidden, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	older, err := w.head(c.Origin)
	if err != nil {
		return "", err
	}
	if ask.Old != older.Size {
		return "", &refusal{http.StatusConflict, older.Size, fmt.Errorf("it was told %d, it has seen %d: %w", ask.Old, older.Size, ledger.ErrRewound)}
	}
	// A log without leaves is a beginning, not a memory: any tree begins with it.
	if older.Size > 0 && older.Size == c.Size && older.Root != c.Root {
		return "", &refusal{http.StatusConflict, older.Size, fmt.Errorf("two roots at size %d: %w", c.Size, ledger.ErrForked)}
	}
	if err := ledger.CheckGrowth(older, c, ask.Proof); err != nil {
		return "", refuse(http.StatusUnprocessableEntity, err)
	}
	if w.c.Judge != nil {
		switch err := w.c.Judge(ctx, older, c); {
		case errors.Is(err, ErrUnjustified):
			return "", refuse(StatusUnjustified, err)
		case err != nil:
			return "", refuse(http.StatusServiceUnavailable, err)
		}
	}
	if c != older {
		if err := w.c.Heads.SetHead(c); err != nil {
			return "", fmt.Errorf("keeping the checkpoint at size %d: %w", c.Size, err)
		}
	}
	return w.c.Signer.Cosign(c, w.c.Now())
}

func (w *Witness) head(origin string) (ledger.Checkpoint, error) {
	c, err := w.c.Heads.Head(origin)
	if errors.Is(err, ErrNoHead) {
		return ledger.EmptyCheckpoint(origin), nil
	}
	return c, err
}
