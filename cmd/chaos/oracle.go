package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// What a 200 says of an event that is kept.
const (
	resultStored    = "stored"
	resultDuplicate = "duplicate"
	resultSpooled   = "spooled"
)

type entry struct {
	event string // the id that the first 200 named; empty: it is not acknowledged
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
	strange []string // answers that no sender should get

	healedAt time.Time // zero: nothing is waited for
	recovery time.Duration
}

func newBook() *book {
	return &book{counts: counts{RefusedBy: map[string]int{}, Results: map[string]int{}}}
}

func (b *book) begin() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, entry{})
	b.counts.Sent++
	return len(b.entries) - 1
}

// acknowledge notes a 200 to a request, and reports whether it is the first to this webhook.
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

func (b *book) refuse(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.RefusedBy[why]++
}

// abandon notes that the sender gave up: no loss when a copy of the webhook was acknowledged.
func (b *book) abandon(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries[n].event == "" {
		b.counts.Abandoned++
	}
}

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

// archivedPrefix begins what the bridge itself says of an archived output.
const archivedPrefix = rig.EventsPrefix + "outputs.archived."

// findings are what the stream says about what was acknowledged.
type findings struct {
	Stored  int `json:"stored"`  // different webhooks
	Lost    int `json:"lost"`    // acknowledged, and not there
	Twice   int `json:"twice"`   // webhooks that are there more than once
	Corrupt int `json:"corrupt"` // messages that are not what was sent
	// examples name a few of them.
	examples []string
}

// audit compares every message of the stream with the book. It is for one goroutine.
type audit struct {
	writer *writer
	book   *book

	seen     []int // copies, by serial number
	found    findings
	exampled map[string]int
}

func newAudit(w *writer, b *book) *audit {
	return &audit{writer: w, book: b, exampled: map[string]int{}}
}

func (a *audit) add(subject string, header nats.Header, body []byte) {
	if strings.HasPrefix(subject, archivedPrefix) {
		return
	}
	prediction, event := header.Get(rig.HeaderSubject), header.Get(rig.HeaderEventID)
	n, ok := a.writer.serial(prediction)
	entry, begun := a.book.entry(n)
	if !ok || !begun || !strings.HasPrefix(subject, rig.EventsPrefix) {
		a.note(&a.found.Corrupt, "corrupt", "a message on %s is about %q, which was never sent", subject, prediction)
		return
	}
	a.seen = append(a.seen, make([]int, max(0, n+1-len(a.seen)))...)
	a.seen[n]++
	if a.seen[n] == 2 {
		a.note(&a.found.Twice, "twice", "%s is there twice", prediction)
	}
	switch {
	case !bytes.Equal(body, a.writer.body(n)):
		a.note(&a.found.Corrupt, "corrupt", "the body of %s is not what was sent (%d bytes)", prediction, len(body))
	case entry.event != "" && entry.event != event:
		a.note(&a.found.Corrupt, "corrupt", "%s has the event id %q, its answer named another one", prediction, event)
	}
}

// note counts something that is wrong, and describes the first few of its kind.
func (a *audit) note(count *int, kind, format string, args ...any) {
	*count++
	if a.exampled[kind]++; a.exampled[kind] <= maxExamples {
		a.found.examples = append(a.found.examples, fmt.Sprintf(format, args...))
	}
}

// result is what was found so far. It compares with everything that was acknowledged, so
// it says of a stream what is lost once every message was added.
func (a *audit) result() findings {
	c := *a
	c.found.examples, c.exampled = slices.Clone(a.found.examples), maps.Clone(a.exampled)
	a.book.mu.Lock()
	entries := a.book.entries
	a.book.mu.Unlock()
	for n, e := range entries {
		switch there := n < len(c.seen) && c.seen[n] > 0; {
		case there:
			c.found.Stored++
		case e.event != "":
			c.note(&c.found.Lost, "lost", "%s was acknowledged and is not there", c.writer.id(n))
		}
	}
	return c.found
}
