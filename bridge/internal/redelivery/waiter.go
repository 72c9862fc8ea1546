package redelivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/quota"
	"github.com/hookspan/hookspan/bridge/internal/stream/requests"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"
	"github.com/hookspan/hookspan/internal/waitbudget"
)

const (
	waitersAtOnce = 16
	maxWaiting    = 1024
)

// waitsOfAll and waitsOfOne are the rates at which all other programs, and each, may let events
// wait. The burst is for a failed target, when everything fails at once.
var (
	waitsOfAll = quota.Rate{PerSecond: 400, Burst: 20_000}
	waitsOfOne = quota.Rate{PerSecond: 200, Burst: 10_000}
)

// WaiterConfig of a [Waiter].
type WaiterConfig struct {
	Names bridge.Names
	// Alarms is told when programs exceed their quota.
	Alarms bridge.Alarmer
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Waiter lets events wait for programs of other accounts. They publish as if to the stream
// itself, and get its answers. But no header that the server obeys goes on to the stream, for
// example one that removes the schedule of another consumer, and an event may only come back to
// the consumer that let it wait. Only stored events can wait, for an existing durable, within a
// quota. Any number of processes may run one.
type Waiter struct {
	js     jetstream.JetStream
	events streamread.Handle
	room   *waitbudget.Room
	quota  *quota.Quota
	cfg    WaiterConfig
}

// NewWaiter returns a waiter that is not running yet.
func NewWaiter(js jetstream.JetStream, cfg WaiterConfig) *Waiter {
	cfg.Logger = requests.Sampled(cmp.Or(cfg.Logger, zap.NewNop()).Named("waiter"))
	return &Waiter{js: js, room: waitbudget.NewRoom(js, cfg.Names), cfg: cfg, quota: quota.New(js, quota.Config{
		Names: cfg.Names, What: "waits of events", All: waitsOfAll, Each: waitsOfOne, Alarms: cfg.Alarms,
	})}
}

// Run answers requests until ctx ends, and returns nil.
func (w *Waiter) Run(ctx context.Context) error {
	return requests.Service{
		Subject: w.cfg.Names.AllWaits(), Group: "hookspan-waiter", What: "events that are to wait",
		AtOnce: waitersAtOnce, MaxWaiting: maxWaiting, Logger: w.cfg.Logger,
		Answer: func(ctx context.Context, request *nats.Msg) any { return w.answer(ctx, request) },
	}.Run(ctx, w.js.Conn)
}

type pubAck struct {
	Error    *jetstream.APIError `json:"error,omitempty"`
	Stream   string              `json:"stream"`
	Sequence uint64              `json:"seq"`
}

func (w *Waiter) answer(ctx context.Context, request *nats.Msg) any {
	answer := pubAck{Stream: w.cfg.Names.LaterStream()}
	sequence, err := w.keep(ctx, request)
	answer.Sequence = sequence
	if err != nil {
		answer.Error = w.explain(request.Subject, err)
	}
	if _, refused := errors.AsType[*refusal](err); refused || errors.Is(err, quota.ErrOver) {
		return requests.Slow{Answer: answer}
	}
	return answer
}

func (w *Waiter) explain(subject string, err error) *jetstream.APIError {
	if refused, ok := errors.AsType[*refusal](err); ok {
		w.cfg.Logger.Debug("an event may not wait", zap.String("subject", subject), zap.Error(err))
		return (*jetstream.APIError)(refused)
	}
	if errors.Is(err, waitbudget.ErrNoRoom) || errors.Is(err, quota.ErrOver) {
		return &jetstream.APIError{Code: 503, ErrorCode: natserr.NoResources, Description: err.Error() + ": have it come again earlier"}
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	if ok && api.Code == 400 { // the stream refuses it, for example as too large
		return api
	}
	w.cfg.Logger.Error("an event cannot be kept until its next attempt", zap.String("subject", subject), zap.Error(err))
	if ok {
		return api
	}
	return &jetstream.APIError{Code: 503, ErrorCode: natserr.StoreFailed, Description: "the stream of waiting events does not take it"}
}

// keep stores a waiting event and returns its sequence. The error is a [refusal] when the
// request is at fault.
func (w *Waiter) keep(ctx context.Context, request *nats.Msg) (uint64, error) {
	r, err := w.check(request, time.Now())
	if err != nil {
		return 0, err
	}
	m, err := w.message(ctx, r)
	if err != nil {
		return 0, err
	}
	if err := w.exists(ctx, r.consumer); err != nil {
		return 0, err
	}
	if err := w.quota.Take(ctx, r.consumer, m.Size()); err != nil {
		return 0, err
	}
	if err := w.room.Take(ctx, m.Size()); err != nil {
		return 0, err
	}
	ack, err := w.js.PublishMsg(ctx, m, jetstream.WithScheduleAt(r.at),
		jetstream.WithScheduleTarget(r.target), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("keeping an event until its time: %w", err)
	}
	if ack.Stream != w.cfg.Names.LaterStream() {
		return 0, fmt.Errorf("keeping an event until its time: stream %s took it instead of %s", ack.Stream, w.cfg.Names.LaterStream())
	}
	if r.copied[0] == 0 { // package consumers says what it copied, and tells of its attempts by itself
		tell(w.js, w.cfg.Names, r.consumer, r.event, bridge.Attempt{
			Sequence: r.again.Sequence, Try: max(r.again.Attempt-1, 0), Verdict: bridge.VerdictRetry, Next: r.at.UTC(),
		}, w.cfg.Logger)
	}
	return ack.Sequence, nil
}
