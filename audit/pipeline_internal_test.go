package audit

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
)

// numbers yields 0 to n−1, then err.
func numbers(n int, err error) func() (int, error) {
	next := 0
	return func() (int, error) {
		if next == n {
			return 0, err
		}
		next++
		return next - 1, nil
	}
}

func TestWorkComesBackInOrder(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	var got []int
	err := inOrder(t.Context(), numbers(500, io.EOF), func(n int) int {
		switch n { // the first piece ends after others
		case 0:
			<-slow
		case 1:
			close(slow)
		}
		return 2 * n
	}, func(n int) error {
		got = append(got, n)
		return nil
	})
	if err != nil || len(got) != 500 || !slices.IsSorted(got) || got[499] != 998 {
		t.Errorf("%v, %d results, %v", err, len(got), got[:min(len(got), 10)])
	}
}

func TestWorkEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	broken, refused := errors.New("broken"), errors.New("refused")
	same := func(n int) int { return n }
	seen := 0
	if err := inOrder(t.Context(), numbers(100, broken), same, func(int) error { seen++; return nil }); !errors.Is(err, broken) || seen != 100 {
		t.Errorf("%v after %d results, want the source's error after all", err, seen)
	}
	seen = 0
	err := inOrder(t.Context(), numbers(1<<30, io.EOF), same, func(n int) error {
		if seen++; n == 50 {
			return refused
		}
		return nil
	})
	if !errors.Is(err, refused) || seen != 51 {
		t.Errorf("%v after %d results, want the refusal after 51", err, seen)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = inOrder(ctx, numbers(1<<30, io.EOF), same, func(n int) error {
		if n == 50 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
