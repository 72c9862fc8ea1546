package redelivery

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Codes of the JetStream API, as nats-server 2.15 has them.
const (
	codeBadRequest      = 10003
	codeNoResources     = 10023
	codeStoreFailed     = 10077
	codeScheduleInvalid = 10189
	codeTargetInvalid   = 10190
)

const (
	// maxWait is how long an event may wait: as long as a consumer of ours may let
	// it, and what clocks differ by.
	maxWait = 7*24*time.Hour + time.Minute
	// maxTailTokens bounds a subject behind its consumer: the longest one of an event
	// has twelve.
	maxTailTokens = 16
	// maxRefusal bounds what a client is told, in bytes.
	maxRefusal = 512
)

// refusal is why a request is refused, as its client is told.
type refusal jetstream.APIError

func (r *refusal) Error() string { return r.Description }

func refuse(code jetstream.ErrorCode, format string, args ...any) error {
	return &refusal{Code: 400, ErrorCode: code, Description: bridge.Truncate(fmt.Sprintf(format, args...), maxRefusal)}
}

// check returns what may wait of a request, and until when. The error is a [refusal].
func (w *Waiter) check(request *nats.Msg, now time.Time) (*nats.Msg, time.Time, error) {
	n := w.cfg.Names
	consumer, subject := n.ParseWait(request.Subject)
	if consumer == "" || !isTail(subject, n.LaterOf(consumer)) {
		return nil, now, refuse(codeBadRequest, "publish to %s and one token of letters, digits, _ and -, such as the event's stream sequence",
			strings.TrimSuffix(n.LaterOf("<consumer>"), ">"))
	}
	at, err := parseSchedule(request.Header.Get(jetstream.ScheduleHeader), now)
	if err != nil {
		return nil, now, err
	}
	due, _ := n.ParseDue(request.Header.Get(jetstream.ScheduleTargetHeader))
	if due != consumer || !isTail(request.Header.Get(jetstream.ScheduleTargetHeader), n.DueOf(consumer)) {
		return nil, now, refuse(codeTargetInvalid, "%s must be %s and the event's subject after its first two tokens, or three if the second is again",
			jetstream.ScheduleTargetHeader, strings.TrimSuffix(n.DueOf(consumer), ">"))
	}
	header := bridge.Header(request.Header)
	if _, err := bridge.DecodeEvent(header, request.Data); err != nil {
		return nil, now, refuse(codeBadRequest, "copy the body and the headers of the event: %v", err)
	}
	again, err := bridge.DecodeAgain(header)
	if err != nil {
		return nil, now, refuse(codeBadRequest, "copy the headers of the event: %v", err)
	}
	return &nats.Msg{Subject: subject, Header: nats.Header(again.Header(header)), Data: request.Data}, at, nil
}

// parseSchedule reads "@at" and a time of RFC 3339, the one schedule that an event may
// have. What is over is now.
func parseSchedule(text string, now time.Time) (time.Time, error) {
	clock, ok := strings.CutPrefix(text, "@at ")
	at, err := time.Parse(time.RFC3339, clock)
	if !ok || err != nil {
		return now, refuse(codeScheduleInvalid, "%s must be @at and a time such as @at 2026-01-31T15:04:05Z", jetstream.ScheduleHeader)
	}
	if at.After(now.Add(maxWait)) {
		return now, refuse(codeScheduleInvalid, "%s is %s: an event can wait for 7 days", jetstream.ScheduleHeader, clock)
	}
	if at.Before(now) {
		at = now
	}
	return at, nil
}

// isTail reports whether subject is the pattern, which ends in ">", with a few legal
// tokens in the place of that.
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
