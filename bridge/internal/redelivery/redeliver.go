package redelivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// longestCall bounds one call, so that its HTTP client gets an answer. The report's More covers
// the rest.
const longestCall = 20 * time.Second

// Reasons not to deliver an event again.
const (
	causeNoEvent    = "no_event"    // the dead letter holds no event
	causeNoConsumer = "no_consumer" // the durable does not exist
	causeNotReading = "not_reading" // the durable does not read redelivered events
	causeTooLarge   = "too_large"   // the store rejects the copy
)

// Config of a [Redeliverer].
type Config struct {
	Names bridge.Names
	// Handled reports whether the consumer is known to have handled the event. It is called
	// concurrently.
	Handled func(ctx context.Context, consumer string, ev *bridge.Event) (bool, error)
	// Filter returns the filter of a configured consumer. It is called concurrently.
	Filter func(consumer string) (bridge.Filter, bool)
}

// Redeliverer delivers events again to one consumer, whatever its program: dead letters and
// stored events. It is safe for concurrent use.
type Redeliverer struct {
	js          jetstream.JetStream
	store       Storer
	cfg         Config
	deadLetters *DeadLetters
	events      *Events
}

// NewRedeliverer returns a redeliverer that reads with js and writes with store.
func NewRedeliverer(js jetstream.JetStream, store Storer, cfg Config) *Redeliverer {
	return &Redeliverer{js: js, store: store, cfg: cfg, deadLetters: NewDeadLetters(js, cfg.Names), events: NewEvents(js, cfg.Names)}
}

// Redrive delivers the events of the selected dead letters to their consumers again, as fresh
// events: earlier attempts do not count. It removes a dead letter once its event is stored for
// the consumer, or if the consumer has handled the event since. The report says why others
// stay. An error ends the call early and is in the report; repeating a call is safe.
func (r *Redeliverer) Redrive(ctx context.Context, sel adminapi.DeadSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport {
	readers := r.readers()
	c := newCall(ctx, sel.Limit, o)
	err := r.deadLetters.Scan(ctx, sel, func(e adminapi.DeadEntry, selected bool) error {
		return c.visit(e.Sequence, selected, func() error { return r.redrive(c, readers, &e) })
	})
	return c.end(err)
}

func (r *Redeliverer) redrive(c *call, readers *readers, e *adminapi.DeadEntry) error {
	if e.Event == nil {
		c.report.Remaining[causeNoEvent]++
		return nil
	}
	again := bridge.Again{Sequence: e.Event.Sequence, Redrives: e.Redrives + 1}
	// With the time, since a recreated stream counts from one again.
	id := fmt.Sprintf("redrive-%d-%d", e.Sequence, e.StoredAt.UnixNano())
	given, err := r.give(c, readers, e.Consumer, e.Event, again.Header(e.Header), id)
	if err != nil || !given {
		return err
	}
	return r.removeDeadLetter(c, e.Sequence)
}

func (r *Redeliverer) removeDeadLetter(c *call, seq uint64) error {
	if c.options.DryRun {
		return nil
	}
	if err := r.deadLetters.Remove(c.ctx, seq); err != nil && !errors.Is(err, bridge.ErrNotFound) {
		return err
	}
	return nil
}

// Replay delivers the selected events to one consumer again; without named sequences, only
// those that the consumer's filter picks. run identifies the replay: within two hours it
// delivers an event once per run.
func (r *Redeliverer) Replay(ctx context.Context, consumer, run string, sel adminapi.EventSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport {
	readers := r.readers()
	c := newCall(ctx, sel.Limit, o)
	reader, err := readers.find(ctx, consumer)
	if err == nil && reader.missing {
		err = fmt.Errorf("%s: %w", consumer, adminapi.ErrNoConsumer)
	}
	if err != nil {
		return c.end(err)
	}
	filter, configured := r.cfg.Filter(consumer)
	if configured && sel.Filter.Event == "" && !sel.Named() {
		sel.Filter.Event = filter.Event
	}
	err = r.events.Scan(ctx, sel, func(e adminapi.EventEntry, selected bool) error {
		if selected && !sel.Named() {
			selected = matchesAny(reader.filters, e.Subject) && (!configured || filter.Match(e.Event))
		}
		return c.visit(e.Sequence, selected, func() error {
			_, err := r.give(c, readers, consumer, e.Event, bridge.Again{Sequence: e.Sequence}.Header(e.Header), "replay-"+run)
			return err
		})
	})
	return c.end(err)
}

// Drop removes the selected dead letters for good. Dry run counts them.
func (r *Redeliverer) Drop(ctx context.Context, sel adminapi.DeadSelection, dryRun bool) adminapi.RedeliveryReport {
	c := newCall(ctx, sel.Limit, adminapi.RedeliveryOptions{DryRun: dryRun})
	err := r.deadLetters.Scan(ctx, sel, func(e adminapi.DeadEntry, selected bool) error {
		return c.visit(e.Sequence, selected, func() error {
			if err := r.removeDeadLetter(c, e.Sequence); err != nil {
				return err
			}
			c.report.Dropped++
			return nil
		})
	})
	return c.end(err)
}

// give stores a copy of the event for the consumer, unless the consumer has handled the event
// or would not read the copy. It reports whether the event is done.
func (r *Redeliverer) give(c *call, readers *readers, consumer string, ev *bridge.Event, header bridge.Header, id string) (bool, error) {
	reader, err := readers.find(c.ctx, consumer)
	switch {
	case err != nil:
		return false, err
	case reader.missing:
		c.report.Remaining[causeNoConsumer]++
		return false, nil
	case !reader.again:
		c.report.Remaining[causeNotReading]++
		return false, nil
	}
	if !c.options.Handled {
		handled, err := r.cfg.Handled(c.ctx, consumer, ev)
		if err != nil {
			return false, err
		}
		if handled {
			c.report.Skipped++
			return true, nil
		}
	}
	if !c.options.DryRun {
		header[bridge.HeaderMsgID] = []string{bridge.AgainID(consumer, ev.ID, id)}
		m := &nats.Msg{Subject: r.cfg.Names.Again(consumer, ev.Subject), Header: nats.Header(header), Data: ev.Body}
		_, err := r.store.Store(c.ctx, r.cfg.Names.EventsStream(), m)
		switch {
		case errors.Is(err, bridge.ErrTooLarge):
			c.report.Remaining[causeTooLarge]++
			return false, nil
		case err != nil:
			return false, fmt.Errorf("giving event %s to consumer %s again: %w", ev.ID, consumer, err)
		}
	}
	c.report.Given++
	return true, nil
}

// call is one redelivery. It belongs to one goroutine.
type call struct {
	ctx     context.Context
	limit   int
	until   time.Time
	pace    *rate.Limiter
	options adminapi.RedeliveryOptions
	report  adminapi.RedeliveryReport
}

func newCall(ctx context.Context, limit int, o adminapi.RedeliveryOptions) *call {
	c := &call{
		ctx: ctx, limit: limit, until: time.Now().Add(longestCall), pace: rate.NewLimiter(rate.Inf, 1), options: o,
		report: adminapi.RedeliveryReport{DryRun: o.DryRun, Remaining: map[string]int{}},
	}
	if o.Rate > 0 && !o.DryRun {
		c.pace.SetLimit(rate.Limit(o.Rate))
		c.pace.Allow() // the call before may have just delivered an event
	}
	return c
}

var errLimit = errors.New("limit reached")

// visit runs do for an entry, within the limits of the call.
func (c *call) visit(seq uint64, selected bool, do func() error) error {
	if selected && c.limit > 0 && c.report.LookedAt == c.limit || time.Now().After(c.until) {
		return errLimit
	}
	if selected {
		if err := c.pace.Wait(c.ctx); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
		c.report.LookedAt++
	}
	c.report.Last = seq
	return nil
}

func (c *call) end(err error) adminapi.RedeliveryReport {
	switch {
	case errors.Is(err, errLimit):
		c.report.More = true
	case err != nil:
		c.report.Stopped = err.Error()
	}
	return c.report
}

type reader struct {
	missing bool
	// again: it reads the subject of redelivered events.
	again   bool
	filters []string // without that subject
}

type readers struct {
	js    jetstream.JetStream
	names bridge.Names
	known map[string]reader
}

func (r *Redeliverer) readers() *readers {
	return &readers{js: r.js, names: r.cfg.Names, known: map[string]reader{}}
}

func (r *readers) find(ctx context.Context, consumer string) (reader, error) {
	if known, ok := r.known[consumer]; ok {
		return known, nil
	}
	if consumer == bridge.PredictionsConsumer { // views read it, without a durable
		return reader{again: true, filters: []string{r.names.AllEvents()}}, nil
	}
	found := reader{}
	switch durable, err := r.js.Consumer(ctx, r.names.EventsStream(), consumer); {
	case errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrInvalidConsumerName):
		found.missing = true
	case err != nil:
		return reader{}, fmt.Errorf("looking up durable %s: %w", consumer, err)
	default:
		for _, filter := range streamread.Filters(durable.CachedInfo().Config) {
			found.again = found.again || streamread.SubjectMatches(filter, r.names.Again(consumer, r.names.Event("any", "any", "any")))
			if !r.names.IsAgain(filter) {
				found.filters = append(found.filters, filter)
			}
		}
	}
	r.known[consumer] = found
	return found, nil
}

func matchesAny(filters []string, subject string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return streamread.SubjectMatches(f, subject) })
}
