package redelivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/natspull"
)

const (
	// block is how many messages are handled together.
	block = 128
	// moveTimeout bounds one block; moveLease is longer.
	moveTimeout = 10 * time.Second
	moveLease   = 30 * time.Second
	// pull is how long one fetch waits at the server.
	pull = 5 * time.Second
	// firstRetry and lastRetry space retries while the stream is unreachable or full.
	firstRetry, lastRetry = 250 * time.Millisecond, 10 * time.Second
)

// Provision makes or updates the durables that all movers and reapers share. They call it
// themselves unless they only bind.
func Provision(ctx context.Context, js jetstream.JetStream, names bridge.Names) error {
	for stream, durable := range map[string]jetstream.ConsumerConfig{
		names.LaterStream(): moverDurable(names), names.AdvisoriesStream(): reaperDurable(),
	} {
		_, err := js.CreateOrUpdateConsumer(ctx, stream, durable)
		if errors.Is(err, jetstream.ErrStreamNotFound) && stream == names.LaterStream() {
			continue // a server without message schedules
		}
		if err != nil {
			return fmt.Errorf("provisioning durable %s of stream %s: %w", durable.Durable, stream, err)
		}
	}
	return nil
}

// follower handles the messages of one durable that all processes share, in concurrent blocks,
// so that the writes of a block share syncs.
type follower struct {
	js       jetstream.JetStream
	stream   string
	durable  jetstream.ConsumerConfig
	bindOnly bool
	// each settles its message; a message with an error comes again.
	each func(ctx context.Context, msg jetstream.Msg) error
	// what names the messages in the log.
	what string
	log  *zap.Logger
}

// run handles messages until ctx ends, and returns nil. It retries after every error.
func (f *follower) run(ctx context.Context) error {
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for ctx.Err() == nil {
		err := f.follow(ctx, retry.Reset)
		if err == nil || ctx.Err() != nil {
			continue
		}
		pause := retry.Next()
		f.log.Error("cannot handle "+f.what+", trying again", zap.Duration("in", pause), zap.Error(err))
		backoff.Sleep(ctx, pause)
	}
	return nil
}

// follow handles messages until an error, and calls handled after each block.
func (f *follower) follow(ctx context.Context, handled func()) error {
	if err := f.bind(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := f.handleBlock(ctx); err != nil {
			return err
		}
		handled()
	}
	return nil
}

func (f *follower) bind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	var err error
	if f.bindOnly {
		_, err = f.js.Consumer(ctx, f.stream, f.durable.Durable)
	} else {
		_, err = f.js.CreateOrUpdateConsumer(ctx, f.stream, f.durable)
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = fmt.Errorf("%w: make it with hookspan provision", err)
	}
	if err != nil {
		return fmt.Errorf("reaching the durable of %s: %w", f.what, err)
	}
	return nil
}

func (f *follower) handleBlock(ctx context.Context) error {
	fetching, cancel := context.WithTimeout(ctx, pull)
	defer cancel()
	// A block that has begun is finished at shutdown.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), pull+moveTimeout)
	defer cancel()
	var handling sync.WaitGroup
	var mu sync.Mutex
	var failed error
	err := natspull.Fetch(fetching, f.js, natspull.Request{Stream: f.stream, Consumer: f.durable.Durable, Messages: block}, func(msg jetstream.Msg) error {
		handling.Go(func() {
			if err := f.each(work, msg); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
		return nil
	})
	handling.Wait()
	if err != nil && failed == nil && fetching.Err() == nil {
		return fmt.Errorf("fetching %s: %w", f.what, err)
	}
	return failed
}
