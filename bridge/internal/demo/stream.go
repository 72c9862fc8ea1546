package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What another team's program must know of the events. The demo reads them as
// such a program does, so it takes none of this from Hookspan's packages.
const (
	eventsStream    = "HOOKSPAN_EVENTS"
	subjectPrefix   = "hookspan.events." + sourceName + ".prediction."
	headerMsgID     = "Nats-Msg-Id"
	headerID        = "ce-id"
	headerSubject   = "ce-subject"
	headerStatus    = "ce-status"
	headerOrigin    = "ce-origin"
	headerSignature = "ce-signature"

	ownDurable = "demo"
)

// streamCounts is what the stream holds.
type streamCounts struct {
	events, completed, failed int
	// repeated is how many events have an id that another one has too.
	repeated int
	// intact is how many bodies are what was signed, to the byte.
	intact int
	// polled is how many say the end of a prediction whose webhook was lost, as the
	// provider answered it.
	polled int
}

// countStream reads every event with a durable of its own.
func (d *demo) countStream(ctx context.Context, p *plan, secret string) (streamCounts, error) {
	count := newStreamCount(p, secret)
	vars, err := d.natsEnv(ctx)
	if err != nil {
		return streamCounts{}, err
	}
	nc, err := nats.Connect(vars["NATS_URL"], nats.UserInfo(vars["NATS_USER"], vars["NATS_PASSWORD"]), nats.Name("hookspan-demo"))
	if err != nil {
		return streamCounts{}, fmt.Errorf("connecting to the events: %w", err)
	}
	defer nc.Close()
	if err := readEvents(ctx, nc, count.add); err != nil {
		return streamCounts{}, fmt.Errorf("reading the events: %w", err)
	}
	return count.result(), nil
}

// readEvents calls add for every event of a prediction, from the first one on.
func readEvents(ctx context.Context, nc *nats.Conn, add func(subject string, header nats.Header, body []byte)) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	durable, err := js.CreateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
		Durable:       ownDurable,
		FilterSubject: subjectPrefix + ">",
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
	})
	if err != nil {
		return err
	}
	for pending := durable.CachedInfo().NumPending; pending > 0; {
		msg, err := durable.Next(jetstream.FetchContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		pending = meta.NumPending
		add(msg.Subject(), msg.Headers(), msg.Data())
		if err := msg.DoubleAck(ctx); err != nil {
			return err
		}
	}
	return nil
}

// streamCount counts messages against the plan.
type streamCount struct {
	plan   *plan
	secret []byte
	counts streamCounts
	ids    map[string]bool
	msgIDs map[string]bool
}

func newStreamCount(p *plan, secret string) *streamCount {
	return &streamCount{plan: p, secret: []byte(secret), ids: map[string]bool{}, msgIDs: map[string]bool{}}
}

func (c *streamCount) add(subject string, header nats.Header, body []byte) {
	c.counts.events++
	c.ids[header.Get(headerID)] = true
	c.msgIDs[header.Get(headerMsgID)] = true
	rest, _ := strings.CutPrefix(subject, subjectPrefix)
	status, _, _ := strings.Cut(rest, ".")
	if status == header.Get(headerStatus) {
		switch status {
		case "completed":
			c.counts.completed++
		case "failed":
			c.counts.failed++
		}
	}
	if c.plan.predictions[header.Get(headerSubject)].lost && header.Get(headerOrigin) == "poll" && status == "completed" {
		c.counts.polled++
	}
	signed := c.plan.bodies[header.Get(headerSubject)]
	if bytes.Equal(body, signed) && verifies(body, header.Get(headerSignature), c.secret) {
		c.counts.intact++
	}
}

func (c *streamCount) result() streamCounts {
	counts := c.counts
	counts.repeated = counts.events - min(len(c.ids), len(c.msgIDs))
	return counts
}

// verifies is the provider's documented signature: the hex HMAC-SHA256 of the
// body.
func verifies(body []byte, signature string, secret []byte) bool {
	got, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), got)
}
