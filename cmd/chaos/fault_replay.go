package main

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/mediatype"
)

// captured is how many requests of each age somebody has kept.
const captured = 500

// captures are requests that were accepted some time ago, and are sent again now: a
// signature has no end. The bridge itself accepts those of the last one, which are younger
// than what the store forgets.
var captures = []struct {
	ago time.Duration
	// older is by how much the store is made older behind them.
	older time.Duration
	again string // how they are answered
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
	l.bridge.MustStop()
	for _, c := range captures[:len(captures)-1] {
		l.storeCapture(n)
		n.MustStop()
		age(n.Store, c.older)
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

// storeCapture puts events into the stream as the bridge has stored them when their
// predictions ended.
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

// sendAgain sends once more those of the requests from the first one on that have an end,
// and has a bar on how they are answered.
func (l *lab) sendAgain(first int, ago time.Duration, want string) {
	c := &rig.Conn{Addr: l.addr(), Timeout: newSchedule(l.faster).timeout}
	defer c.Close()
	other := map[string]int{}
	for n := first; n < first+min(captured, l.events); n++ {
		if l.writer.webhook(n).CompletedAt == "" {
			continue // by which its age could be known
		}
		if result, _, why := post(l.Context(), c, l.writer.request(n)); result != want {
			other[result+why]++
		}
	}
	if len(other) > 0 {
		l.wrong("requests of %v ago should be answered as %s and were as %v", ago, want, other)
	} else {
		l.note("requests of %v ago were answered as %s", ago, want)
	}
}
