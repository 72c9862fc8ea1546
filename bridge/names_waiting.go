package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// LaterLimitKey is the key in the metadata of [Names.LaterStream] under which is
// written how many bytes may wait there: the stream has no limit of its own.
const LaterLimitKey = "hookspan-max-bytes"

// LaterStream is the stream of events that wait for their next attempt.
func (n Names) LaterStream() string { return n.upper("_LATER") }

// LaterSubjects are the subjects that [Names.LaterStream] stores.
func (n Names) LaterSubjects() []string { return []string{n.prefix() + ".later.>", n.AllDue()} }

// Later is where the event waits for the attempt with that number. One subject
// holds one schedule, and a further one replaces it.
func (n Names) Later(consumer, event string, attempt int) string {
	sum := sha256.Sum256([]byte(event))
	return n.prefix() + ".later." + consumer + "." + hex.EncodeToString(sum[:16]) + "." + strconv.Itoa(attempt)
}

// LaterConsumer is the consumer in a subject that [Names.Later] made, or "".
func (n Names) LaterConsumer(subject string) string {
	return consumerIn(subject, n.prefix()+".later.")
}

// LaterOf is the subject pattern of what waits for one consumer.
func (n Names) LaterOf(consumer string) string { return n.prefix() + ".later." + consumer + ".>" }

// AllWaits is the subject pattern of requests to let an event wait. What programs of
// other accounts publish under [Names.LaterSubjects] arrives there, and not in the
// stream itself.
func (n Names) AllWaits() string { return n.prefix() + ".wait.>" }

// WaitOf is [Names.AllWaits] for one consumer.
func (n Names) WaitOf(consumer string) string { return n.prefix() + ".wait." + consumer + ".>" }

// ParseWait takes the subject of a request to let an event wait apart: the consumer,
// and the subject that was meant. The consumer is "" when it is none.
func (n Names) ParseWait(subject string) (consumer, later string) {
	if consumer = consumerIn(subject, n.prefix()+".wait."); consumer == "" {
		return "", ""
	}
	return consumer, n.prefix() + ".later." + strings.TrimPrefix(subject, n.prefix()+".wait.")
}

// AllDue is the subject pattern of events whose time has come.
func (n Names) AllDue() string { return n.prefix() + ".due.>" }

// DueOf is [Names.AllDue] for one consumer.
func (n Names) DueOf(consumer string) string { return n.prefix() + ".due." + consumer + ".>" }

// Due is where a waiting event goes when its time has come.
func (n Names) Due(consumer, subject string) string {
	return n.prefix() + ".due." + consumer + "." + n.tail(consumer, subject)
}

// ParseDue takes a subject that [Names.Due] made apart: the consumer, and the
// subject on which the event comes again for it. The consumer is "" when it is none.
func (n Names) ParseDue(subject string) (consumer, again string) {
	if consumer = consumerIn(subject, n.prefix()+".due."); consumer == "" {
		return "", ""
	}
	return consumer, n.prefix() + ".again." + strings.TrimPrefix(subject, n.prefix()+".due.")
}
