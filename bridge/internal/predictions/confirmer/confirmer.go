// Package confirmer asks providers what their deliveries say, of senders that prove nothing or
// tell only that there is something to fetch.
package confirmer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/backoff"
)

// Durable is the name of the consumer that all processes share.
const Durable = "confirmer"

// Limits of a [Confirmer].
const (
	// parallel is how many deliveries are asked about at once.
	parallel = 16
	// ackWait is how long one may take: the time-out of a provider, and storing.
	ackWait = 3 * time.Minute
	// again is the time to the second question about a delivery; it doubles up to againMost.
	again, againMost = 2 * time.Second, 5 * time.Minute
	// maxUnknown is how often the provider must not know a prediction before the delivery is
	// taken for a stranger's.
	maxUnknown = 5
	// patience is for how long the provider is asked about one delivery.
	patience = 24 * time.Hour
)

// Provider is a provider's API, see package poller.
type Provider interface {
	Result(ctx context.Context, id, model string) ([]byte, error)
}

// Source is a source whose deliveries are to be confirmed.
type Source struct {
	Source   *source.Source
	Provider Provider
	// Rate bounds the questions per second.
	Rate float64
}

// Config of a [Confirmer]. Every field is required.
type Config struct {
	Names   bridge.Names
	Sources map[string]Source
	// Publish makes an event durable.
	Publish func(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
	// Quarantine keeps what the provider does not confirm, Refuse what it does not know.
	Quarantine func(ctx context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error)
	Refuse     func(w *bridge.KeptDelivery)
	Logger     *zap.Logger
}

// Confirmer asks about deliveries. See [New].
type Confirmer struct {
	cfg    Config
	js     jetstream.JetStream
	limits map[string]*rate.Limiter
}

// New returns a confirmer. Several processes may each run one.
func New(js jetstream.JetStream, cfg Config) *Confirmer {
	c := &Confirmer{cfg: cfg, js: js, limits: map[string]*rate.Limiter{}}
	for name, s := range cfg.Sources {
		c.limits[name] = rate.NewLimiter(rate.Limit(s.Rate), max(1, int(s.Rate)))
	}
	return c
}

// Run asks until ctx ends, and returns nil then. An error is of the durable.
func (c *Confirmer) Run(ctx context.Context) error {
	if len(c.cfg.Sources) == 0 {
		return nil
	}
	durable, err := c.js.CreateOrUpdateConsumer(ctx, c.cfg.Names.UnconfirmedStream(), jetstream.ConsumerConfig{
		Durable: Durable, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: -1,
		Description: "Hookspan: asks providers about deliveries",
	})
	if err != nil {
		return fmt.Errorf("the durable of unconfirmed deliveries: %w", err)
	}
	messages, err := durable.Messages(jetstream.PullMaxMessages(parallel))
	if err != nil {
		return fmt.Errorf("reading unconfirmed deliveries: %w", err)
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, parallel)
	for {
		m, err := messages.Next()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return fmt.Errorf("reading unconfirmed deliveries: %w", err)
		case err != nil:
			c.cfg.Logger.Debug("unconfirmed deliveries could not be read, they are read again", zap.Error(err))
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			c.settle(ctx, m)
		})
	}
}

// settle asks about one delivery, and says what becomes of its message.
func (c *Confirmer) settle(ctx context.Context, m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return // it comes again
	}
	times := int(meta.NumDelivered)
	wait, err := c.confirm(ctx, m, times, meta.Timestamp)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		wait = max(wait, backoff.Doubled(again, times-1, againMost))
		c.cfg.Logger.Debug("a delivery is not confirmed yet", zap.Int("times", times), zap.Duration("again_in", wait), zap.Error(err))
		err = m.NakWithDelay(wait)
	default:
		err = m.DoubleAck(ctx)
	}
	if err != nil {
		c.cfg.Logger.Debug("what became of an unconfirmed delivery could not be told", zap.Error(err))
	}
}

// confirm returns nil once the delivery is settled, and otherwise how long the provider wants to be
// left alone, 0 when it did not say.
func (c *Confirmer) confirm(ctx context.Context, m jetstream.Msg, times int, stored time.Time) (time.Duration, error) {
	w, err := bridge.DecodeKept(bridge.Header(m.Headers()), m.Data())
	if err != nil {
		c.cfg.Logger.Error("an unconfirmed delivery cannot be read, and is dropped", zap.Error(err))
		return 0, nil
	}
	src, ok := c.cfg.Sources[w.Source]
	if !ok {
		return c.leave(ctx, w, stored, fmt.Errorf("source %s is not configured, or has no API", w.Source))
	}
	hint, err := src.Source.Read(source.Delivery{Body: w.Body, ContentType: w.ContentType, ReceivedAt: w.ReceivedAt, AnyAge: true})
	if err != nil {
		return c.leave(ctx, w, stored, err)
	}
	if err := c.limits[w.Source].Wait(ctx); err != nil {
		return 0, err
	}
	body, err := src.Provider.Result(ctx, hint.PredictionID, hint.Model)
	if wait, is := errors.AsType[*provider.TryLaterError](err); is {
		left, err := c.leave(ctx, w, stored, err)
		return max(left, wait.After), err
	}
	if errors.Is(err, provider.ErrNoPrediction) && times >= maxUnknown {
		w.Cause, w.Detail = bridge.CauseUnconfirmed, "the provider does not know the prediction: somebody else posts to this URL, or the API key is of another account"
		c.cfg.Refuse(w)
		return 0, nil
	}
	if err != nil {
		return c.leave(ctx, w, stored, err)
	}
	e, err := src.Source.ReadAnswer(source.Delivery{
		Body: body, ContentType: "application/json", ReceivedAt: w.ReceivedAt, Origin: bridge.OriginPoll, Query: w.Query, TraceParent: w.TraceParent, AnyAge: true,
	}, hint.PredictionID)
	switch {
	case err != nil:
		return c.leave(ctx, w, stored, err)
	case !bridge.Terminal(e.Status):
		return c.leave(ctx, w, stored, fmt.Errorf("the provider says %q, and the delivery %q", e.RawStatus, hint.RawStatus))
	}
	if _, err := c.cfg.Publish(ctx, e); err != nil {
		return 0, fmt.Errorf("storing a confirmed event: %w", err)
	}
	return 0, nil
}

// leave returns err while the provider is to be asked again, and later puts the delivery into the
// quarantine.
func (c *Confirmer) leave(ctx context.Context, w *bridge.KeptDelivery, stored time.Time, err error) (time.Duration, error) {
	if time.Since(stored) < patience {
		return 0, err
	}
	w.Cause, w.Detail = bridge.CauseUnconfirmed, fmt.Sprintf("the provider did not confirm it in %v: %v", patience, err)
	if _, keepErr := c.cfg.Quarantine(ctx, w); keepErr != nil {
		return 0, errors.Join(err, keepErr)
	}
	return 0, nil
}
