package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/mediatype"
	"github.com/hookspan/hookspan/internal/sending"
)

const (
	// handledFor is longer than the time for which duplicates are known.
	handledFor = 3 * time.Hour
	// leastFull keeps the stream above the smallest limit that it can have.
	leastFull = 16 << 20
	// fullTo is which part of its limit they take, and nextPart how much comes after
	// them, as a part of them: more than there is room for.
	fullTo, nextPart = 0.78, 0.35
	// roomLasts is for how long there is room at the pace of what comes after them:
	// a janitor makes a round every 10 s, and needs one to see that it is time.
	roomLasts   = 20 * time.Second
	handleEvery = 500 // how many webhooks are acknowledged before the consumer looks again
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
	rig.Must(l.bridge.Stop())
	rig.Age(l.natsStore(), handledFor)
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
	rig.Check(l.Until("the journal is empty", patience, often, func(context.Context) bool { return l.waiting() == 0 }))
	l.handle(a)
	if refused := l.book.snapshot().RefusedBy["503"]; refused > 0 {
		l.wrong("%d webhooks were refused by a stream that was full of handled events", refused)
	}
	l.finding(a.result())
	l.note("stored counts what the consumer was given")
}

// handle is a consumer of another team, which looks at every event that waits.
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

// captured is how many requests of each age somebody has kept.
const captured = 500

// captures are requests that were accepted some time ago, and are sent again now: a
// signature has no end. The bridge itself accepts those of the last one, which are younger
// than what the store forgets.
var captures = []struct {
	ago   time.Duration
	older time.Duration // by how much the store is made older behind them
	again string        // how they are answered
}{
	{72 * time.Hour, 69 * time.Hour, "quarantined"},
	{3 * time.Hour, 3 * time.Hour, "quarantined"},
	{50 * time.Minute, 0, resultDuplicate},
}

// replay sends captured requests again. That hours have passed since is made up in
// the store: it holds the events as a bridge has stored them that long ago.
func replay(l *lab) {
	began := time.Now()
	l.writer.completed = func(n int) time.Time { return began.Add(-captures[min(n/captured, len(captures)-1)].ago) }
	n := l.StartNATS(rig.NATSConfig{})
	l.external(n.URL, n.URL)
	l.start()
	l.info() // the bridge has made the streams
	rig.Must(l.bridge.Stop())
	for _, c := range captures[:len(captures)-1] {
		l.storeCapture(n)
		rig.Must(n.Stop())
		rig.Age(n.Store, c.older)
		n.Start()
	}
	l.heal()
	l.begin()
	l.acknowledged(l.events + l.book.snapshot().Acknowledged)
	l.sender.rest()
	for i, c := range captures {
		l.sendAgain(i*captured, c.ago, c.again)
	}
	l.end()
}

// storeCapture stores events as the bridge would have when their predictions ended.
func (l *lab) storeCapture(n *rig.NATS) {
	nc := n.Connect()
	defer nc.Close()
	js := rig.Must(jetstream.New(nc))
	for range captured {
		i := l.book.begin()
		hook, body, ended := l.writer.webhook(i), l.writer.body(i), l.writer.completed(i)
		event := &bridge.Event{
			ID: bridge.NewEventID(hook.ID, hook.Status, body), Source: rig.SourceName, Type: "com.get3w.prediction." + hook.Status + ".v1",
			PredictionID: hook.ID, Model: hook.Model, Status: hook.Status, RawStatus: hook.Status, Origin: bridge.OriginWebhook,
			Time: ended, ReceivedAt: ended, ContentType: mediatype.JSON, Signature: rig.Sign(body), Body: body,
		}
		header := nats.Header(event.Header())
		header[rig.HeaderMsgID] = []string{event.MsgID()}
		subject := bridge.Names{}.Event(event.Source, event.Status, event.Model)
		rig.Must(js.PublishMsg(l.Context(), &nats.Msg{Subject: subject, Header: header, Data: body}))
		l.book.acknowledge(i, hook.ID, time.Now(), resultStored, event.ID)
	}
}

// sendAgain repeats the requests from the first one on, and has a bar on their answers.
func (l *lab) sendAgain(first int, ago time.Duration, want string) {
	c := &rig.Conn{Addr: l.addr(), Timeout: sending.NewSchedule(float64(l.faster)).Timeout}
	defer c.Close()
	other := map[string]int{}
	for n := first; n < first+min(captured, l.events); n++ {
		if l.writer.webhook(n).CompletedAt == "" {
			continue // by which its age could be known
		}
		if result, _, why := sending.Outcome(c.Post(l.Context(), l.writer.request(n))); result != want {
			other[result+why]++
		}
	}
	if len(other) > 0 {
		l.wrong("requests of %v ago should be answered as %s and were as %v", ago, want, other)
	} else {
		l.note("requests of %v ago were answered as %s", ago, want)
	}
}

// away are the times for which a bridge is not there. In the last one the clock goes back.
var away = []time.Duration{3 * time.Hour, 69 * time.Hour, -2 * time.Hour}

// hoursAway kills a bridge that could not write down what it had forwarded, and starts it
// again when the stream has forgotten the ids. That the time has passed is made up in the
// store and in the journal.
func hoursAway(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	l.external(n.URL, n.URL)
	l.start()
	l.info() // the bridge has made the streams
	for i, d := range away {
		l.Tamper(l.bridge.Process, l.atPosition("error=EIO"))
		l.send()
		l.reach(float64(i+1) / float64(len(away)+1))
		l.sender.rest()
		l.emptied()
		l.bridge.Kill()
		rig.Must(n.Stop())
		rig.Age(n.Store, d)
		rig.AgeJournal(l.config.Data, d)
		n.Start()
		l.start()
	}
	l.alarmed("journal_failed") // by the position
	l.heal()
	l.send()
	l.note("away for %v, with all forwarded and none of it written down", away)
	l.end()
}
