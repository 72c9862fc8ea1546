package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pauseFor is how long durables stay paused when whoever paused them is gone.
	pauseFor = 30 * time.Second
	// pauseAgain is how often that is renewed.
	pauseAgain = pauseFor / 3
	quietPoll  = 50 * time.Millisecond
)

// Hold keeps durables paused, by NATS' own means, which is for the readers of any program.
type Hold struct {
	js  jetstream.JetStream
	was Paused
	// ahead is how far the clock of NATS, which ends a pause, is ahead of ours.
	ahead time.Duration
	stop  context.CancelFunc
	done  chan struct{}

	mu     sync.Mutex
	failed error
}

// Pause pauses every durable of the streams until [Hold.Resume], or for half a minute when this
// process ends before. Streams that do not exist are passed over.
func Pause(ctx context.Context, js jetstream.JetStream, streams ...string) (*Hold, error) {
	h := &Hold{js: js, was: Paused{}, done: make(chan struct{})}
	for _, name := range streams {
		stream, err := js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("pausing the durables of %s: %w", name, err)
		}
		h.ahead = time.Until(stream.CachedInfo().TimeStamp)
		h.was[name] = map[string]time.Time{}
		list := stream.ListConsumers(ctx)
		for info := range list.Info() {
			if info.Config.Durable == "" {
				continue
			}
			until := time.Time{}
			if info.Paused && info.Config.PauseUntil != nil {
				until = *info.Config.PauseUntil
			}
			h.was[name][info.Name] = until
		}
		if err := list.Err(); err != nil {
			return nil, fmt.Errorf("listing the durables of %s: %w", name, err)
		}
	}
	if err := h.renew(ctx); err != nil {
		return nil, errors.Join(err, h.undo(context.WithoutCancel(ctx)))
	}
	var run context.Context
	run, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	go h.keep(run)
	return h, nil
}

func (h *Hold) keep(ctx context.Context) {
	defer close(h.done)
	tick := time.NewTicker(pauseAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := h.renew(ctx); err != nil && ctx.Err() == nil {
			h.mu.Lock()
			h.failed = fmt.Errorf("the durables did not stay paused: %w", err)
			h.mu.Unlock()
		}
	}
}

// now is the time of NATS.
func (h *Hold) now() time.Time { return time.Now().Add(h.ahead) }

func (h *Hold) each(do func(stream, durable string, until time.Time) error) error {
	var errs []error
	for stream, durables := range h.was {
		for name, until := range durables {
			if err := do(stream, name, until); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				errs = append(errs, fmt.Errorf("durable %s of %s: %w", name, stream, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (h *Hold) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pauseAgain)
	defer cancel()
	until := h.now().Add(pauseFor)
	return h.each(func(stream, durable string, was time.Time) error {
		if was.After(until) {
			return nil // it is paused for longer
		}
		is, err := h.js.PauseConsumer(ctx, stream, durable, until)
		if err == nil && !is.Paused {
			err = errors.New("NATS did not pause it: see whether its clocks agree")
		}
		return err
	})
}

// Paused has the durables that are held, with the time until which they were paused before.
func (h *Hold) Paused() Paused {
	out := Paused{}
	for stream, durables := range h.was {
		out[stream] = maps.Clone(durables)
	}
	return out
}

// Err is why the durables may not be paused any more, nil if they are.
func (h *Hold) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

// Quiet returns once nothing that was delivered waits for its acknowledgement, or when within is
// over.
func (h *Hold) Quiet(ctx context.Context, within time.Duration) error {
	tick := time.NewTicker(quietPoll)
	defer tick.Stop()
	for end := time.Now().Add(within); ; {
		pending := 0
		err := h.each(func(stream, durable string, _ time.Time) error {
			c, err := h.js.Consumer(ctx, stream, durable)
			if err == nil {
				pending += c.CachedInfo().NumAckPending
			}
			return err
		})
		if err != nil || pending == 0 || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Resume lets the durables go on, those that were paused before as they were.
func (h *Hold) Resume(ctx context.Context) error {
	h.Leave()
	return h.undo(ctx)
}

// Leave ends the hold and leaves the durables paused until half a minute after the last renewal.
func (h *Hold) Leave() {
	h.stop()
	<-h.done
}

func (h *Hold) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return h.each(func(stream, durable string, was time.Time) (err error) {
		if was.After(h.now()) {
			_, err = h.js.PauseConsumer(ctx, stream, durable, was)
		} else {
			_, err = h.js.ResumeConsumer(ctx, stream, durable)
		}
		return err
	})
}
