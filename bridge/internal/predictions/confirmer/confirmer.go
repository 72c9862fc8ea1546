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
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/natspull"
	"github.com/hookspan/hookspan/internal/printable"
)

// durablePrefix and the name of a source are the name of its durable.
const durablePrefix = "confirmer-"

// durable is the consumer of one source, which all processes share: a source whose provider is slow or
// that strangers flood holds up no other.
func durable(names bridge.Names, source string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: durablePrefix + source, FilterSubject: names.AllUnconfirmed(source), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: -1, MaxDeliver: -1, Description: "Hookspan: asks the provider about deliveries of " + source,
	}
}

// Provision makes or updates the durables of the sources. A confirmer does so itself unless it only
// binds.
func Provision(ctx context.Context, js jetstream.JetStream, names bridge.Names, sources []string) error {
	for _, source := range sources {
		if _, err := js.CreateOrUpdateConsumer(ctx, names.UnconfirmedStream(), durable(names, source)); err != nil {
			return fmt.Errorf("provisioning the durable of unconfirmed deliveries of %s: %w", source, err)
		}
	}
	return nil
}

// Limits of a [Confirmer].
const (
	// parallel is how many deliveries of a source are asked about at once.
	parallel = 16
	// pull is how long one fetch waits at the server.
	pull = 5 * time.Second
	// firstRetry and lastRetry space retries while the stream is unreachable.
	firstRetry, lastRetry = 250 * time.Millisecond, 10 * time.Second
	// ackWait is how long one may take: the time-out of a provider, and storing.
	ackWait = 3 * time.Minute
	// again is the time to the second question about a delivery; it doubles up to againMost.
	again, againMost = 2 * time.Second, 5 * time.Minute
	// maxUnknown is how often the provider must not know a prediction before the delivery is
	// taken for a stranger's.
	maxUnknown = 5
	// failuresTold is how often the provider must not have confirmed a delivery before an alarm.
	failuresTold = 5
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
	// BindOnly leaves the durables to somebody else.
	BindOnly bool
	Alarms   bridge.Alarmer
	Logger   *zap.Logger
}

// Confirmer asks about deliveries. See [New].
type Confirmer struct {
	cfg Config
	js  jetstream.JetStream

	again time.Duration // to the second question about a delivery; tests are quicker
}

// New returns a confirmer. Several processes may each run one.
func New(js jetstream.JetStream, cfg Config) *Confirmer {
	return &Confirmer{cfg: cfg, js: js, again: again}
}

// Run asks until ctx ends, and returns nil then. It retries after every error.
func (c *Confirmer) Run(ctx context.Context) error {
	var sources sync.WaitGroup
	defer sources.Wait()
	for name, s := range c.cfg.Sources {
		f := &following{
			Confirmer: c, Source: s, name: name, limit: rate.NewLimiter(rate.Limit(s.Rate), max(1, int(s.Rate))),
			slots: make(chan struct{}, parallel), log: c.cfg.Logger.With(zap.String("source", name)),
		}
		sources.Go(func() { f.run(ctx) })
	}
	c.watchLeft(ctx)
	return nil
}

// following asks about the deliveries of one source.
type following struct {
	*Confirmer
	Source

	name    string
	limit   *rate.Limiter
	slots   chan struct{}
	running sync.WaitGroup
	log     *zap.Logger
}

func (f *following) run(ctx context.Context) {
	defer f.running.Wait()
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for ctx.Err() == nil {
		err := f.bind(ctx)
		for err == nil && ctx.Err() == nil {
			if err = f.fetch(ctx); err == nil {
				retry.Reset()
			}
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		pause := retry.Next()
		f.log.Error("cannot read unconfirmed deliveries, trying again", zap.Duration("in", pause), zap.Error(err))
		backoff.Sleep(ctx, pause)
	}
}

func (f *following) bind(ctx context.Context) error {
	if !f.cfg.BindOnly {
		return Provision(ctx, f.js, f.cfg.Names, []string{f.name})
	}
	_, err := f.js.Consumer(ctx, f.cfg.Names.UnconfirmedStream(), durable(f.cfg.Names, f.name).Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = fmt.Errorf("%w: make it with hookspan provision", err)
	}
	return err
}

// fetch begins to ask about deliveries that are there or come soon.
func (f *following) fetch(ctx context.Context) error {
	fetching, cancel := context.WithTimeout(ctx, pull)
	defer cancel()
	request := natspull.Request{Stream: f.cfg.Names.UnconfirmedStream(), Consumer: durable(f.cfg.Names, f.name).Durable, Messages: parallel}
	err := natspull.Fetch(fetching, f.js, request, func(m jetstream.Msg) error {
		f.slots <- struct{}{}
		f.running.Go(func() {
			defer func() { <-f.slots }()
			f.settle(ctx, m)
		})
		return nil
	})
	if fetching.Err() != nil {
		return nil // nothing came in time
	}
	return err
}

// settle asks about one delivery, and says what becomes of its message.
func (f *following) settle(ctx context.Context, m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return // it comes again
	}
	times := int(meta.NumDelivered)
	wait, err := f.confirm(ctx, m, times, meta.Timestamp)
	switch {
	case ctx.Err() != nil:
		err = m.Nak() // another process may ask at once
	case err != nil:
		wait = max(wait, backoff.Doubled(f.again, times-1, againMost))
		f.log.Debug("a delivery is not confirmed yet", zap.Int("times", times), zap.Duration("again_in", wait), zap.Error(err))
		if times >= failuresTold {
			f.raise(err)
		}
		err = m.NakWithDelay(wait)
	default:
		err = m.DoubleAck(ctx)
	}
	if err != nil {
		f.log.Debug("what became of an unconfirmed delivery could not be told", zap.Error(err))
	}
}

// raise tells that deliveries wait because the provider does not confirm them.
func (f *following) raise(err error) {
	f.cfg.Alarms.Raise(lasting.Again(bridge.Alarm{
		Kind: bridge.AlarmPolling, Subject: f.name + ": webhooks", ID: "unconfirmed/" + f.name,
		Text: printable.Sentences(fmt.Sprintf("the provider of %s does not confirm what its webhooks say: %v", f.name, err),
			fmt.Sprintf("They wait, and are asked about for %v: check sources.%s.api, its base_url and its key", patience, f.name)),
		Details: map[string]any{"source": f.name},
	}, "the provider of "+f.name+" has confirmed its webhooks"))
}

// confirm returns nil once the delivery is settled, and otherwise how long the provider wants to be
// left alone, 0 when it did not say.
func (f *following) confirm(ctx context.Context, m jetstream.Msg, times int, stored time.Time) (time.Duration, error) {
	w, err := bridge.DecodeKept(bridge.Header(m.Headers()), m.Data())
	if err != nil {
		f.cfg.Logger.Error("an unconfirmed delivery cannot be read, and is dropped", zap.Error(err))
		return 0, nil
	}
	hint, err := f.Source.Source.Read(source.Delivery{Body: w.Body, ContentType: w.ContentType, ReceivedAt: w.ReceivedAt, AnyAge: true})
	if err != nil {
		return f.leave(ctx, w, stored, err)
	}
	if err := f.limit.Wait(ctx); err != nil {
		return 0, err
	}
	body, err := f.Provider.Result(ctx, hint.PredictionID, hint.Model)
	if wait, is := errors.AsType[*provider.TryLaterError](err); is {
		left, err := f.leave(ctx, w, stored, err)
		return max(left, wait.After), err
	}
	if errors.Is(err, provider.ErrNoPrediction) && times >= maxUnknown {
		w.Cause, w.Detail = bridge.CauseUnconfirmed, "the provider does not know the prediction: somebody else posts to this URL, or the API key is of another account"
		f.cfg.Refuse(w)
		return 0, nil
	}
	if err != nil {
		return f.leave(ctx, w, stored, err)
	}
	e, err := f.Source.Source.ReadAnswer(source.Delivery{
		Body: body, ContentType: "application/json", ReceivedAt: w.ReceivedAt, Origin: bridge.OriginPoll, Query: w.Query, TraceParent: w.TraceParent, AnyAge: true,
	}, hint.PredictionID)
	switch {
	case err != nil:
		return f.leave(ctx, w, stored, err)
	case !bridge.Terminal(e.Status):
		return f.leave(ctx, w, stored, fmt.Errorf("the provider says %q, and the delivery %q", e.RawStatus, hint.RawStatus))
	}
	if _, err := f.cfg.Publish(ctx, e); err != nil {
		return f.leave(ctx, w, stored, fmt.Errorf("storing a confirmed event: %w", err))
	}
	return 0, nil
}

// leave returns err while the provider is to be asked again, and later puts the delivery into the
// quarantine.
func (f *following) leave(ctx context.Context, w *bridge.KeptDelivery, stored time.Time, err error) (time.Duration, error) {
	if time.Since(stored) < patience {
		return 0, err
	}
	w.Cause, w.Detail = bridge.CauseUnconfirmed, fmt.Sprintf("the provider did not confirm it in %v: %v", patience, err)
	if _, keepErr := f.cfg.Quarantine(ctx, w); keepErr != nil {
		return 0, errors.Join(err, keepErr)
	}
	return 0, nil
}
