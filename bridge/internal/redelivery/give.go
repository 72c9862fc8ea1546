package redelivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// lookups is how many events of a block are looked up at once.
const lookups = 8

// eventCopy is an event to give to a consumer again.
type eventCopy struct {
	consumer string
	event    *bridge.Event // nil: there is none
	header   bridge.Header
	// n tells it from other copies of the event for the consumer.
	n string
	// seq is the event's own place. Errors name it by that and not by its id: a job keeps its
	// errors, and erasing a prediction removes every record that names it.
	seq uint64
}

// give stores the copies for their consumers, except of events that the consumer has handled,
// which handled includes, and those that the consumer would not read. All of them are for
// consumer, unless that is empty; the error wraps [adminapi.ErrNoConsumer] once it is gone.
func (r *Redeliverer) give(ctx context.Context, copies []eventCopy, consumer string, handled, dry bool) ([]jobs.Outcome, error) {
	outcomes := make([]jobs.Outcome, len(copies))
	// Looked up for each block, as a consumer can be removed meanwhile.
	readers := r.readers()
	group, looking := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for i, c := range copies {
		if c.event == nil {
			outcomes[i].What = causeNoEvent
			continue
		}
		reader, err := readers.find(ctx, c.consumer)
		switch {
		case err != nil:
			return nil, errors.Join(err, group.Wait())
		case reader.missing && c.consumer == consumer:
			return nil, errors.Join(noConsumer(consumer), group.Wait())
		case reader.missing:
			outcomes[i].What = causeNoConsumer
		case !reader.again:
			outcomes[i].What = causeNotReading
		case handled:
			outcomes[i].What = adminapi.OutcomeGiven
		default:
			group.Go(func() error {
				known, err := r.cfg.Handled(looking, c.consumer, c.event)
				outcomes[i].What = map[bool]string{false: adminapi.OutcomeGiven, true: adminapi.OutcomeHandled}[known]
				return err
			})
		}
	}
	if err := group.Wait(); err != nil || dry {
		return outcomes, err
	}
	return outcomes, r.storeCopies(ctx, copies, outcomes)
}

// storeCopies stores the copies whose outcome is given.
func (r *Redeliverer) storeCopies(ctx context.Context, copies []eventCopy, outcomes []jobs.Outcome) error {
	var msgs []*nats.Msg
	var which []int
	for i, c := range copies {
		if outcomes[i].What == adminapi.OutcomeGiven {
			c.header[bridge.HeaderMsgID] = []string{bridge.AgainID(c.consumer, c.event.ID, c.n)}
			msgs = append(msgs, &nats.Msg{Subject: r.cfg.Names.Again(c.consumer, c.event.Subject), Header: nats.Header(c.header), Data: c.event.Body})
			which = append(which, i)
		}
	}
	for len(msgs) > 0 {
		done := 0
		for i, o := range r.store.StoreAll(ctx, r.cfg.Names.EventsStream(), msgs) {
			c := copies[which[i]]
			if o.Err != nil && !errors.Is(o.Err, bridge.ErrTooLarge) {
				return fmt.Errorf("giving event %d to consumer %s again: %w", c.seq, c.consumer, o.Err)
			}
			done++
			if o.Err != nil { // what is behind it was not sent
				outcomes[which[i]] = jobs.Outcome{What: causeTooLarge, Error: fmt.Sprintf("giving event %d to consumer %s again: %v", c.seq, c.consumer, o.Err)}
				break
			}
		}
		msgs, which = msgs[done:], which[done:]
	}
	return nil
}
