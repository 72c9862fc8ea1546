package main

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"sync"
	"time"
)

// answer is what the bridge says in a 200.
type answer struct {
	Result string `json:"result"`
	ID     string `json:"id"`
}

const (
	resultStored    = "stored"
	resultDuplicate = "duplicate"
	resultSpooled   = "spooled"
)

// entry is what is known of one webhook.
type entry struct {
	acknowledged bool
	// stored: some 200 said that the stream had taken it as a new one.
	stored bool
	// spooled: some 200 said so. Until the spool is drained, the stream itself can
	// take the same event as a new one.
	spooled bool
	// event is the hash of the event id that the first 200 named.
	event uint64
}

// counts are about webhooks, but for refused and duplicates, which are about
// answers.
type counts struct {
	sent, acknowledged, abandoned int
	// refused is by reason: a status, or what became of the connection.
	refused map[string]int
	// results is by the result of a 200.
	results map[string]int
	// duplicates are answers 200 to a webhook that was there already.
	duplicates int
}

// maxExamples is how many things that are wrong are named, of each kind.
const maxExamples = 3

// book is where the oracle writes down, at once, what the sender was answered. It
// is safe for concurrent use.
type book struct {
	seed maphash.Seed

	mu      sync.Mutex
	entries []entry
	counts  counts
	// strange are answers that no sender should get.
	strange []string
	// changed is closed and replaced when something was acknowledged or given up.
	changed chan struct{}

	healedAt time.Time // zero: nothing is waited for
	recovery time.Duration
}

func newBook() *book {
	return &book{
		seed:    maphash.MakeSeed(),
		counts:  counts{refused: map[string]int{}, results: map[string]int{}},
		changed: make(chan struct{}),
	}
}

// begin opens the entry of a new webhook and returns its serial number.
func (b *book) begin() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, entry{})
	b.counts.sent++
	return len(b.entries) - 1
}

// acknowledge writes down a 200 to a request that was begun at the given time, and
// reports whether it is the first to this webhook.
func (b *book) acknowledge(n int, prediction string, begun time.Time, a answer) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.results[a.Result]++
	switch a.Result {
	case resultStored, resultDuplicate, resultSpooled:
	default:
		b.oddly(fmt.Sprintf("%s was answered 200 %q", prediction, a.Result))
		return false
	}
	if len(a.ID) <= len(prediction) || a.ID[:len(prediction)+1] != prediction+"/" {
		b.oddly(fmt.Sprintf("%s was answered with the event id %q", prediction, a.ID))
	}
	event := maphash.String(b.seed, a.ID)
	e := &b.entries[n]
	first = !e.acknowledged
	switch {
	case first:
		e.acknowledged, e.event = true, event
		b.counts.acknowledged++
	case e.event != event:
		b.oddly(fmt.Sprintf("%s was answered with two event ids, the second is %q", prediction, a.ID))
	case a.Result == resultStored && e.stored && !e.spooled:
		b.oddly(prediction + " was answered as stored for the first time, twice")
	}
	e.stored = e.stored || a.Result == resultStored
	e.spooled = e.spooled || a.Result == resultSpooled
	if !first || a.Result == resultDuplicate {
		b.counts.duplicates++
	}
	if !b.healedAt.IsZero() && !begun.Before(b.healedAt) {
		b.recovery = max(b.recovery, time.Since(b.healedAt))
		b.healedAt = time.Time{}
	}
	b.signal()
	return first
}

func (b *book) oddly(what string) {
	if len(b.strange) < maxExamples {
		b.strange = append(b.strange, what)
	}
}

// refuse writes down an attempt that was not answered 200, and why.
func (b *book) refuse(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.refused[why]++
	b.signal()
}

// abandon writes down that the sender has given the webhook up, which is no loss
// when a copy of it was acknowledged.
func (b *book) abandon(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.entries[n].acknowledged {
		b.counts.abandoned++
	}
	b.signal()
}

// snapshot is a copy of the counts.
func (b *book) snapshot() counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counts
	c.refused, c.results = maps.Clone(c.refused), maps.Clone(c.results)
	return c
}

func (b *book) signal() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// heal says that a fault is over now. The time until something is acknowledged
// that was sent later is the time to recover; of several the longest counts.
func (b *book) heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.healedAt = time.Now()
}

// waitRecovered returns when the fault that [book.heal] was told of is recovered
// from.
func (b *book) waitRecovered(ctx context.Context) error {
	return b.wait(ctx, "the recovery", func() bool { return b.healedAt.IsZero() })
}

// waitAcknowledged returns when n webhooks are acknowledged.
func (b *book) waitAcknowledged(ctx context.Context, n int) error {
	return b.wait(ctx, fmt.Sprintf("%d acknowledged webhooks", n), func() bool { return b.counts.acknowledged >= n })
}

// maxSilence is the longest time in which nothing is acknowledged before the run
// is given up.
const maxSilence = time.Minute

func (b *book) wait(ctx context.Context, what string, done func() bool) error {
	silence := time.NewTimer(maxSilence)
	defer silence.Stop()
	last := -1
	for {
		b.mu.Lock()
		over, changed, acknowledged := done(), b.changed, b.counts.acknowledged
		b.mu.Unlock()
		if over {
			return nil
		}
		if acknowledged != last {
			last = acknowledged
			silence.Reset(maxSilence)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-silence.C:
			return fmt.Errorf("waiting for %s: nothing was acknowledged for %v, %d were before", what, maxSilence, acknowledged)
		}
	}
}

// waitRefused returns when n attempts were refused for the reason.
func (b *book) waitRefused(ctx context.Context, why string, n int) error {
	return b.wait(ctx, fmt.Sprintf("%d times %s", n, why), func() bool { return b.counts.refused[why] >= n })
}
