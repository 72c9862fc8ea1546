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

// longestCall bounds one redelivery, so that whoever asked for it over HTTP gets an
// answer. What it did not come to is told as more.
const longestCall = 20 * time.Second

// Why an event is not given to a consumer again.
const (
	causeNoEvent    = "no_event"    // the dead letter holds none
	causeNoConsumer = "no_consumer" // there is no durable of that name
	causeNotReading = "not_reading" // the durable does not read what comes again
	causeTooLarge   = "too_large"   // the store does not take the copy
)

// Config of a [Redeliverer].
type Config struct {
	Names bridge.Names
	// Handled reports whether the consumer is known to have handled the event. It is
	// called concurrently.
	Handled func(ctx context.Context, consumer string, ev *bridge.Event) (bool, error)
	// Filter returns the filter of a consumer that the configuration names. It is
	// called concurrently.
	Filter func(consumer string) (bridge.Filter, bool)
}

// Redeliverer gives events to one consumer again, whatever program it is: those that
// became dead letters, and those that are stored. It is safe for concurrent use.
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

// Redrive gives the events of the selected dead letters to their consumers again, as
// fresh ones: nothing of their attempts counts any more. A dead letter is removed once its
// event is stored for the consumer, and also when the consumer has handled the event
// since. One that stays says why in the report. An error ends it early and stands
// in the report; running it again is safe.
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
	// With its time, since a stream that is made anew counts from one again.
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

// Replay gives the selected events to one consumer again. Without named sequences it
// gives only those that the consumer reads anyway. The run tells this replay from any
// other: within two hours an event is given once for one run.
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

// give stores a copy of the event for the consumer, unless it is handled or nobody
// would read it. It reports whether nothing is left to do.
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
		c.pace.Allow() // the call before this one may have given an event just now
	}
	return c
}

var errLimit = errors.New("limit reached")

// visit does what is to be done with an entry, within the limits.
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

// reader is what is known of a durable.
type reader struct {
	missing bool
	// again: it reads what comes again for it.
	again   bool
	filters []string // without that
}

// readers looks each durable up once.
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
