package consumers

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/bridge"
)

// maxHistory bounds a dead letter's history as it travels, in bytes; the whole
// header of a message can have 64 KiB.
const maxHistory = 32 << 10

// bury makes a dead letter of the event and ends its delivery, in this order: a
// crash in between makes the same letter again, which the stream knows by its
// id. Without the letter the event is not ended, it comes again.
func (a *attempt) bury(ctx context.Context, cause Cause, took time.Duration) error {
	past := a.past
	if a.event != nil {
		past = past.with(a.event.ID, a.failed(took))
	}
	if err := a.consumer.publishDead(ctx, a.deadLetter(cause, past)); err != nil {
		if a.event == nil {
			return errors.Join(err, a.msg.NakWithDelay(a.consumer.cfg.Retry.longest()))
		}
		return errors.Join(err, a.retry(ctx, a.consumer.cfg.Retry.longest(), took))
	}
	known := a.past.Failures > 0
	a.past = past
	if err := a.msg.TermWithReason(string(cause)); err != nil {
		return fmt.Errorf("ending the delivery of a dead letter: %w", err)
	}
	if known {
		return a.ledger.forget(ctx, a.event.ID)
	}
	return nil
}

// publishDead returns when the letter is in the stream of dead letters. That the
// stream knows its id is no proof: the letter may have been removed since, or
// somebody else may have used the id.
func (c *Consumer) publishDead(ctx context.Context, letter *nats.Msg) error {
	ack, err := c.js.PublishMsg(ctx, letter)
	if err == nil && ack.Duplicate && !c.isThere(ctx, letter, ack.Sequence) {
		id := letter.Header[bridge.HeaderMsgID][0]
		letter.Header[bridge.HeaderMsgID] = []string{id + ":" + rand.Text()}
		ack, err = c.js.PublishMsg(ctx, letter)
	}
	if err != nil {
		return fmt.Errorf("publishing a dead letter: %w", err)
	}
	if ack.Stream != c.names.DeadStream() {
		return fmt.Errorf("publishing a dead letter: stream %s took it instead of %s", ack.Stream, c.names.DeadStream())
	}
	return nil
}

func (c *Consumer) isThere(ctx context.Context, letter *nats.Msg, sequence uint64) bool {
	stream, err := c.js.Stream(ctx, c.names.DeadStream())
	if err != nil {
		return false
	}
	there, err := stream.GetMsg(ctx, sequence)
	return err == nil && there.Subject == letter.Subject && bytes.Equal(there.Data, letter.Data)
}

// deadLetter is the event with why it died. Its message id is made of consumer
// and event, never of a place in the stream: the event can lie there again.
func (a *attempt) deadLetter(cause Cause, past record) *nats.Msg {
	h := bridge.Header(a.msg.Headers()).Republish()
	id := "undecodable:" + digest(a.msg.Subject(), a.msg.Data())
	if a.event != nil {
		id = a.event.ID
	}
	h[bridge.HeaderMsgID] = []string{bridge.MsgID("dead", a.consumer.cfg.Name, id, "0")}
	h.Set(bridge.HeaderDeadCause, string(cause))
	if a.err != nil {
		h.Set(bridge.HeaderDeadError, truncate(a.err.Error(), maxError))
	}
	h.Set(bridge.HeaderDeadAttempts, strconv.Itoa(past.Failures))
	h.Set(bridge.HeaderDeadSubject, a.msg.Subject())
	if meta, err := a.msg.Metadata(); err == nil {
		h.Set(bridge.HeaderDeadSeq, strconv.FormatUint(meta.Sequence.Stream, 10))
	}
	if text := history(past.Attempts); text != "" {
		h.Set(bridge.HeaderDeadHistory, text)
	}
	return &nats.Msg{
		Subject: a.consumer.names.Dead(a.consumer.cfg.Name, a.msg.Subject()),
		Header:  nats.Header(h),
		Data:    a.msg.Data(),
	}
}

// history is the attempts as JSON; the oldest but the first are left out until
// it fits.
func history(attempts []failedAttempt) string {
	for len(attempts) > 0 {
		text, err := json.Marshal(attempts)
		if err != nil {
			return ""
		}
		if bridge.EncodedLen(string(text)) <= maxHistory {
			return string(text)
		}
		if len(attempts) == 1 {
			return ""
		}
		attempts = append(attempts[:1:1], attempts[2:]...)
	}
	return ""
}

func digest(subject string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(subject))
	h.Write([]byte{0})
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
