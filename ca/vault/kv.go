package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

// Reasons why a value is not read or written.
var (
	// ErrAway says that Vault can't be asked now. Trying again is safe: who writes a
	// value once more is told if it is there.
	ErrAway    = errors.New("the value in Vault can't be reached")
	ErrNoValue = errors.New("there is no value in Vault")
	ErrMoved   = errors.New("the value in Vault is another by now")
	ErrKV      = errors.New("not a usable value in Vault")
)

// DefaultKVMount is where the KV engine is mounted unless said otherwise.
const DefaultKVMount = "secret"

// kvField is under which the value lies.
const kvField = "note"

// KVConfig says which value of the KV engine, version 2, is meant, and how Vault is
// reached.
type KVConfig struct {
	Address   string        // https://HOST[:PORT], or http on loopback
	CAFile    string        // PEM; empty: the system's authorities
	TokenFile string        // readable by its owner alone; read again when Vault refuses the token
	Mount     string        // of the KV engine; DefaultKVMount if empty
	Path      string        // of the value below the mount
	Timeout   time.Duration // of one request; DefaultTimeout if zero
	Logger    *slog.Logger  // nil: nothing is logged

	wrap func(http.RoundTripper) http.RoundTripper // between us and Vault, in tests
}

// Check refuses settings that can't be meant, without touching file or network.
// Errors wrap ErrConfig and begin with the setting's name.
func (c KVConfig) Check() error {
	if err := checkAddress(c.Address); err != nil {
		return err
	}
	if err := checkMount(c.Mount, DefaultKVMount); err != nil {
		return err
	}
	if !mounts.MatchString(c.Path) {
		return fmt.Errorf("path: %w: %q is not the path of a value, such as sallyport/mark", ErrConfig, c.Path)
	}
	return checkTokenFile(c.TokenFile)
}

// KV is one value in Vault. Whoever writes it says which one is replaced. It is
// safe for concurrent use.
type KV struct {
	*client

	path string // in the API
}

// OpenKV reads the token; Vault need not be reachable yet. Errors wrap ErrConfig or
// ErrToken.
func OpenKV(c KVConfig) (*KV, error) {
	if c.Mount == "" {
		c.Mount = DefaultKVMount
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	k := &KV{path: c.Mount + "/data/" + c.Path}
	k.client = &client{
		address: c.Address, caFile: c.CAFile, tokenFile: c.TokenFile, timeout: c.Timeout, logger: c.Logger, wrap: c.wrap,
		what: k.String(), refused: ErrKV, away: ErrAway,
	}
	return k, k.connect()
}

// String says where the value lies.
func (k *KV) String() string { return k.path + " in Vault" }

// Close ends idle connections.
func (k *KV) Close() error {
	k.idle()
	return nil
}

// Read returns the value and its version. It wraps ErrNoValue if none was ever
// written, or the newest was deleted.
func (k *KV) Read(ctx context.Context) (value string, version int, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	answer, err := k.call(ctx, func() (*secret, error) { return k.api.Logical().ReadWithContext(ctx, k.path) })
	if err != nil {
		return "", 0, err
	}
	if answer == nil || answer.Data["data"] == nil {
		return "", 0, fmt.Errorf("%w: %s", ErrNoValue, k.path)
	}
	data, _ := answer.Data["data"].(map[string]any)
	metadata, _ := answer.Data["metadata"].(map[string]any)
	value, ok := data[kvField].(string)
	if version = versionOf(metadata); !ok || version == 0 {
		return "", 0, fmt.Errorf("%w: %s is not a value of ours in a KV engine of version 2; check mount and path", ErrKV, k.path)
	}
	return value, version, nil
}

// Write puts value in the place of that version, 0 for none, and returns its own.
// If another is there by now it is ErrMoved. If Vault does not answer in time, the
// value may be written or not.
func (k *KV) Write(ctx context.Context, value string, version int) (written int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
	defer cancel()
	body := map[string]any{"options": map[string]any{"cas": version}, "data": map[string]any{kvField: value}}
	moved := false
	answer, err := k.call(ctx, func() (*secret, error) {
		answer, err := k.api.Logical().WriteWithContext(ctx, k.path, body)
		if moved = isMoved(err); moved {
			return nil, nil //nolint:nilnil // told below
		}
		return answer, err
	})
	switch {
	case err != nil:
		return 0, err
	case moved:
		return 0, fmt.Errorf("%w: %s is no longer version %d", ErrMoved, k.path, version)
	case answer == nil || versionOf(answer.Data) != version+1:
		return 0, fmt.Errorf("%w: %s is not a value in a KV engine of version 2; check mount and path", ErrKV, k.path)
	}
	return version + 1, nil
}

// isMoved reports whether Vault refused a write because of its check-and-set
// parameter. It has no code of its own.
func isMoved(err error) bool {
	answer, ok := errors.AsType[*vaultapi.ResponseError](err)
	return ok && answer.StatusCode == http.StatusBadRequest &&
		slices.ContainsFunc(answer.Errors, func(text string) bool { return strings.Contains(text, "check-and-set") })
}

func versionOf(data map[string]any) int {
	number, ok := data["version"].(json.Number)
	if !ok {
		return 0
	}
	n, err := number.Int64()
	if err != nil || n < 1 || n > 1<<31 {
		return 0
	}
	return int(n)
}
