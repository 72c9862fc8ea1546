package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

const (
	// captured is how many requests of each age somebody has kept.
	captured = 500
	// fresh is the age of a capture that is younger than what the store forgets.
	fresh = 50 * time.Minute
)

// capture is requests that were accepted some time ago, and are sent again now. A
// signature has no end.
type capture struct {
	ago    time.Duration
	writer *writer
	book   *book
	audit  *audit
}

// replay sends captured requests again. That hours have passed since is made up in
// the store: it holds the events as a bridge has stored them that long ago.
func replay(ctx context.Context, l *lab) error {
	n, err := l.startNATS(ctx)
	if err != nil {
		return err
	}
	data := l.path("data")
	b, err := l.startExternal(ctx, data, n.url()) // makes the streams
	if err != nil {
		return err
	}
	if err := errors.Join(waitStream(ctx, n), b.stop(ctx)); err != nil {
		return err
	}
	older, err := l.storeCapture(ctx, n, 72*time.Hour, 69*time.Hour)
	if err != nil {
		return err
	}
	old, err := l.storeCapture(ctx, n, 3*time.Hour, 3*time.Hour)
	if err != nil {
		return err
	}
	// These are accepted now, for the first time and by the bridge itself.
	l.writer.completed = time.Now().Add(-fresh)
	if _, err = l.startExternal(ctx, data, n.url()); err != nil {
		return err
	}
	l.send(ctx)
	if err := errors.Join(l.reach(ctx, 1), l.rest(ctx)); err != nil {
		return err
	}
	l.heal()
	for _, c := range []*capture{old, older} {
		if err := l.sendAgain(ctx, c.writer, c.ago, "quarantined"); err != nil {
			return err
		}
	}
	if err := l.sendAgain(ctx, l.writer, fresh, resultDuplicate); err != nil {
		return err
	}
	return l.auditCaptures(ctx, n, old, older)
}

func waitStream(ctx context.Context, n *node) error {
	nc, err := n.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := streamState(ctx, nc)
		if err == nil {
			return nil
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// storeCapture puts events of some time ago into the stream, as the bridge has
// stored them then, and makes all that is stored older by that much.
func (l *lab) storeCapture(ctx context.Context, n *node, ago, older time.Duration) (*capture, error) {
	w, err := newWriter(fmt.Sprintf("%08x", rand.Uint32()), "127.0.0.1", l.writer.outputs, time.Now().Add(-ago))
	if err != nil {
		return nil, err
	}
	src, err := source.New(source.Config{Name: sourceName, Kind: "get3w", Secrets: [][]byte{[]byte(secret)}})
	if err != nil {
		return nil, err
	}
	nc, err := n.connect()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	c := &capture{ago: ago, writer: w, book: newBook()}
	c.audit = newAudit(w, c.book)
	for i := range captured {
		name, proof := w.sign(w.body(i))
		event, err := src.Accept(source.Delivery{
			Proof: bridge.Header{name: {proof}}, Body: w.body(i), ContentType: "application/json", ReceivedAt: w.completed, Origin: bridge.OriginWebhook,
		})
		if err != nil {
			return nil, fmt.Errorf("reading a webhook of %v ago: %w", ago, err)
		}
		header := nats.Header(event.Header())
		header[headerMsgID] = []string{event.MsgID()}
		subject := bridge.Names{}.Event(event.Source, event.Status, event.Model)
		if _, err := js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: header, Data: event.Body}); err != nil {
			return nil, fmt.Errorf("storing an event of %v ago: %w", ago, err)
		}
		c.book.begin()
		c.book.acknowledge(i, w.id(i), time.Now(), answer{resultStored, event.ID})
	}
	return c, errors.Join(n.stop(ctx), age(n.store, older), n.start(ctx))
}

// sendAgain sends the first requests of a writer that have an end once more, and
// has a bar on how they are answered.
func (l *lab) sendAgain(ctx context.Context, w *writer, ago time.Duration, want string) error {
	c := &client{addr: fmt.Sprintf("127.0.0.1:%d", l.port), timeout: newSchedule(l.faster).timeout}
	defer c.close()
	other := map[string]int{}
	for i := range min(captured, l.events) {
		if i%everyCreated == 1 && i%everyFailed != 1 {
			continue // it has no completion, by which its age could be known
		}
		a, err := c.post(ctx, w.request(i))
		switch r, refused := errors.AsType[*refusal](err); {
		case refused:
			other[r.why]++
		case a.Result != want:
			other[a.Result]++
		}
	}
	if len(other) > 0 {
		l.wrong("requests of %v ago should be answered as %s and were as %v", ago, want, other)
	} else {
		l.note("requests of %v ago were answered as %s", ago, want)
	}
	return ctx.Err()
}

// auditCaptures reads the stream for all the writers.
func (l *lab) auditCaptures(ctx context.Context, n *node, captures ...*capture) error {
	nc, err := n.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	own := newAudit(l.writer, l.book)
	err = readEvents(ctx, nc, func(subject string, header nats.Header, body []byte) {
		for _, c := range captures {
			if strings.HasPrefix(header.Get(headerSubject), "chaos_"+c.writer.run) {
				c.audit.add(subject, header, body)
				return
			}
		}
		own.add(subject, header, body)
	})
	found := own.result()
	for _, c := range captures {
		f := c.audit.result()
		found.stored += f.stored
		found.lost += f.lost
		found.twice += f.twice
		found.corrupt += f.corrupt
		found.examples = append(found.examples, f.examples...)
	}
	l.finding(found)
	return err
}
