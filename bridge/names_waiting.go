package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// LaterLimitKey is the metadata key of [Names.LaterStream] for how many bytes may wait
// there: the stream has no limit of its own.
const LaterLimitKey = "hookspan-max-bytes"

// LaterStream is the stream of events that wait for their next attempt.
func (n Names) LaterStream() string { return n.upper("_LATER") }

// LaterSubjects are the subjects that [Names.LaterStream] stores.
func (n Names) LaterSubjects() []string { return []string{n.prefix() + ".later.>", n.AllDue()} }

// Later is the subject of an event that waits for the numbered attempt. One subject holds
// one schedule; a further one replaces it.
func (n Names) Later(consumer, event string, attempt int) string {
	sum := sha256.Sum256([]byte(event))
	return n.prefix() + ".later." + consumer + "." + hex.EncodeToString(sum[:16]) + "." + strconv.Itoa(attempt)
}

// LaterConsumer is the consumer in a subject that [Names.Later] made, or "".
func (n Names) LaterConsumer(subject string) string {
	return consumerIn(subject, n.prefix()+".later.")
}

// LaterOf covers the waiting events of one consumer.
func (n Names) LaterOf(consumer string) string { return n.prefix() + ".later." + consumer + ".>" }

// AllWaits covers requests to let an event wait. Publishes from other accounts under
// [Names.LaterSubjects] arrive there, not in the stream.
func (n Names) AllWaits() string { return n.prefix() + ".wait.>" }

// WaitOf is [Names.AllWaits] for one consumer.
func (n Names) WaitOf(consumer string) string { return n.prefix() + ".wait." + consumer + ".>" }

// ParseWait splits the subject of a request to let an event wait into the consumer and the
// subject that was meant. The consumer is "" for any other subject.
func (n Names) ParseWait(subject string) (consumer, later string) {
	if consumer = consumerIn(subject, n.prefix()+".wait."); consumer == "" {
		return "", ""
	}
	return consumer, n.prefix() + ".later." + strings.TrimPrefix(subject, n.prefix()+".wait.")
}

// AllDue covers the events whose time has come.
func (n Names) AllDue() string { return n.prefix() + ".due.>" }

// DueOf is [Names.AllDue] for one consumer.
func (n Names) DueOf(consumer string) string { return n.prefix() + ".due." + consumer + ".>" }

// Due is the subject that a waiting event is published to when its time has come.
func (n Names) Due(consumer, subject string) string {
	return n.prefix() + ".due." + consumer + "." + n.tail(consumer, subject)
}

// ParseDue splits a subject of [Names.Due] into the consumer and the subject on which the
// event comes again for it. The consumer is "" for any other subject.
func (n Names) ParseDue(subject string) (consumer, again string) {
	if consumer = consumerIn(subject, n.prefix()+".due."); consumer == "" {
		return "", ""
	}
	return consumer, n.prefix() + ".again." + strings.TrimPrefix(subject, n.prefix()+".due.")
}
