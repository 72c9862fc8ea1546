// Package forward is the consumer that posts each event to one service over HTTP: as a
// CloudEvent, signed by Standard Webhooks, with an idempotency key that is the same for every
// attempt.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/dialguard"
	"github.com/hookspan/hookspan/internal/freshconn"
	"github.com/hookspan/hookspan/internal/printable"
)

// alarmAfter is how long a target fails before an alarm is raised.
const alarmAfter = time.Minute

var (
	errPaused  = errors.New("the target fails and is left alone for a while")
	errTimeout = errors.New("no answer in time")
)

// maxError bounds the text of an error, in bytes: net/http repeats an answer that is not HTTP,
// each byte of it as four.
const maxError = 512

// shortError truncates the text of an error for the log.
type shortError struct{ err error }

func (e shortError) Error() string { return printable.Truncate(e.err.Error(), maxError) }
func (e shortError) Unwrap() error { return e.err }

// Forwarder posts events to one target. It is a [consumers.Handler], a
// [consumers.Gate] and a [consumers.Blocker].
type Forwarder struct {
	name      string
	target    string // scheme and host: the rest of the address may hold a secret
	mode      Mode
	userAgent []string
	timeout   time.Duration
	// bodyTime bounds the wait for the body of an answer: the status is known by then, and it
	// decides what becomes of the event.
	bodyTime  time.Duration
	refuse    map[int]bool
	template  *http.Request
	transport *freshconn.Transport
	keys      atomic.Pointer[[][]byte]
	breaker   *breaker
	alarms    bridge.Alarmer
	log       *slog.Logger
	metrics   metrics

	mu     sync.Mutex
	raised map[string]bool // kinds of alarms whose causes hold, as far as known
}

var (
	_ consumers.Handler = (*Forwarder)(nil)
	_ consumers.Gate    = (*Forwarder)(nil)
	_ consumers.Blocker = (*Forwarder)(nil)
)

// New checks cfg and returns a forwarder that has not called its target yet. The error names the
// field that cannot be used. The caller calls Close.
func New(cfg Config) (*Forwarder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	template, err := http.NewRequestWithContext(context.Background(), http.MethodPost, cfg.URL, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("consumer %s: url: it cannot be asked: write one such as https://billing.example.com/hooks", cfg.Name)
	}
	f := &Forwarder{
		name:      cfg.Name,
		target:    template.URL.Scheme + "://" + template.URL.Host,
		mode:      cfg.Mode,
		userAgent: []string{cfg.UserAgent},
		timeout:   cfg.Timeout,
		bodyTime:  5 * time.Second,
		refuse:    make(map[int]bool),
		template:  template,
		transport: freshconn.New(newTransport(cfg, template.URL.Scheme == "http"), 0),
		alarms:    cfg.Alarms,
		log:       cfg.Logger,
		raised:    map[string]bool{},
	}
	// A request that the transport sends again would be a second attempt, see newRequest.
	template.GetBody = nil
	for _, status := range cfg.Refuse {
		f.refuse[status] = true
	}
	if err := f.SetSecrets(cfg.Secrets); err != nil {
		return nil, fmt.Errorf("consumer %s: secrets: %w", cfg.Name, err)
	}
	f.breaker = newBreaker(cfg.Breaker, f.tell)
	f.metrics = newMetrics(cfg.Name, f.breaker)
	return f, nil
}

// SetSecrets replaces the secrets that sign, see [Config]. After an error nothing has changed.
// SetSecrets is safe while events are handled.
func (f *Forwarder) SetSecrets(secrets [][]byte) error {
	keys, err := parseSecrets(secrets)
	if err != nil {
		return err
	}
	f.keys.Store(keys)
	return nil
}

// Collectors returns the metrics: hookspan_forward_request_seconds and
// hookspan_forward_breaker_state.
func (f *Forwarder) Collectors() []prometheus.Collector { return f.metrics.collectors() }

// Close closes idle connections. Call Close when no event is handled any more.
func (f *Forwarder) Close() error {
	f.transport.CloseIdleConnections()
	return nil
}

// Wait returns when an event may be fetched, or when ctx ends. No event may be fetched while the
// target is left alone.
func (f *Forwarder) Wait(ctx context.Context) { f.breaker.wait(ctx) }

// Blocked returns since when the target has been left alone and why; the zero time while it is
// not.
func (f *Forwarder) Blocked() (time.Time, string) {
	since, err := f.breaker.blocked()
	if since.IsZero() {
		return since, ""
	}
	return since, fmt.Sprintf("the target fails and is left alone: %v", err)
}

// Handle posts the event once. Nil means that the target answered 2xx. The error is
// [consumers.Refused] when the target refuses the event, [consumers.Snooze] while the target is
// left alone, and [consumers.RetryAfter] when the target said when to come again.
func (f *Forwarder) Handle(ctx context.Context, ev *bridge.Event) error {
	p, left := f.breaker.enter()
	if p == nil {
		return consumers.Snooze(errPaused, left)
	}
	// A panic, and an attempt that is ended from outside, say nothing of the target.
	defer p.abandon()
	began := time.Now()
	r, err := f.post(ctx, ev)
	f.metrics.observe(r.status, time.Since(began))
	if err == nil {
		consumers.Note(ctx, r.note)
		return f.judge(r, p)
	}
	err = fmt.Errorf("posting to %s: %w", f.target, shortError{err})
	if ended := context.Cause(ctx); ended != nil && !errors.Is(ended, consumers.ErrTimeout) && !errors.Is(ended, context.DeadlineExceeded) {
		return err
	}
	blocked := errors.Is(err, dialguard.ErrBlocked)
	if blocked && !errors.Is(err, dialguard.ErrNever) {
		err = fmt.Errorf("%w: if the target is meant to be there, use https, or name its network in allow_networks", err)
	}
	p.failed(err, 0)
	if blocked {
		f.alarm(bridge.AlarmTargetBlocked, "the target must not be asked, so its events wait", err)
	}
	return err
}

// post sends the request and reads the answer. RoundTrip follows no redirect.
func (f *Forwarder) post(ctx context.Context, ev *bridge.Event) (response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, errTimeout)
	defer cancel()
	resp, err := f.transport.RoundTrip(f.newRequest(ctx, ev))
	if err != nil {
		return response{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	slow := time.AfterFunc(f.bodyTime, cancel)
	defer slow.Stop()
	return readResponse(resp), nil
}

// tell logs a change of the breaker, and raises an alarm for a target that keeps failing.
func (f *Forwarder) tell(c change) {
	switch {
	case c.state == closed:
		f.log.Info("the target works again, events are fetched", slog.String("target", f.target), slog.Duration("after", time.Since(c.since)))
		return
	case c.openings == 1:
		f.log.Warn("the target fails and is left alone for a while; its events wait, without attempts",
			slog.String("target", f.target), slog.Duration("pause", c.pause), slog.Any("error", c.err))
	}
	if time.Since(c.since) >= alarmAfter {
		f.alarm(bridge.AlarmTargetDown, fmt.Sprintf("the target has been failing for %v, so its events wait: see why it does", time.Since(c.since).Round(time.Second)), c.err)
	}
}

func (f *Forwarder) alarm(kind, text string, err error) {
	f.mu.Lock()
	f.raised[kind] = true
	f.mu.Unlock()
	f.alarms.Raise(bridge.Alarm{
		Kind: kind, Subject: f.name, Over: f.overText(),
		Text:    fmt.Sprintf("consumer %s: %s (%v)", f.name, text, err),
		Details: map[string]any{"consumer": f.name, "target": f.target},
	})
}

// over clears the alarms of these kinds whose causes held.
func (f *Forwarder) over(kinds ...string) {
	f.mu.Lock()
	kinds = slices.DeleteFunc(kinds, func(kind string) bool { return !f.raised[kind] })
	for _, kind := range kinds {
		delete(f.raised, kind)
	}
	f.mu.Unlock()
	for _, kind := range kinds {
		f.alarms.Raise(bridge.Alarm{Kind: kind, Subject: f.name, Text: f.overText(), Cleared: true})
	}
}

func (f *Forwarder) overText() string {
	return fmt.Sprintf("consumer %s: %s answers again", f.name, f.target)
}
