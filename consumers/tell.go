package consumers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// tellEvery is how often attempts are told, unless a whole block of them waits before.
	tellEvery = 200 * time.Millisecond
	// maxUntold bounds the attempts that wait to be told. An attempt has 200 B to 3 KiB.
	maxUntold = 4 * bridge.MaxAttempts
)

// teller tells of attempts after they have ended, on core NATS, so that a view can show them.
// Handling never waits for the teller and never fails by it: attempts that cannot be told are
// counted. It is safe for concurrent use.
type teller struct {
	subject string
	conn    func() *nats.Conn // returns the current connection
	untold  prometheus.Counter
	log     *slog.Logger
	every   time.Duration // tellEvery, except in tests
	some    chan struct{} // holds one value when attempts wait
	full    chan struct{} // holds one value when a whole block waits
	denied  sync.Once     // the log says it once

	flushing sync.Mutex // blocks go out one after the other, and flush returns behind the last

	mu      sync.Mutex // held for no longer than an append
	waiting []bridge.Attempt
}

func newTeller(c *Consumer) *teller {
	return &teller{
		subject: c.names.AttemptsTold(c.cfg.Name), conn: c.js.Conn, untold: c.metrics.untold, log: c.log,
		every: tellEvery, some: make(chan struct{}, 1), full: make(chan struct{}, 1),
	}
}

func (t *teller) tell(a bridge.Attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) >= maxUntold {
		t.untold.Inc()
		return
	}
	t.waiting = append(t.waiting, a)
	signal(t.some)
	if len(t.waiting) >= bridge.MaxAttempts {
		signal(t.full)
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run costs nothing while no attempt ends.
func (t *teller) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.some:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(t.every):
		case <-t.full:
		}
		t.flush()
	}
}

// flush hands what waits to the connection. While the connection is away the attempts go on
// waiting: in the connection's buffer they would take the room of acknowledgements.
func (t *teller) flush() {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	conn := t.conn()
	if !conn.IsConnected() {
		signal(t.some)
		return
	}
	t.mu.Lock()
	waiting := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	if t.mayNot(conn) {
		t.untold.Add(float64(len(waiting)))
		return
	}
	for block := range slices.Chunk(waiting, bridge.MaxAttempts) {
		t.publish(conn, block)
	}
}

// publish halves a block that is too large, or that holds an attempt that cannot be encoded,
// until the rest is told. An event that no bridge stored may have an id beyond every limit.
func (t *teller) publish(conn *nats.Conn, block []bridge.Attempt) {
	data, err := bridge.EncodeAttempts(block)
	if err == nil {
		err = conn.Publish(t.subject, data)
	}
	switch {
	case err == nil:
	case len(block) > 1 && conn.IsConnected():
		t.publish(conn, block[:len(block)/2])
		t.publish(conn, block[len(block)/2:])
	default:
		t.untold.Add(float64(len(block)))
		t.log.Debug("attempts are not told", slog.Int("attempts", len(block)), slog.Any("error", err))
	}
}

// mayNot reports whether the server has just refused such a message. Each refusal is a line in
// the logs of the server and of the program, so the teller rests until the connection has
// another error or is made anew.
func (t *teller) mayNot(conn *nats.Conn) bool {
	err := conn.LastError()
	if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `Publish to "`+t.subject+`"`) {
		return false
	}
	t.denied.Do(func() {
		t.log.Warn("the NATS user may not tell of attempts, so nobody sees them: let it publish to the subject", slog.String("subject", t.subject))
	})
	return true
}

// tell tells of an attempt that has ended, or of a dead letter that was made without one.
func (a *attempt) tell(v Verdict, took time.Duration) {
	if a.event == nil || v.Action == ActionDone && a.info.Number == 0 { // not an event, or told when it was done
		return
	}
	if v.Action == ActionDead && !a.next.IsZero() { // the dead letter could not be stored
		v.Action = ActionRetry
	}
	told := a.about(v.Action.String(), took)
	told.Next = a.next.UTC()
	if !a.blind {
		told.Try = a.info.Number
	}
	if a.err != nil {
		// A clone does not keep a huge error in memory.
		told.Error = strings.Clone(printable.Truncate(a.err.Error(), attemptrecord.MaxError))
	}
	a.consumer.teller.tell(told)
}

func (a *attempt) about(verdict string, took time.Duration) bridge.Attempt {
	seq := a.seq
	if a.isAgain {
		seq = a.again.Sequence
	}
	return bridge.Attempt{
		Event: a.event.ID, Source: a.event.Source, Prediction: a.event.PredictionID, Sequence: seq,
		At: a.started.Add(took).UTC(), Took: took.Seconds(), Verdict: verdict,
	}
}
