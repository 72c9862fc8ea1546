package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// Some webhooks come twice on purpose, as when an answer is lost on its way.
const (
	everyRepeated = 20 // again once it was acknowledged
	everyAtOnce   = 23 // two of it at the same time
)

// sender plays the provider: many webhooks, each delivered by its schedule until it is
// acknowledged or abandoned, over a bounded number of connections.
type sender struct {
	schedule schedule
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
		s.idle <- &rig.Conn{Addr: addr, Timeout: s.schedule.timeout}
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
	for attempt := 0; ; attempt++ {
		first, ok := s.attempt(ctx, n, c)
		if ok && first && n%everyRepeated == 1 {
			s.attempt(ctx, n, s.connection(ctx))
		}
		if ok || ctx.Err() != nil {
			return
		}
		if attempt == len(s.schedule.gaps) {
			s.book.abandon(n)
			return
		}
		if rig.Pause(ctx, s.schedule.gaps[attempt]) != nil {
			return
		}
		c = s.connection(ctx)
	}
}

// attempt posts webhook n once, and reports whether that is acknowledged, and for the first time.
func (s *sender) attempt(ctx context.Context, n int, c *rig.Conn) (first, ok bool) {
	if c == nil {
		return false, false
	}
	defer func() { s.idle <- c }()
	begun := time.Now()
	result, event, why := post(ctx, c, s.writer.request(n))
	switch {
	case ctx.Err() != nil: // the connection was cut by us
	case why != "":
		s.book.refuse(why)
	default:
		return s.book.acknowledge(n, s.writer.id(n), begun, result, event), true
	}
	return false, false
}

// post returns what a 200 says, or why there was none: a status, or the end of the connection.
func post(ctx context.Context, c *rig.Conn, request []byte) (result, event, why string) {
	a, err := c.Post(ctx, request)
	for _, ended := range []error{rig.ErrNoConnection, rig.ErrNoAnswer, rig.ErrLost} {
		if errors.Is(err, ended) {
			return "", "", ended.Error()
		}
	}
	if a.Status != http.StatusOK {
		return "", "", strconv.Itoa(a.Status)
	}
	if result, event, err = a.Result(); err != nil {
		return "", "", "unreadable answer"
	}
	return result, event, ""
}

// The provider documents attempts at once and 10, 30 and 60 s after one another,
// waits 30 s for each answer and then gives the webhook up.
var providerGaps = []time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second}

const (
	// minTimeout is the shortest wait for an answer: the bridge's own deadline of
	// 5 s is not scaled, so the sender's must stay behind it as it does in life.
	minTimeout = 8 * time.Second
	deadline   = 5 * time.Second // that of the bridge, by default
)

// schedule is when a sender tries again, with its time scaled: the gaps are between the
// end of an attempt and the beginning of the next, timeout is how long an answer is waited
// for.
type schedule struct {
	gaps    []time.Duration
	timeout time.Duration
}

func newSchedule(faster int) schedule {
	s := schedule{timeout: max(rig.AnswerTimeout/time.Duration(faster), minTimeout)}
	for _, gap := range providerGaps {
		s.gaps = append(s.gaps, gap/time.Duration(faster))
	}
	return s
}

// span is how long the sender tries, when each attempt takes that long. An outage
// that is longer outlives every retry.
func (s schedule) span(attempt time.Duration) time.Duration {
	sum := attempt
	for _, gap := range s.gaps {
		sum += gap + attempt
	}
	return sum
}

// One webhook in so many is large, is not about success, or has text of all kinds.
const (
	everyLarge   = 100
	everyFailed  = 9
	everyCreated = 17
	everyUnicode = 7

	largeText   = 64 << 10
	typicalText = 620
)

// letters are what prompts are made of; the second set has what is hard to carry:
// quotes, escapes, other scripts, joined and combined characters, separators.
var (
	letters = []rune("abcdefghijklmnopqrstuvwxyz      ,.")
	unicode = []rune("aé ß漢字かな한글עברית العربية🌊👩‍🚀\u0301\u2028\u2029\u200f\u0000\u001f\t\n\r\\\"/<>&'%\x7f\ufffd\U0010ffff")
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
func (w *writer) webhook(n int) rig.Webhook {
	r := rand.New(rand.NewPCG(uint64(n), 0)) //nolint:gosec,nolintlint // the bytes must be the same each time
	hook := rig.NewWebhook(w.id(n), "get3w/flux-dev", bridge.StatusCompleted, w.completed(n))
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
	size, set := typicalText/2+r.IntN(typicalText), letters
	if n%everyUnicode == 1 {
		set = unicode
	}
	if n%everyLarge == 1 {
		size = largeText
	}
	var text strings.Builder
	for text.Len() < size {
		text.WriteRune(set[r.IntN(len(set))])
	}
	return text.String()
}
