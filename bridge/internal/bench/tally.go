package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// tally counts events, and times those after the first few. It is safe for
// concurrent use; rate is known once done is closed.
type tally struct {
	warm, all   int64
	count       atomic.Int64
	from, until time.Time
	done        chan struct{}
}

func newTally(warm, all int) *tally {
	return &tally{warm: int64(warm), all: int64(all), done: make(chan struct{})}
}

func (t *tally) add() {
	switch t.count.Add(1) {
	case t.warm:
		t.from = time.Now()
	case t.all:
		t.until = time.Now()
		close(t.done)
	}
}

// rate is in events per second.
func (t *tally) rate() float64 { return float64(t.all-t.warm) / t.until.Sub(t.from).Seconds() }

// wait returns the rate once all are counted.
func (t *tally) wait(ctx context.Context) (float64, error) {
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	select {
	case <-t.done:
		return t.rate(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-late.C:
		return 0, fmt.Errorf("only %d of %d came within %v", t.count.Load(), t.all, startTimeout)
	}
}
