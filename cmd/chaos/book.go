package main

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// What a 200 says of an event that is kept.
const (
	resultStored    = "stored"
	resultDuplicate = "duplicate"
	resultSpooled   = "spooled"
)

// entry is what is known of one webhook.
type entry struct {
	// event is the id that the first 200 named; empty: it is not acknowledged.
	event string
	// stored: some 200 said that the stream had taken it as a new one. spooled: some 200
	// said so; until the spool is drained, the stream itself can take the same event as a
	// new one.
	stored, spooled bool
}

// counts are about webhooks, but for the last three, which are about answers.
type counts struct {
	Sent         int `json:"sent"`
	Acknowledged int `json:"acknowledged"`
	Abandoned    int `json:"abandoned"`
	// RefusedBy is by reason: a status, or what became of the connection.
	RefusedBy map[string]int `json:"refused_by"`
	// Results is by the result of a 200.
	Results map[string]int `json:"results"`
	// Duplicates are answers 200 to a webhook that was there already.
	Duplicates int `json:"duplicates_suppressed"`
}

// maxExamples is how many things that are wrong are named, of each kind.
const maxExamples = 3

// book is where the oracle writes down, at once, what the sender was answered. It
// is safe for concurrent use.
type book struct {
	mu      sync.Mutex
	entries []entry
	counts  counts
	// strange are answers that no sender should get.
	strange []string

	healedAt time.Time // zero: nothing is waited for
	recovery time.Duration
}

func newBook() *book {
	return &book{counts: counts{RefusedBy: map[string]int{}, Results: map[string]int{}}}
}

// begin opens the entry of a new webhook and returns its serial number.
func (b *book) begin() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, entry{})
	b.counts.Sent++
	return len(b.entries) - 1
}

// acknowledge writes down a 200 to a request that was begun at the given time, and
// reports whether it is the first to this webhook.
func (b *book) acknowledge(n int, prediction string, begun time.Time, result, event string) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	oddly := func(format string, args ...any) {
		if len(b.strange) < maxExamples {
			b.strange = append(b.strange, prediction+" was answered "+fmt.Sprintf(format, args...))
		}
	}
	b.counts.Results[result]++
	switch result {
	case resultStored, resultDuplicate, resultSpooled:
	default:
		oddly("200 %q", result)
		return false
	}
	if !strings.HasPrefix(event, prediction+"/") {
		oddly("with the event id %q", event)
	}
	e := &b.entries[n]
	first = e.event == ""
	switch {
	case first:
		e.event = event
		b.counts.Acknowledged++
	case e.event != event:
		oddly("with two event ids, the second is %q", event)
	case result == resultStored && e.stored && !e.spooled:
		oddly("as stored for the first time, twice")
	}
	e.stored = e.stored || result == resultStored
	e.spooled = e.spooled || result == resultSpooled
	if !first || result == resultDuplicate {
		b.counts.Duplicates++
	}
	if !b.healedAt.IsZero() && !begun.Before(b.healedAt) {
		b.recovery = max(b.recovery, time.Since(b.healedAt))
		b.healedAt = time.Time{}
	}
	return first
}

// refuse writes down an attempt that was not answered 200, and why.
func (b *book) refuse(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.RefusedBy[why]++
}

// abandon writes down that the sender has given the webhook up, which is no loss
// when a copy of it was acknowledged.
func (b *book) abandon(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries[n].event == "" {
		b.counts.Abandoned++
	}
}

// snapshot is a copy of the counts.
func (b *book) snapshot() counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counts
	c.RefusedBy, c.Results = maps.Clone(c.RefusedBy), maps.Clone(c.Results)
	return c
}

// entry is what is known of webhook n, and false when it was not begun.
func (b *book) entry(n int) (entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 || n >= len(b.entries) {
		return entry{}, false
	}
	return b.entries[n], true
}

// heal says that a fault is over now. The time until something is acknowledged
// that was sent later is the time to recover; of several the longest counts.
func (b *book) heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.healedAt = time.Now()
}

// healthy reports whether the fault that [book.heal] was told of is recovered from.
func (b *book) healthy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.healedAt.IsZero()
}
