package forward

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/backoff"
)

// Breaker says when the forwarder leaves a failing target alone. The zero value is the default.
type Breaker struct {
	// Failures is how many requests in a row fail before the target is left alone, default 10.
	Failures int
	// Pause is how long the target is left alone, default 5 s. Then one event is tried; each
	// time that this event fails too, the pause doubles. Up to half of a pause is left out at
	// random.
	Pause time.Duration
	// MaxPause bounds the pause, default 2 min, at most [consumers.ShortRetryDelay].
	MaxPause time.Duration
}

func (c Breaker) withDefaults() Breaker {
	longest := cmp.Or(c.MaxPause, consumers.ShortRetryDelay)
	return Breaker{
		Failures: cmp.Or(c.Failures, 10),
		Pause:    cmp.Or(c.Pause, min(5*time.Second, longest)),
		MaxPause: longest,
	}
}

func (c Breaker) validate() error {
	if c.Failures < 0 || c.Pause < 0 || c.MaxPause < c.Pause || c.MaxPause > consumers.ShortRetryDelay {
		return fmt.Errorf("%d failures, pause %v, at most %v: none may be negative, and no pause longer than %v",
			c.Failures, c.Pause, c.MaxPause, consumers.ShortRetryDelay)
	}
	return nil
}

// breakerState is the value of a metric.
type breakerState int

const (
	closed   breakerState = iota // every event is tried
	halfOpen                     // one event is tried, as a probe
	open                         // no event is tried
)

// probeWait is how long an event waits that came while another one is the probe.
const probeWait = time.Second

// breaker is the circuit breaker. Libraries with breakers for calls lack three things that this
// one does: it wakes waiting workers when its state changes, a probe may end without a result,
// and a pause depends on the pauses before it.
type breaker struct {
	cfg Breaker
	// onChange is called without a lock after the breaker opened, and after it closed again.
	onChange func(change)

	mu         sync.Mutex
	state      breakerState
	generation int           // counts the changes of state: results of an older one are ignored
	failures   int           // closed: in a row
	openings   int           // since the breaker was closed
	since      time.Time     // when the first of these openings was
	err        error         // of the last opening
	until      time.Time     // open: when the pause ends
	probing    bool          // half open: the probe is being tried
	changed    chan struct{} // closed at the next change
}

// change says that the breaker opened, once more if openings is over 1, or closed.
type change struct {
	state    breakerState
	openings int
	since    time.Time // when the first opening was
	pause    time.Duration
	err      error
}

func newBreaker(cfg Breaker, onChange func(change)) *breaker {
	return &breaker{cfg: cfg, onChange: onChange, changed: make(chan struct{})}
}

type pass struct {
	b          *breaker
	generation int
}

// enter returns the permission to try an event, or nil and how long to wait.
func (b *breaker) enter() (*pass, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := time.Until(b.until); b.state == open && left > 0 {
		return nil, left
	} else if b.state == open {
		b.become(halfOpen)
	}
	if b.state == halfOpen && b.probing {
		return nil, probeWait
	}
	b.probing = b.state == halfOpen
	return &pass{b, b.generation}, 0
}

// wait returns when an event may be fetched, or when ctx ends. When a pause ends, one waiting
// worker may go. A worker that comes then may go too while there is no probe: it comes back from
// a fetch that brought no event, so no more workers fetch than before.
func (b *breaker) wait(ctx context.Context) {
	for waited := false; ; waited = true {
		b.mu.Lock()
		left := time.Until(b.until)
		mine := b.state == closed || b.state == halfOpen && !b.probing && !waited
		if b.state == open && left <= 0 {
			b.become(halfOpen)
			mine = true
		}
		isOpen, changed := b.state == open, b.changed
		b.mu.Unlock()
		if mine {
			return
		}
		var over <-chan time.Time // nil: never
		var timer *time.Timer
		if isOpen {
			timer = time.NewTimer(left)
			over = timer.C
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-over:
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// become changes the state; the caller holds mu.
func (b *breaker) become(s breakerState) {
	b.state, b.probing, b.failures = s, false, 0
	b.generation++
	close(b.changed)
	b.changed = make(chan struct{})
}

func (p *pass) succeeded() {
	b := p.b
	b.mu.Lock()
	if p.generation != b.generation {
		b.mu.Unlock()
		return
	}
	b.failures = 0
	told := change{state: closed, openings: b.openings, since: b.since}
	reopened := b.state == halfOpen
	if reopened {
		b.openings = 0
		b.become(closed)
	}
	b.mu.Unlock()
	if reopened {
		b.onChange(told)
	}
}

// failed notes that the target does not work, and wants to be left alone for least.
func (p *pass) failed(err error, least time.Duration) {
	b := p.b
	b.mu.Lock()
	if p.generation != b.generation {
		b.mu.Unlock()
		return
	}
	b.failures++
	if b.state == closed && b.failures < b.cfg.Failures {
		b.mu.Unlock()
		return
	}
	now := time.Now()
	if b.openings == 0 {
		b.since = now
	}
	b.openings++
	pause := max(backoff.Spread(backoff.Doubled(b.cfg.Pause, b.openings-1, b.cfg.MaxPause)), min(least, b.cfg.MaxPause))
	b.until, b.err = now.Add(pause), err
	b.become(open)
	told := change{state: open, openings: b.openings, since: b.since, pause: pause, err: err}
	b.mu.Unlock()
	b.onChange(told)
}

// abandon ends the attempt without a result. It does nothing after a result, or for an event
// that was no probe.
func (p *pass) abandon() {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.generation == b.generation && b.state == halfOpen {
		b.become(open) // until has passed, so the next event is the probe
	}
}

// blocked returns since when the target has been left alone and why; the zero time while every
// event is tried.
func (b *breaker) blocked() (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.openings == 0 {
		return time.Time{}, nil
	}
	return b.since, b.err
}

func (b *breaker) current() breakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}
