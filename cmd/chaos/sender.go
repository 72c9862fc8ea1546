package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
)

// Some webhooks come twice on purpose, as when an answer is lost on its way.
const (
	everyRepeated = 20 // again once it was acknowledged
	everyAtOnce   = 23 // two of it at the same time
)

// sender plays the provider: many webhooks, each delivered by its schedule until it is
// acknowledged or abandoned, over a bounded number of connections.
type sender struct {
	schedule sending.Schedule
	rate     int // new webhooks in a second at most
	writer   *writer
	book     *book

	idle chan *rig.Conn
	// finish begins no new webhooks from now on, stop ends everything that is under way.
	finish, stop context.CancelFunc
	done         chan struct{}
}

// start sends until the sender is told to finish. It has ended when every webhook that was
// begun is acknowledged or abandoned, or when ctx ends.
func (s *sender) start(ctx context.Context, addr string, conns int) {
	ctx, s.stop = context.WithCancel(ctx)
	beginning, finish := context.WithCancel(ctx)
	s.finish, s.idle, s.done = finish, make(chan *rig.Conn, conns), make(chan struct{})
	for range conns {
		s.idle <- &rig.Conn{Addr: addr, Timeout: s.schedule.Timeout}
	}
	go func() {
		defer close(s.done)
		s.run(ctx, beginning)
		for range conns {
			(<-s.idle).Close()
		}
	}()
}

func (s *sender) rest() {
	s.finish()
	<-s.done
}

// run begins webhooks at the pace of the rate. A sender that was held up does not make up
// for more than a second.
func (s *sender) run(ctx, beginning context.Context) {
	var open sync.WaitGroup
	defer open.Wait()
	for due := time.Now(); rig.Pause(beginning, time.Until(due)) == nil; due = due.Add(time.Second / time.Duration(s.rate)) {
		if held := time.Now().Add(-time.Second); due.Before(held) {
			due = held
		}
		c := s.connection(beginning)
		if c == nil {
			return
		}
		n := s.book.begin()
		open.Go(func() { s.deliver(ctx, n, c) })
		if n%everyAtOnce == 1 {
			open.Go(func() { s.attempt(ctx, n, s.connection(ctx)) })
		}
	}
}

// connection waits for one that nobody uses, and returns nil when ctx ends.
func (s *sender) connection(ctx context.Context) *rig.Conn {
	select {
	case c := <-s.idle:
		return c
	case <-ctx.Done():
		return nil
	}
}

// deliver tries webhook n, at first over c, until it is acknowledged or abandoned.
func (s *sender) deliver(ctx context.Context, n int, c *rig.Conn) {
	err := s.schedule.Deliver(ctx, func() bool {
		if c == nil {
			c = s.connection(ctx)
		}
		first, ok := s.attempt(ctx, n, c)
		if ok && first && n%everyRepeated == 1 {
			s.attempt(ctx, n, s.connection(ctx))
		}
		c = nil
		return ok
	})
	if errors.Is(err, sending.ErrAbandoned) {
		s.book.abandon(n)
	}
}

// attempt posts webhook n once, and reports whether that is acknowledged, and for the first time.
func (s *sender) attempt(ctx context.Context, n int, c *rig.Conn) (first, ok bool) {
	if c == nil {
		return false, false
	}
	defer func() { s.idle <- c }()
	begun := time.Now()
	result, event, why := sending.Outcome(c.Post(ctx, s.writer.request(n)))
	switch {
	case ctx.Err() != nil: // the connection was cut by us
	case why != "":
		s.book.refuse(why)
	default:
		return s.book.acknowledge(n, s.writer.id(n), begun, result, event), true
	}
	return false, false
}

// deadline is that of the bridge, by default.
const deadline = 5 * time.Second

// One webhook in so many is large, is not about success, or has text of all kinds.
const (
	everyLarge   = 100
	everyFailed  = 9
	everyCreated = 17
	everyUnicode = 7

	largeText   = 64 << 10
	typicalText = 620
)

// writer writes the webhooks of one run. Everything about one follows from its
// serial number, so that what was stored can be compared without keeping what was
// sent. It is safe for concurrent use.
type writer struct {
	// prefix begins every id, so that an event of another run is known for one.
	prefix    string
	completed func(n int) time.Time // when prediction n ended
	outputs   string                // the base address of their outputs
}

func newWriter() *writer {
	now := time.Now()
	return &writer{
		prefix: fmt.Sprintf("chaos_%08x_", rand.Uint32()), outputs: "https://cdn.get3w.com/outputs/",
		completed: func(int) time.Time { return now },
	}
}

func (w *writer) id(n int) string { return fmt.Sprintf("%s%08d", w.prefix, n) }

// serial is the inverse of id, and false for an id that is not of this run.
func (w *writer) serial(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, w.prefix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && w.id(n) == id
}

// webhook n has a body of about 1.2 kB typically.
func (w *writer) webhook(n int) sending.Webhook {
	r := rand.New(rand.NewPCG(uint64(n), 0)) //nolint:gosec,nolintlint // the bytes must be the same each time
	hook := sending.NewWebhook(w.id(n), "get3w/flux-dev", bridge.StatusCompleted, w.completed(n))
	hook.Input = map[string]any{"prompt": prompt(r, n), "size": "1536x1024", "seed": n, "guidance_scale": 3.5}
	switch {
	case n%everyFailed == 1:
		hook.Status, hook.Error = bridge.StatusFailed, "out of memory, tried "+strconv.Itoa(n)+" times"
	case n%everyCreated == 1:
		hook.Status, hook.CompletedAt = bridge.StatusCreated, ""
	default:
		hook.Outputs = []string{w.outputs + hook.ID + "/0.png", w.outputs + hook.ID + "/1.png?expires=1&sig=a"}
	}
	return hook
}

func (w *writer) body(n int) []byte { return w.webhook(n).Body() }

func (w *writer) request(n int) []byte {
	body := w.body(n)
	return rig.Request(body, rig.Sign(body))
}

func prompt(r *rand.Rand, n int) string {
	size := typicalText/2 + r.IntN(typicalText)
	if n%everyLarge == 1 {
		size = largeText
	}
	return sending.Text(r, size, n%everyUnicode == 1)
}
