package redelivery

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
	"github.com/hookspan/hookspan/internal/streams"
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

// BlockStorer makes blocks of messages durable, as package stream does.
type BlockStorer interface {
	StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome
}

// Config of a [Redeliverer].
type Config struct {
	Names bridge.Names
	// Handled reports whether the consumer is known to have handled the event. It is called
	// concurrently.
	Handled func(ctx context.Context, consumer string, ev *bridge.Event) (bool, error)
	// Filter returns the filter of a configured consumer. It is called concurrently.
	Filter func(consumer string) (bridge.Filter, bool)
	// Group returns the id of the group that a dead letter belongs to. It is called concurrently.
	Group func(consumer string, cause bridge.DeadCause, err string) string
	// Outputs adds to where outputs are those of the predictions of events, each named once; nil
	// when nobody knows. It is called concurrently.
	Outputs func(ctx context.Context, of []Prediction, to *adminapi.OutputsPlan) error
}

// Redeliverer delivers events again to one consumer, whatever its program: dead letters and
// stored events. It is safe for concurrent use.
type Redeliverer struct {
	js          jetstream.JetStream
	store       BlockStorer
	cfg         Config
	deadLetters *DeadLetters
	events      *Events
}

// NewRedeliverer returns a redeliverer that reads with js and writes with store.
func NewRedeliverer(js jetstream.JetStream, store BlockStorer, cfg Config) *Redeliverer {
	return &Redeliverer{js: js, store: store, cfg: cfg, deadLetters: NewDeadLetters(js, cfg.Names), events: NewEvents(js, cfg.Names)}
}

// Redrive delivers the events of the selected dead letters to their consumers again, as fresh
// events: earlier attempts do not count. It removes a dead letter once its event is stored for
// the consumer, or if the consumer has handled the event since. The report says why others
// stay. An error ends the call early and is in the report; repeating a call is safe.
func (r *Redeliverer) Redrive(ctx context.Context, sel adminapi.DeadSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport {
	return report(ctx, r.redriving(sel, o.Handled), sel.Limit, o)
}

// Replay delivers the selected events to one consumer again; without named sequences, only
// those that the consumer's filter picks. run identifies the replay: within two hours it
// delivers an event once per run.
func (r *Redeliverer) Replay(ctx context.Context, consumer, run string, sel adminapi.EventSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport {
	replay, err := r.replaying(ctx, consumer, run, sel, o.Handled)
	if err != nil {
		return adminapi.RedeliveryReport{DryRun: o.DryRun, Remaining: map[string]int{}, Stopped: err.Error(), Err: err}
	}
	return report(ctx, replay, sel.Limit, o)
}

// Drop removes the selected dead letters for good. Dry run counts them.
func (r *Redeliverer) Drop(ctx context.Context, sel adminapi.DeadSelection, dryRun bool) adminapi.RedeliveryReport {
	return report(ctx, r.deadBlocks(sel).Dropping(), sel.Limit, adminapi.RedeliveryOptions{DryRun: dryRun})
}

// report makes one call, within its limits.
func report[E any](ctx context.Context, work jobs.Blocks[E], limit int, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport {
	outcomes := map[string]int{}
	limits := jobs.Limits{Entries: limit, Until: time.Now().Add(longestCall), Rate: o.Rate, DryRun: o.DryRun}
	last, more, err := work.Call(ctx, limits, func(block []jobs.Outcome) {
		for _, o := range block {
			outcomes[o.What]++
		}
	})
	stopped := ""
	if err != nil {
		stopped = err.Error()
	}
	out := adminapi.NewRedeliveryReport(outcomes, o.DryRun, stopped)
	out.Last, out.More, out.Err = last, more, err
	return out
}

func (r *Redeliverer) redriving(sel adminapi.DeadSelection, handled bool) jobs.Blocks[adminapi.DeadEntry] {
	work := r.deadBlocks(sel)
	work.Done = adminapi.OutcomeGiven
	work.Removes = func(outcome string) bool {
		return outcome == adminapi.OutcomeGiven || outcome == adminapi.OutcomeHandled
	}
	work.Do = func(ctx context.Context, block []adminapi.DeadEntry, dry bool) ([]jobs.Outcome, error) {
		copies := make([]eventCopy, len(block))
		for i, e := range block {
			if e.Event == nil {
				continue
			}
			again := bridge.Again{Sequence: e.Event.Sequence, Redrives: e.Redrives + 1}
			// With the time, since a recreated stream counts from one again.
			id := fmt.Sprintf("redrive-%d-%d", e.Sequence, e.StoredAt.UnixNano())
			copies[i] = eventCopy{e.Consumer, e.Event, again.Header(e.Header), id, again.Sequence}
		}
		return r.give(ctx, copies, sel.Consumer, handled, dry)
	}
	return work
}

// deadBlocks is work on the selected dead letters.
func (r *Redeliverer) deadBlocks(sel adminapi.DeadSelection) jobs.Blocks[adminapi.DeadEntry] {
	name := r.cfg.Names.DeadStream()
	work := jobs.Blocks[adminapi.DeadEntry]{
		Ends: func(ctx context.Context) ([]uint64, error) { return lastSequence(ctx, r.js, name) },
		Scan: func(ctx context.Context, _ int, after, before uint64, visit func(jobs.Entry[adminapi.DeadEntry]) error) error {
			sel := sel
			sel.After, sel.Before = max(sel.After, after), before
			behind := false
			return r.deadLetters.scan(ctx, sel, func() { behind = true }, func(e adminapi.DeadEntry, selected bool) error {
				selected = selected && (sel.Group == "" || sel.Group == r.cfg.Group(e.Consumer, e.Cause, e.Error))
				entry := jobs.Entry[adminapi.DeadEntry]{Sequence: e.Sequence, StoredAt: e.StoredAt, Selected: selected, Behind: behind, Bytes: len(e.Body), Value: e}
				behind = false
				return visit(entry)
			})
		},
		Remove: func(ctx context.Context, _ int, sequences []uint64) error {
			return streamread.RemoveAll(ctx, r.js, name, sequences)
		},
	}
	subject := r.deadLetters.subject(sel)
	if sel.After > 0 || len(sel.Sequences) > 0 {
		return work
	}
	work.RemoveTo = func(ctx context.Context, _ int, to uint64) error {
		return streamread.RemoveTo(ctx, r.js, name, subject, to)
	}
	if sel.Cause == "" && sel.Prediction == "" && sel.Group == "" {
		work.Count = func(ctx context.Context) (int, error) {
			stream, err := streamread.Open(ctx, r.js, name)
			if err != nil {
				return 0, err
			}
			n, err := streamread.Count(ctx, stream, []string{subject}, 1)
			return int(n), err
		}
	}
	return work
}

// replaying is the work of a replay. The error wraps [adminapi.ErrNoConsumer].
func (r *Redeliverer) replaying(ctx context.Context, consumer, run string, sel adminapi.EventSelection, handled bool) (work jobs.Blocks[adminapi.EventEntry], err error) {
	reader, err := r.readers().find(ctx, consumer)
	if err == nil && reader.missing {
		err = noConsumer(consumer)
	}
	if err != nil {
		return work, err
	}
	filter, configured := r.cfg.Filter(consumer)
	if configured && sel.Filter.Event == "" && !sel.Named() {
		sel.Filter.Event = filter.Event
	}
	name := r.cfg.Names.EventsStream()
	work.Done = adminapi.OutcomeGiven
	work.Ends = func(ctx context.Context) ([]uint64, error) { return lastSequence(ctx, r.js, name) }
	work.Scan = func(ctx context.Context, _ int, after, before uint64, visit func(jobs.Entry[adminapi.EventEntry]) error) error {
		sel := sel
		sel.After, sel.Before = max(sel.After, after), before
		return r.events.Scan(ctx, sel, func(e adminapi.EventEntry, selected bool) error {
			if selected && !sel.Named() {
				selected = matchesAny(reader.filters, e.Subject) && (!configured || filter.Match(e.Event))
			}
			return visit(jobs.Entry[adminapi.EventEntry]{Sequence: e.Sequence, StoredAt: e.StoredAt, Selected: selected, Bytes: len(e.Body), Value: e})
		})
	}
	work.Do = func(ctx context.Context, block []adminapi.EventEntry, dry bool) ([]jobs.Outcome, error) {
		copies := make([]eventCopy, len(block))
		for i, e := range block {
			copies[i] = eventCopy{consumer, e.Event, bridge.Again{Sequence: e.Sequence}.Header(e.Header), "replay-" + run, e.Sequence}
		}
		return r.give(ctx, copies, consumer, handled, dry)
	}
	return work, nil
}

func noConsumer(name string) error {
	return jobs.Permanent(fmt.Errorf("%s: %w", name, adminapi.ErrNoConsumer))
}

func lastSequence(ctx context.Context, js jetstream.JetStream, name string) ([]uint64, error) {
	stream, err := streamread.Open(ctx, js, name)
	if err != nil {
		return nil, err
	}
	return []uint64{stream.CachedInfo().State.LastSeq}, nil
}
