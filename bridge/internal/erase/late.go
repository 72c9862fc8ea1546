package erase

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streamread"
)

// maxLate bounds the late messages that wait. What is beyond them a later erasure finds.
const maxLate = 10_000

// Late erases messages of erased predictions that came into a stream after the erasure: from a
// process that had not heard of it, or an attempt that was under way. It is safe for concurrent
// use.
type Late struct {
	js       jetstream.JetStream
	registry *Registry
	log      *zap.Logger

	mu      sync.Mutex
	waiting []lateMessage
	wake    chan struct{}
}

type lateMessage struct {
	stream string
	seq    uint64
	of     Target
}

// NewLate returns one that erases while [Late.Run] runs.
func NewLate(js jetstream.JetStream, registry *Registry, log *zap.Logger) *Late {
	return &Late{js: js, registry: registry, log: log, wake: make(chan struct{}, 1)}
}

// Erased reports whether the message is of an erased prediction, and then has it erased. It
// costs little.
func (l *Late) Erased(stream string, seq uint64, source, prediction string) bool {
	if !l.registry.Has(source, prediction) {
		return false
	}
	l.mu.Lock()
	if len(l.waiting) < maxLate {
		l.waiting = append(l.waiting, lateMessage{stream, seq, Target{source, prediction}})
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

// Run erases until ctx ends, and returns nil.
func (l *Late) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		}
		l.mu.Lock()
		work := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		for _, m := range work {
			for err := l.erase(ctx, m); err != nil && ctx.Err() == nil; err = l.erase(ctx, m) {
				l.log.Warn("what came of an erased prediction cannot be removed now, trying again", zap.String("stream", m.stream), zap.Error(err))
				backoff.Sleep(ctx, time.Second)
			}
		}
	}
}

func (l *Late) erase(ctx context.Context, m lateMessage) error {
	if m.stream == l.registry.names.EventsStream() {
		if err := l.registry.Put(ctx, m.of, []uint64{m.seq}); err != nil {
			return err
		}
	}
	stream, err := streamread.Open(ctx, l.js, m.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return secureDelete(ctx, stream, m.seq)
}
