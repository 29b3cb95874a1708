package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	maxToken = 8 << 10 // bytes; service tokens have about 100, batch tokens some hundred
	// renewRetry is how long KeepToken waits after a renewal that did not work.
	renewRetry = 15 * time.Second
	// renewLeast keeps a token near its last moment from being renewed all the time.
	renewLeast = time.Second
)

// readToken reads a token from a file that only its owner can read.
func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s is not there", ErrToken, path)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return "", fmt.Errorf("%w: %s is not a file", ErrToken, path)
	case mode.Perm()&0o077 != 0:
		return "", fmt.Errorf("%w: %s has mode %o; others can read it, so make it 0600", ErrToken, path, mode.Perm())
	case info.Size() > maxToken:
		return "", fmt.Errorf("%w: %s has %d bytes, a token has at most %d", ErrToken, path, info.Size(), maxToken)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("%w: %s is empty", ErrToken, path)
	}
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%w: %s holds more than one word, or what no token has in it", ErrToken, path)
	}
	return token, nil
}

// reloadToken takes up the token that the file holds now. It is an error if that
// is the one that was refused.
func (c *client) reloadToken(refused string) error {
	token, err := readToken(c.tokenFile)
	if err != nil {
		return err
	}
	if token == refused {
		return fmt.Errorf("%w: %s still holds the refused one; put a new one there", ErrToken, c.tokenFile)
	}
	c.api.SetToken(token)
	select {
	case c.fresh <- struct{}{}:
	default: // KeepToken has not taken note of the last one yet
	}
	return nil
}

// KeepToken renews the token at two thirds of its life until ctx ends. A token
// that can't be renewed, or whose renewal fails, is logged once and tried again:
// the file may hold another one by then.
func (c *client) KeepToken(ctx context.Context) {
	told := false
	for {
		wait, err := c.renewToken(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			told = false
		default:
			if !told {
				c.logger.LogAttrs(ctx, slog.LevelWarn, "vault token not renewed", slog.Any("error", err))
			}
			told, wait = true, renewRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-c.fresh:
			timer.Stop()
		}
	}
}

// renewToken renews the token and returns when to do it again.
func (c *client) renewToken(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := c.call(ctx, func() (*secret, error) {
		answer, err := c.api.Auth().Token().RenewSelfWithContext(ctx, 0)
		if status(err) == http.StatusBadRequest { // of a token without an end, too
			return nil, nil //nolint:nilnil // told below
		}
		return answer, err
	})
	if err != nil {
		return 0, err
	}
	if answer == nil || answer.Auth == nil || !answer.Auth.Renewable || answer.Auth.LeaseDuration <= 0 {
		return 0, fmt.Errorf("%w: the token can't be renewed; make a periodic one", ErrToken)
	}
	life := time.Duration(answer.Auth.LeaseDuration) * time.Second
	return max(life*2/3, renewLeast), nil
}
