package view

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/ncruces/go-sqlite3"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// waitingBlocks and waitingBytes bound the blocks of attempts that wait to be folded;
	// more are dropped.
	waitingBlocks, waitingBytes = 512, 8 << 20
	// laneAttempts is how many failed attempts of a lane are kept.
	laneAttempts = 16
	// maxLanes bounds the lanes of one event. Attempts of further consumers are not kept: whoever
	// may publish them could invent names without end.
	maxLanes = 256
)

// told is an attempt with the consumer that told of it.
type told struct {
	consumer string
	bridge.Attempt
}

// attempts counts what was told, for metrics.
type attempts struct {
	folded, dropped, unknown atomic.Uint64
}

// hear sends the attempts that are told to be folded, until ctx ends. Whoever may not hear of
// them has a view all the same.
func (v *View) hear(ctx context.Context, blocks chan<- []told) {
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for ctx.Err() == nil {
		began := time.Now()
		if err := v.hearNow(ctx, blocks); err != nil {
			v.log.Warn("the view does not hear of attempts, trying again", zap.Error(err))
		}
		if time.Since(began) > lastRetry {
			retry.Reset()
		}
		retry.Wait(ctx)
	}
}

func (v *View) hearNow(ctx context.Context, blocks chan<- []told) error {
	sub, err := v.cfg.JS.Conn().SubscribeSync(v.cfg.Names.AttemptsTold("*"))
	if err != nil {
		return fmt.Errorf("subscribing to attempts: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed
	if err := sub.SetPendingLimits(waitingBlocks, waitingBytes); err != nil {
		return fmt.Errorf("subscribing to attempts: %w", err)
	}
	before := 0
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if dropped, derr := sub.Dropped(); derr == nil && dropped > before {
			v.attempts.dropped.Add(uint64(dropped - before)) //nolint:gosec // positive
			before = dropped
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer),
			errors.Is(err, nats.ErrNoResponders): // nats.go takes a message with the header Status for that
			continue
		case err != nil:
			return fmt.Errorf("hearing of attempts: %w", err)
		}
		backoff.Sleep(ctx, gather)
		var heard []told
		for ; m != nil && len(heard) < blockMessages; m = nextNow(sub) {
			heard = append(heard, v.decodeAttempts(m)...)
		}
		if m != nil {
			heard = append(heard, v.decodeAttempts(m)...)
		}
		select {
		case <-ctx.Done():
		case blocks <- heard:
		}
	}
}

// nextNow returns the next message if there is one.
func nextNow(sub *nats.Subscription) *nats.Msg {
	if n, _, err := sub.Pending(); err != nil || n == 0 {
		return nil
	}
	m, err := sub.NextMsg(gather)
	if err != nil {
		return nil
	}
	return m
}

func (v *View) decodeAttempts(m *nats.Msg) (out []told) {
	consumer := v.cfg.Names.AttemptsConsumer(m.Subject)
	list, err := bridge.DecodeAttempts(m.Data)
	if err == nil && consumer == "" {
		err = bridge.ErrName
	}
	if err != nil {
		v.attempts.unknown.Add(1)
		v.log.Debug("somebody told of attempts that cannot be", zap.String("subject", m.Subject), zap.Error(err))
		return nil
	}
	now := time.Now().UTC()
	for _, a := range list {
		if a.At.After(now) { // a clock that is ahead would keep later attempts out of the lane
			a.At = now
		}
		out = append(out, told{consumer, a})
	}
	return out
}

// foldAttempts writes attempts. Those on events that the stream does not have, or that the
// view no longer has, are left out.
func (v *View) foldAttempts(ctx context.Context, heard []told) error {
	last, folded, unknown := v.lastEvent(ctx, heard), v.events().at().seq, 0
	err := v.write(func(c *conn) (err error) {
		for _, a := range heard {
			known := a.Sequence > folded && a.Sequence <= last // its event is still to be folded
			var prediction any
			if a.Sequence > 0 && a.Sequence <= folded {
				err := c.query(hasEvent, func(s *sqlite3.Stmt) error { known, prediction = true, s.ColumnInt64(0); return nil }, a.Sequence)
				if err != nil {
					return err
				}
			}
			if known {
				if known, err = c.attempt(a, prediction); err != nil {
					return err
				}
			}
			if !known {
				unknown++
			}
		}
		return nil
	})
	if err == nil {
		v.attempts.unknown.Add(uint64(unknown))             //nolint:gosec // positive
		v.attempts.folded.Add(uint64(len(heard) - unknown)) //nolint:gosec // positive
	}
	return err
}

// lastEvent returns the last sequence of the stream of events, as far as the attempts need
// it and NATS says it.
func (v *View) lastEvent(ctx context.Context, heard []told) uint64 {
	s := v.events()
	s.mu.Lock()
	last := max(s.goal, s.position.seq)
	s.mu.Unlock()
	for _, a := range heard {
		if a.Sequence > last {
			ctx, cancel := context.WithTimeout(ctx, lookTimeout)
			defer cancel()
			if stream, err := streamread.Open(ctx, v.cfg.JS, s.name); err == nil {
				last = max(last, stream.CachedInfo().State.LastSeq)
			}
			return last
		}
	}
	return last
}

// attempt writes one attempt on an event of the prediction, nil when that is not folded yet: an
// older one than the lane has changes nothing of it. It returns false for a lane too many.
func (c *conn) attempt(a told, prediction any) (written bool, err error) {
	if full, err := c.has(hasOtherLanes, a.Sequence, a.consumer, maxLanes); full || err != nil {
		return false, err
	}
	err = c.run(setLane, a.Sequence, a.consumer, prediction, markOf(a.Event), a.At, a.Took, a.Try, a.Verdict, orNull(a.Error), a.Next)
	if err != nil || a.Error == "" {
		return true, err
	}
	if err := c.run(addAttempt, a.Sequence, a.consumer, a.At, a.Took, a.Try, a.Verdict, a.Error); err != nil {
		return false, err
	}
	return true, c.run(boundAttempts, a.Sequence, a.consumer, laneAttempts)
}

// markOf tells events apart that had the same sequence in different streams.
func markOf(event string) int64 {
	h := fnv.New64a()
	h.Write([]byte(event))
	return int64(h.Sum64()) //nolint:gosec // any number will do
}
