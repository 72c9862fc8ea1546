package consumers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// maxAckPending is how many events of one durable may be with workers or waiting
// for their next attempt. Waiting ones count, so it is far above any concurrency.
const maxAckPending = 10_000

// binding is what is known of the stream and the durable since this process has
// reached them first.
type binding struct {
	// stream is when the stream was created: one that was made anew counts its
	// sequences anew.
	stream time.Time
	// first is the oldest sequence that this process is answerable for; zero
	// before the durable was reached.
	first uint64
	// last is the stream's last sequence when the durable was last looked up. An
	// event up to it may have failed before although the durable, made anew or
	// restored, delivers it for the first time.
	last uint64
}

// bind returns the durable; it creates or changes it when it is not what the
// configuration says.
func (c *Consumer) bind(ctx context.Context) (jetstream.Consumer, binding, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stream, err := c.js.Stream(ctx, c.names.EventsStream())
	if err != nil {
		return nil, binding{}, fmt.Errorf("looking up stream %s: %w", c.names.EventsStream(), err)
	}
	info := stream.CachedInfo()
	if c.bound.first > 0 && !c.bound.stream.Equal(info.Created) {
		c.log.Error("the stream was made anew, beginning with its first event")
		c.bound.first = 1
	}
	durable, err := c.ensure(ctx)
	if err != nil {
		return nil, binding{}, err
	}
	if until := durable.CachedInfo().Config.PauseUntil; until != nil && until.After(time.Now()) {
		c.log.Warn("the durable is paused, nothing is delivered", zap.Time("until", *until))
	}
	if c.bound.first == 0 {
		c.bound.first = durable.CachedInfo().AckFloor.Stream + 1
		c.log.Info("consuming", zap.Int("concurrency", c.cfg.Concurrency))
	}
	c.bound.stream, c.bound.last = info.Created, info.State.LastSeq
	return durable, c.bound, nil
}

func (c *Consumer) ensure(ctx context.Context) (jetstream.Consumer, error) {
	stream := c.names.EventsStream()
	durable, err := c.js.Consumer(ctx, stream, c.cfg.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		durable, err = c.js.CreateConsumer(ctx, stream, c.durableConfig())
		if err == nil {
			c.log.Info("created the durable", zap.Strings("filter", c.subjects()))
			return durable, nil
		}
		if !errors.Is(err, jetstream.ErrConsumerExists) {
			return nil, fmt.Errorf("creating durable %s: %w", c.cfg.Name, err)
		}
		durable, err = c.js.Consumer(ctx, stream, c.cfg.Name) // another process was faster
	}
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		return nil, fmt.Errorf("%w: %s pushes its messages: remove it or use another name", ErrUnusable, c.cfg.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("looking up durable %s: %w", c.cfg.Name, err)
	}
	have := durable.CachedInfo().Config
	if have.AckPolicy != jetstream.AckExplicitPolicy || have.MemoryStorage {
		return nil, fmt.Errorf("%w: %s acknowledges by policy %v, in memory: %v: remove it or use another name",
			ErrUnusable, c.cfg.Name, have.AckPolicy, have.MemoryStorage)
	}
	want := c.wanted(have)
	if reflect.DeepEqual(have, want) {
		return durable, nil
	}
	c.log.Warn("changing the durable", zap.Strings("filter", c.subjects()), zap.Strings("old_filter", filterOf(have)))
	durable, err = c.js.UpdateConsumer(ctx, stream, want)
	if err != nil {
		return nil, fmt.Errorf("changing durable %s: %w", c.cfg.Name, err)
	}
	return durable, nil
}

// wanted is have without anything that would keep events, or parts of them, from
// the handler. Whether it is paused is somebody's decision and stays.
func (c *Consumer) wanted(have jetstream.ConsumerConfig) jetstream.ConsumerConfig {
	want := have
	if subjects := c.subjects(); !sameSubjects(filterOf(have), subjects) {
		want.FilterSubject, want.FilterSubjects = "", subjects
	}
	want.AckWait, want.MaxAckPending, want.MaxDeliver = c.cfg.Lease, maxAckPending, -1
	want.BackOff = nil // it would replace our own delays
	want.HeadersOnly = false
	want.InactiveThreshold = 0
	want.RateLimit = 0
	want.MaxRequestBatch, want.MaxRequestExpires, want.MaxRequestMaxBytes = 0, 0, 0
	return want
}

func (c *Consumer) durableConfig() jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Durable:        c.cfg.Name,
		Description:    "Hookspan consumer",
		FilterSubjects: c.subjects(),
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        c.cfg.Lease,
		MaxAckPending:  maxAckPending,
		// Who counts attempts is us: a delivery is counted by the server also
		// when a worker restarts, and an event that it stops delivering is one
		// that nobody hears of.
		MaxDeliver:    -1,
		DeliverPolicy: jetstream.DeliverNewPolicy,
	}
	switch {
	case c.bound.first > 0:
		// Somebody removed the durable while this process ran: events may come
		// again, but none is left out.
		c.log.Error("the durable is gone, creating it again", zap.Uint64("from_sequence", c.bound.first))
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, c.bound.first
	case c.cfg.Start.All:
		cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	case !c.cfg.Start.At.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &c.cfg.Start.At
	}
	return cfg
}

// subjects are those of the filter and that on which events come again for this
// consumer alone.
func (c *Consumer) subjects() []string {
	subjects, _ := c.cfg.Filter.Subjects(c.names)
	return append(subjects, c.names.AllAgain(c.cfg.Name))
}

func filterOf(cfg jetstream.ConsumerConfig) []string {
	if cfg.FilterSubject != "" {
		return []string{cfg.FilterSubject}
	}
	return cfg.FilterSubjects
}

func sameSubjects(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
