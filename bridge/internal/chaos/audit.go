package main

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/nats-io/nats.go"
)

// What another team's program must know of the events. The oracle reads them as
// such a program does.
const (
	eventsStream = "HOOKSPAN_EVENTS"
	eventsPrefix = "hookspan.events." + sourceName + "."
	// archivedPrefix begins what the bridge itself says of an archived output.
	archivedPrefix = eventsPrefix + "outputs.archived."
	headerEventID  = "ce-id"
	headerSubject  = "ce-subject"
	headerMsgID    = "Nats-Msg-Id"
)

// findings are what the stream says about what was acknowledged.
type findings struct {
	stored  int // different webhooks
	lost    int // acknowledged, and not there
	twice   int // webhooks that are there more than once
	corrupt int // messages that are not what was sent
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
	prediction := header.Get(headerSubject)
	n, ok := a.writer.serial(prediction)
	entry, begun := a.entry(n)
	if !ok || !begun || !strings.HasPrefix(subject, eventsPrefix) {
		a.found.corrupt++
		a.example("corrupt", fmt.Sprintf("a message on %s is about %q, which was never sent", subject, prediction))
		return
	}
	for len(a.seen) <= n {
		a.seen = append(a.seen, 0)
	}
	a.seen[n]++
	if a.seen[n] == 2 {
		a.found.twice++
		a.example("twice", prediction+" is there twice")
	}
	event := header.Get(headerEventID)
	switch {
	case !bytes.Equal(body, a.writer.body(n)):
		a.found.corrupt++
		a.example("corrupt", fmt.Sprintf("the body of %s is not what was sent (%d bytes)", prediction, len(body)))
	case entry.acknowledged && entry.event != maphash.String(a.book.seed, event):
		a.found.corrupt++
		a.example("corrupt", fmt.Sprintf("%s has the event id %q, its answer named another one", prediction, event))
	}
}

func (a *audit) entry(n int) (entry, bool) {
	a.book.mu.Lock()
	defer a.book.mu.Unlock()
	if n < 0 || n >= len(a.book.entries) {
		return entry{}, false
	}
	return a.book.entries[n], true
}

func (a *audit) example(kind, text string) {
	if a.exampled[kind]++; a.exampled[kind] <= maxExamples {
		a.found.examples = append(a.found.examples, text)
	}
}

// result is what was found once every message was added.
func (a *audit) result() findings {
	a.book.mu.Lock()
	entries := a.book.entries
	a.book.mu.Unlock()
	found := a.found
	for n, e := range entries {
		there := n < len(a.seen) && a.seen[n] > 0
		switch {
		case there:
			found.stored++
		case e.acknowledged:
			found.lost++
			a.example("lost", a.writer.id(n)+" was acknowledged and is not there")
		}
	}
	found.examples = a.found.examples
	return found
}
