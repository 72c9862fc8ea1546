package main

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	// handledFor is how long the events were handled that fill the stream: longer
	// than the time for which duplicates are known.
	handledFor = 3 * time.Hour
	// leastFull keeps the stream above the smallest limit that it can have.
	leastFull = 16 << 20
	// fullTo is which part of its limit they take, and nextPart how much comes after
	// them, as a part of them: more than there is room for.
	fullTo, nextPart = 0.78, 0.35
	// roomLasts is for how long there is room at the pace of what comes after them:
	// a janitor makes a round every 10 s, and needs one to see that it is time.
	roomLasts = 20 * time.Second
	// handleEvery is how many webhooks are acknowledged before the consumer looks again.
	handleEvery = 500
)

// fullStream fills the stream with events that a consumer handles, lets hours pass
// and has the limit just above them: what comes next has room only if they go.
func fullStream(l *lab) {
	l.start()
	a := newAudit(l.writer, l.book)
	l.send()
	used := uint64(0)
	for first := int(float64(l.events) / (1 + nextPart)); used < leastFull || l.book.snapshot().Acknowledged < first; {
		l.acknowledged(l.book.snapshot().Acknowledged + min(first, handleEvery))
		used = l.info().State.Bytes
	}
	l.sender.rest()
	l.handle(a)
	l.bridge.MustStop()
	age(l.natsStore(), handledFor)
	before := l.book.snapshot().Acknowledged
	limit := int64(float64(used) / fullTo)
	l.note("%d handled events of %v ago take %.0f%% of the limit of %d MiB, %.0f%% of that come after them", before, handledFor, fullTo*100, limit>>20, nextPart*100)
	l.config.NATS = rig.EmbeddedNATS(limit)
	l.start()
	l.heal()
	l.rate = max(1, int(float64(before)/fullTo*(1-fullTo)/roomLasts.Seconds()))
	l.send()
	for all := max(l.events, int(float64(before)*(1+nextPart))); l.book.snapshot().Acknowledged < all; l.handle(a) {
		l.acknowledged(min(all, l.book.snapshot().Acknowledged+handleEvery))
	}
	l.settle()
	l.handle(a)
	if refused := l.book.snapshot().RefusedBy["503"]; refused > 0 {
		l.wrong("%d webhooks were refused by a stream that was full of handled events", refused)
	}
	l.finding(a.result())
	l.note("stored counts what the consumer was given")
}

// handle has a consumer of another team handle every event that waits, by looking at it.
// What it was given once may go.
func (l *lab) handle(a *audit) {
	nc := l.connect()
	defer nc.Close()
	durable := rig.Must(rig.Must(jetstream.New(nc)).CreateOrUpdateConsumer(l.Context(), rig.EventsStream, jetstream.ConsumerConfig{
		Durable: "chaos-worker", DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000,
	}))
	for more := true; more; {
		batch := rig.Must(durable.FetchNoWait(handleEvery))
		more = false
		for msg := range batch.Messages() {
			more = true
			a.add(msg.Subject(), msg.Headers(), msg.Data())
			rig.Check(msg.Ack())
		}
		rig.Check(batch.Error())
		rig.Check(nc.FlushTimeout(patience)) // the acknowledgements have reached the server
	}
}
