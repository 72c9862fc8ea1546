package redelivery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// maxWait is how long an event may wait: the longest wait of consumers in Go, and a margin
	// for clocks.
	maxWait = 7*24*time.Hour + time.Minute
	// maxTailTokens bounds the part of a subject after the consumer: that of an event has up to
	// twelve tokens.
	maxTailTokens = 16
	// maxRefusal bounds an error text to a client, in bytes.
	maxRefusal = 512
)

// refusal is the error that the client gets.
type refusal jetstream.APIError

func (r *refusal) Error() string { return r.Description }

func refuse(code jetstream.ErrorCode, format string, args ...any) error {
	return &refusal{Code: 400, ErrorCode: code, Description: printable.Truncate(fmt.Sprintf(format, args...), maxRefusal)}
}

// waitRequest is a valid request whose event may not be stored.
type waitRequest struct {
	consumer string
	subject  string // where the event is to wait
	target   string // where the event goes when due
	at       time.Time
	again    bridge.Again
	event    *bridge.Event
	// copied are the sequences where the original message may be, the most likely first.
	copied []uint64
}

// check reads a request. The error is a [refusal].
func (w *Waiter) check(request *nats.Msg, now time.Time) (*waitRequest, error) {
	n := w.cfg.Names
	consumer, subject := n.ParseWait(request.Subject)
	if consumer == "" || !isTail(subject, n.LaterOf(consumer)) {
		return nil, refuse(jetstream.JSErrCodeBadRequest, "publish to %s and one token, the stream sequence of the message", strings.TrimSuffix(n.LaterOf("<consumer>"), ">"))
	}
	at, err := parseSchedule(request.Header.Get(jetstream.ScheduleHeader), now)
	if err != nil {
		return nil, err
	}
	header := bridge.Header(request.Header)
	event, err := bridge.DecodeEvent(header, request.Data)
	if err != nil {
		return nil, refuse(jetstream.JSErrCodeBadRequest, "copy the body and the headers of the event: %v", err)
	}
	again, err := bridge.DecodeAgain(header)
	if err != nil {
		return nil, refuse(jetstream.JSErrCodeBadRequest, "copy the headers of the event: %v", err)
	}
	token, _ := strconv.ParseUint(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64)
	return &waitRequest{
		consumer: consumer, subject: subject, target: request.Header.Get(jetstream.ScheduleTargetHeader), at: at,
		again: again, event: event, copied: []uint64{again.Copied, token, again.Sequence},
	}, nil
}

// message returns the waiting message, made of the stored message and not of the request. The
// error is a [refusal] when there is no such message.
func (w *Waiter) message(ctx context.Context, r *waitRequest) (*nats.Msg, error) {
	found, err := w.stored(ctx, r)
	if err != nil {
		return nil, err
	}
	if target := w.cfg.Names.Due(r.consumer, found.Subject); r.target != target {
		return nil, refuse(jetstream.JSErrCodeScheduleTargetInvalid, "%s must be %s: the event's subject after its first two tokens, or three if the second is again",
			jetstream.ScheduleTargetHeader, target)
	}
	header := bridge.Header(found.Header)
	was, err := bridge.DecodeAgain(header)
	if err != nil {
		return nil, fmt.Errorf("reading the event that is to wait: %w", err)
	}
	r.again.Sequence, r.again.Copied = cmp.Or(was.Sequence, found.Sequence), 0
	return &nats.Msg{Subject: r.subject, Header: nats.Header(r.again.Header(header)), Data: found.Data}, nil
}

func (w *Waiter) stored(ctx context.Context, r *waitRequest) (*jetstream.RawStreamMsg, error) {
	stream, err := w.events.Open(ctx, w.js, w.cfg.Names.EventsStream())
	if err != nil {
		return nil, fmt.Errorf("looking for the event that is to wait: %w", err)
	}
	for i, seq := range r.copied {
		if seq == 0 || slices.Contains(r.copied[:i], seq) {
			continue
		}
		found, err := streamread.Get(ctx, stream, seq)
		if errors.Is(err, bridge.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the event that is to wait: %w", err)
		}
		e, err := bridge.DecodeEvent(bridge.Header(found.Header), found.Data)
		if err == nil && e.ID == r.event.ID && e.Source == r.event.Source && bytes.Equal(e.Body, r.event.Body) && w.mayRead(r.consumer, found.Subject) {
			return found, nil
		}
	}
	return nil, refuse(jetstream.JSErrCodeBadRequest, "only an event that is stored can wait: its stream sequence is the last token of the subject, and body and headers are those of the message")
}

// mayRead reports whether the message is not one that comes again for another consumer.
func (w *Waiter) mayRead(consumer, subject string) bool {
	return !w.cfg.Names.IsAgain(subject) || strings.HasPrefix(subject, strings.TrimSuffix(w.cfg.Names.AllAgain(consumer), ">"))
}

// exists returns a [refusal] if the consumer has no durable.
func (w *Waiter) exists(ctx context.Context, consumer string) error {
	_, err := w.js.Consumer(ctx, w.cfg.Names.EventsStream(), consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return refuse(jetstream.JSErrCodeBadRequest, "there is no durable %s: an event can only wait for a durable that exists", consumer)
	}
	if err != nil {
		return fmt.Errorf("looking at the durable of consumer %s: %w", consumer, err)
	}
	return nil
}

// parseSchedule reads "@at" and an RFC 3339 time, the only schedule allowed. A past time counts
// as now.
func parseSchedule(text string, now time.Time) (time.Time, error) {
	clock, ok := strings.CutPrefix(text, "@at ")
	at, err := time.Parse(time.RFC3339, clock)
	if !ok || err != nil {
		return now, refuse(jetstream.JSErrCodeSchedulePatternInvalid, "%s must be @at and a time such as @at 2026-01-31T15:04:05Z", jetstream.ScheduleHeader)
	}
	if at.After(now.Add(maxWait)) {
		return now, refuse(jetstream.JSErrCodeSchedulePatternInvalid, "%s is %s: an event can wait for 7 days", jetstream.ScheduleHeader, clock)
	}
	if at.Before(now) {
		at = now
	}
	return at, nil
}

// isTail reports whether subject matches pattern, which ends in ">", with a few legal tokens
// for the ">".
func isTail(subject, pattern string) bool {
	tail, ok := strings.CutPrefix(subject, strings.TrimSuffix(pattern, ">"))
	tokens := strings.Split(tail, ".")
	for _, token := range tokens {
		if _, err := bridge.DecodeToken(token); err != nil && !errors.Is(err, bridge.ErrShortened) {
			return false
		}
	}
	return ok && len(tokens) <= maxTailTokens
}
