package main

import (
	"bytes"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/signing"
)

// What a program of another team must know of the events beside what the rig knows.
const (
	predictionPrefix = rig.EventsPrefix + "prediction."
	headerStatus     = "ce-status"
	headerOrigin     = "ce-origin"
	headerSignature  = "ce-signature"
)

// countStream counts the messages that read calls its argument with against the plan.
func (p *plan) countStream(c counts, read func(add func(subject string, header nats.Header, body []byte)) error) error {
	ids, msgIDs := map[string]bool{}, map[string]bool{}
	err := read(func(subject string, header nats.Header, body []byte) {
		c[events]++
		ids[header.Get(rig.HeaderEventID)] = true
		msgIDs[header.Get(rig.HeaderMsgID)] = true
		prediction, rest := header.Get(rig.HeaderSubject), strings.TrimPrefix(subject, predictionPrefix)
		status, _, _ := strings.Cut(rest, ".")
		switch {
		case status != header.Get(headerStatus): // neither
		case status == bridge.StatusCompleted:
			c[completedEvents]++
		case status == bridge.StatusFailed:
			c[failedEvents]++
		}
		if p.predictions[prediction].lost && header.Get(headerOrigin) == bridge.OriginPoll && status == bridge.StatusCompleted {
			c[polled]++
		}
		if p.sent(prediction, body, header.Get(headerSignature)) {
			c[intact]++
		}
	})
	c[repeated] = c[events] - int64(min(len(ids), len(msgIDs)))
	return err
}

// sent reports whether this is the body that was sent of the prediction, to the byte, with
// a signature that verifies again.
func (p *plan) sent(id string, body []byte, signature string) bool {
	return bytes.Equal(body, p.bodies[id]) && signing.Verify(signature, body, []byte(rig.Secret))
}
