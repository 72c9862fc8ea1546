package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// maxAckPending is how many events of one durable may be with workers or waiting
// for their next attempt. Waiting ones count, so it is far above any concurrency.
const maxAckPending = 10_000

// bind returns the durable; it creates or changes it when it is not what the
// configuration says.
func (c *Consumer) bind(ctx context.Context) (jetstream.Consumer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	durable, err := c.ensure(ctx)
	if err == nil && c.first == 0 {
		c.first = durable.CachedInfo().AckFloor.Stream + 1
		c.log.Info("consuming", zap.Int("concurrency", c.cfg.Concurrency))
	}
	return durable, err
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
	if err != nil {
		return nil, fmt.Errorf("looking up durable %s: %w", c.cfg.Name, err)
	}
	have := durable.CachedInfo().Config
	want := have
	want.FilterSubject, want.FilterSubjects = "", c.subjects()
	want.AckWait, want.MaxAckPending, want.MaxDeliver = c.cfg.Lease, maxAckPending, -1
	want.BackOff = nil // it would replace our own delays
	if sameSubjects(have, want) && have.AckWait == want.AckWait && have.MaxAckPending == want.MaxAckPending &&
		have.MaxDeliver == want.MaxDeliver && len(have.BackOff) == 0 {
		return durable, nil
	}
	if have.AckPolicy != jetstream.AckExplicitPolicy {
		return nil, fmt.Errorf("durable %s acknowledges by %v, not each event: remove it or use another name", c.cfg.Name, have.AckPolicy)
	}
	c.log.Warn("changing the durable", zap.Strings("filter", c.subjects()), zap.Strings("old_filter", filterOf(have)))
	durable, err = c.js.UpdateConsumer(ctx, stream, want)
	if err != nil {
		return nil, fmt.Errorf("changing durable %s: %w", c.cfg.Name, err)
	}
	return durable, nil
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
	case c.first > 0:
		// Somebody removed the durable while this process ran: events may come
		// again, but none is left out.
		c.log.Error("the durable is gone, creating it again", zap.Uint64("from_sequence", c.first))
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, c.first
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

func sameSubjects(a, b jetstream.ConsumerConfig) bool {
	sorted := func(c jetstream.ConsumerConfig) []string {
		return slices.SortedFunc(slices.Values(filterOf(c)), strings.Compare)
	}
	return slices.Equal(sorted(a), sorted(b))
}
