package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

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

// audit compares every message of the stream with the book. Its methods are for
// one goroutine.
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

// add takes a message of the stream.
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
