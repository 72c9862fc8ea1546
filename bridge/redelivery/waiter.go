package redelivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/later"
)

const (
	// waiterGroup is the queue group by which processes share requests.
	waiterGroup = "hookspan-waiter"
	// Requests that are worked on at once, and those that may wait for that; what is
	// beyond is not answered, and its client tries again.
	waitersAtOnce       = 16
	maxWaiting          = 1024
	maxWaitingBytes     = 32 << 20
	waitTimeout         = 4 * time.Second // clients wait for 5 s
	maxReplyInLogBytes  = 128
	inboxes, importedTo = "_INBOX", "_R_."
)

// WaiterConfig of a [Waiter].
type WaiterConfig struct {
	Names bridge.Names
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Waiter lets events wait for programs of other accounts. They publish as if to the
// stream itself, and are answered as the stream answers; but a header that the server
// obeys, such as one that removes the schedule of another consumer, goes no further,
// and what waits may only come back to the consumer that it is of. Any number of
// processes may run one.
type Waiter struct {
	js   jetstream.JetStream
	room *later.Room
	cfg  WaiterConfig
}

// NewWaiter returns a waiter that is not running yet.
func NewWaiter(js jetstream.JetStream, cfg WaiterConfig) *Waiter {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("waiter")
	return &Waiter{js: js, room: later.NewRoom(js, cfg.Names), cfg: cfg}
}

// Run answers requests until ctx ends, and returns nil. It returns an error when the
// connection was closed for good.
func (w *Waiter) Run(ctx context.Context) error {
	requests, err := w.js.Conn().QueueSubscribeSync(w.cfg.Names.AllWaits(), waiterGroup)
	if err != nil {
		return fmt.Errorf("listening for events that are to wait: %w", err)
	}
	var working sync.WaitGroup
	defer working.Wait()
	defer func() { _ = requests.Unsubscribe() }()
	if err := requests.SetPendingLimits(maxWaiting, maxWaitingBytes); err != nil {
		return fmt.Errorf("listening for events that are to wait: %w", err)
	}
	slots := make(chan struct{}, waitersAtOnce)
	for {
		slots <- struct{}{} // first, so that what is beyond stays where it is bounded
		request, err := requests.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			w.cfg.Logger.Warn("too many events are to wait at once, some requests are not answered")
			<-slots
			continue
		case err != nil:
			return fmt.Errorf("listening for events that are to wait: %w", err)
		}
		// What has begun is finished when the program is told to stop.
		working.Go(func() {
			defer func() { <-slots }()
			w.serve(context.WithoutCancel(ctx), request)
		})
	}
}

// pubAck is the answer of a stream to a publish.
type pubAck struct {
	Error    *jetstream.APIError `json:"error,omitempty"`
	Stream   string              `json:"stream"`
	Sequence uint64              `json:"seq"`
}

func (w *Waiter) serve(ctx context.Context, request *nats.Msg) {
	// Nobody has checked the reply subject: an answer to one that is no inbox would
	// be published with our rights.
	if r := request.Reply; r != "" && !strings.HasPrefix(r, inboxes) && !strings.HasPrefix(r, importedTo) {
		w.cfg.Logger.Warn("a request asks for an answer to what is no inbox, it is ignored",
			zap.String("subject", request.Subject), zap.String("reply", bridge.Truncate(r, maxReplyInLogBytes)))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	answer := pubAck{Stream: w.cfg.Names.LaterStream()}
	sequence, err := w.keep(ctx, request)
	answer.Sequence = sequence
	if err != nil {
		answer.Error = w.explain(request.Subject, err)
	}
	text, err := json.Marshal(answer)
	if err == nil && request.Reply != "" {
		err = request.Respond(text)
	}
	if err != nil {
		w.cfg.Logger.Warn("a request to let an event wait is not answered", zap.String("subject", request.Subject), zap.Error(err))
	}
}

// explain is err as a client of JetStream knows errors.
func (w *Waiter) explain(subject string, err error) *jetstream.APIError {
	if refused, ok := errors.AsType[*refusal](err); ok {
		w.cfg.Logger.Debug("an event may not wait", zap.String("subject", subject), zap.Error(err))
		return (*jetstream.APIError)(refused)
	}
	if errors.Is(err, later.ErrNoRoom) {
		return &jetstream.APIError{Code: 503, ErrorCode: codeNoResources, Description: err.Error() + ": have it come again earlier"}
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	if ok && api.Code == 400 { // the stream refuses it, too large for example
		return api
	}
	w.cfg.Logger.Error("an event cannot be kept until its next attempt", zap.String("subject", subject), zap.Error(err))
	if ok {
		return api
	}
	return &jetstream.APIError{Code: 503, ErrorCode: codeStoreFailed, Description: "the stream of waiting events does not take it"}
}

// keep returns where the event lies in the stream of waiting events. The error is a
// [refusal] when the request is to blame.
func (w *Waiter) keep(ctx context.Context, request *nats.Msg) (uint64, error) {
	m, at, err := w.check(request, time.Now())
	if err != nil {
		return 0, err
	}
	if err := w.room.Take(ctx, m.Size()); err != nil {
		return 0, err
	}
	ack, err := w.js.PublishMsg(ctx, m, jetstream.WithScheduleAt(at),
		jetstream.WithScheduleTarget(request.Header.Get(jetstream.ScheduleTargetHeader)), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("keeping an event until its time: %w", err)
	}
	if ack.Stream != w.cfg.Names.LaterStream() {
		return 0, fmt.Errorf("keeping an event until its time: stream %s took it instead of %s", ack.Stream, w.cfg.Names.LaterStream())
	}
	return ack.Sequence, nil
}
