package agent

import (
	"context"
	"log/slog"
	"time"
)

const (
	firstPause = time.Second
	// maxPause is the longest that a host waits before it tries again.
	maxPause = 5 * time.Minute
)

// job is one thing that an agent does over and over, by the network. Jobs do not wait
// for each other: one that gets no answer holds up nothing else.
type job struct {
	name string
	// each bounds one try.
	each time.Duration
	// do returns how long to wait until the next time.
	do func(ctx context.Context) (time.Duration, error)
	// wake cuts a wait short; nil does not.
	wake <-chan struct{}
	// most is the longest pause after an error; 0 is maxPause.
	most time.Duration
}

// repeat does a job until ctx ends. After an error it waits, each time longer; all
// waits are spread, so that a server that comes back is not met by all hosts at once.
func (a *Agent) repeat(ctx context.Context, j job) {
	failed := 0
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, j.each)
		pause, err := j.do(try)
		cancel()
		if ctx.Err() != nil {
			return
		}
		wake := j.wake
		if err != nil {
			failed++
			pause = backOff(failed)
			if j.most > 0 {
				pause = min(pause, j.most)
			}
			wake = nil // what waits does so until the server answers
			a.Log.LogAttrs(ctx, slog.LevelWarn, "not done, tried again later",
				slog.String("what", j.name), slog.Int("failed", failed), slog.String("error", err.Error()))
		} else if failed > 0 {
			a.Log.LogAttrs(ctx, slog.LevelInfo, "done again", slog.String("what", j.name), slog.Int("failed", failed))
			failed = 0
		}
		wait(ctx, a.spread(pause), wake)
	}
}

// backOff doubles the pause with each failure.
func backOff(failed int) time.Duration {
	pause := firstPause
	for range failed - 1 {
		if pause *= 2; pause >= maxPause {
			return maxPause
		}
	}
	return pause
}

// spread moves a pause by up to a quarter.
func (a *Agent) spread(pause time.Duration) time.Duration {
	return time.Duration(float64(pause) * (0.75 + 0.5*a.Chance()))
}

func wait(ctx context.Context, pause time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}
