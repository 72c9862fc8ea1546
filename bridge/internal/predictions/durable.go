package predictions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// ackWait is long because a redelivered event changes nothing.
	ackWait = time.Minute
	// maxUnacked is more than a block and the read-ahead.
	maxUnacked = 10 * blockMessages
)

// durable is the prediction store's reader of events. An acknowledgement covers every event
// before it, since events are folded in order.
func durable(names bridge.Names) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        bridge.PredictionsConsumer,
		Description:    "Hookspan: the prediction store",
		FilterSubjects: []string{names.AllEvents(), names.AllAgain(bridge.PredictionsConsumer)},
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckAllPolicy,
		AckWait:        ackWait,
		MaxAckPending:  maxUnacked,
		MaxDeliver:     -1,
	}
}

// Provision creates or updates the durable. Leaders do so by themselves unless they only
// bind. It is safe while a leader runs.
func Provision(ctx context.Context, js jetstream.JetStream, names bridge.Names) error {
	_, err := provision(ctx, js, names)
	return err
}

func provision(ctx context.Context, js jetstream.JetStream, names bridge.Names) (jetstream.Consumer, error) {
	want := durable(names)
	have, err := js.Consumer(ctx, names.EventsStream(), want.Durable)
	switch {
	case err == nil: // its start cannot be changed, and does not matter
		cfg := have.CachedInfo().Config
		want.DeliverPolicy, want.OptStartSeq = cfg.DeliverPolicy, cfg.OptStartSeq
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("provisioning durable %s: %w", want.Durable, err)
	}
	made, err := js.CreateOrUpdateConsumer(ctx, names.EventsStream(), want)
	if err != nil {
		return nil, fmt.Errorf("provisioning durable %s: %w", want.Durable, err)
	}
	return made, nil
}

// bind returns the durable, rewound to its last acknowledgement.
func (l *Leader) bind(ctx context.Context) (jetstream.Consumer, error) {
	if !l.cfg.BindOnly {
		return provision(ctx, l.js, l.cfg.Names)
	}
	c, err := l.js.Consumer(ctx, l.cfg.Names.EventsStream(), bridge.PredictionsConsumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = fmt.Errorf("%w: make it with hookspan provision", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the durable of the prediction store: %w", err)
	}
	return c, nil
}

// rewind makes the durable deliver the event of a sequence next. Otherwise events that an
// earlier process was given and has not acknowledged would come late, behind newer ones.
func (l *Leader) rewind(ctx context.Context, to uint64) (jetstream.Consumer, error) {
	stream := l.cfg.Names.EventsStream()
	if _, err := l.js.ResetConsumerToSequence(ctx, stream, bridge.PredictionsConsumer, to); err != nil {
		// Servers before 2.14 cannot reset a durable.
		cfg := durable(l.cfg.Names)
		if to > 1 {
			cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, to
		}
		if err := l.js.DeleteConsumer(ctx, stream, bridge.PredictionsConsumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, fmt.Errorf("setting the durable of the prediction store to event %d: %w", to, err)
		}
		if _, err := l.js.CreateConsumer(ctx, stream, cfg); err != nil {
			return nil, fmt.Errorf("setting the durable of the prediction store to event %d: %w", to, err)
		}
	}
	c, err := l.js.Consumer(ctx, stream, bridge.PredictionsConsumer)
	if err != nil {
		return nil, fmt.Errorf("reaching the durable of the prediction store: %w", err)
	}
	return c, nil
}
