// Package streams has the configuration of a bridge's streams.
package streams

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Settings that the operator cannot choose.
const (
	// MaxPayload is the largest message of the embedded server in bytes, header included:
	// the most that nats-server takes without a warning.
	MaxPayload = 8 << 20
	// HeaderRoom is the part of the payload limit reserved for a message's header.
	HeaderRoom = 64 << 10

	// Shares of the other streams, as a fraction of the events' bytes and a maximum.
	deadShare, maxDeadBytes             = 8, 1 << 30
	quarantineShare, maxQuarantineBytes = 16, 1 << 30
	unconfirmedShare, maxUnconfirmed    = 16, 1 << 30
	refusedShare, maxRefusedBytes       = 32, 256 << 20
	attemptsShare, maxAttemptsBytes     = 32, 256 << 20
	laterShare, maxLaterBytes           = 8, 1 << 30
	pollsShare, maxPollsBytes           = 16, 1 << 30
	minShareBytes                       = 16 << 20
	alarmsBytes                         = 8 << 20
	advisoriesBytes                     = 16 << 20
	erasedBytes                         = 64 << 20

	deadAge       = 90 * 24 * time.Hour
	refusedAge    = 14 * 24 * time.Hour
	alarmsAge     = 90 * 24 * time.Hour
	advisoriesAge = 30 * 24 * time.Hour
	erasedMore    = 7 * 24 * time.Hour // no sender goes on for longer
	maxConsumers  = 1024
)

// Config is the configuration of all the streams.
type Config struct {
	Names bridge.Names
	// MaxBytes and MaxAge bound the stream of events; a MaxAge of zero is no bound.
	MaxBytes int64
	MaxAge   time.Duration
	// Duplicates is how long the id of an event is remembered, at least [MinDuplicates].
	Duplicates time.Duration
	// Replicas of each stream. 0 decides when the stream is created: 3 in a cluster, 1
	// elsewhere.
	Replicas int
	// Placement of each stream, nil for that of the server.
	Placement *jetstream.Placement
}

// share returns 1/part of the events' bytes, at most most.
func (c Config) share(part, most int64) int64 {
	return min(max(c.MaxBytes/part, minShareBytes), most)
}

// StoreBytes is the disk space of all the streams together.
func (c Config) StoreBytes() int64 {
	sum := c.laterBytes()
	for _, s := range c.All() {
		sum += max(0, s.MaxBytes)
	}
	return sum
}

// laterBytes bounds the events that wait for their next attempt.
func (c Config) laterBytes() int64 { return c.share(laterShare, maxLaterBytes) }

// All returns the settings of all the streams.
//
// Retention is by limits: interest would drop an event that no consumer waits for yet, and a
// work queue forgets the ids of acknowledged messages. Streams whose messages were answered 200
// have DiscardNew: the oldest event may be unhandled.
func (c Config) All() []jetstream.StreamConfig {
	n := c.Names
	return []jetstream.StreamConfig{
		c.stream(n.EventsStream(), "every event that was accepted", n.EventsSubjects(), func(s *jetstream.StreamConfig) {
			s.MaxBytes, s.MaxAge, s.Duplicates = c.MaxBytes, c.MaxAge, max(c.Duplicates, MinDuplicates)
			s.AllowAtomicPublish = true   // several messages can share a sync
			s.MaxConsumers = maxConsumers // a durable costs memory and a folder, and user "app" can make some
		}),
		c.stream(n.DeadStream(), "events that a consumer gave up on", n.DeadSubjects(), func(s *jetstream.StreamConfig) {
			s.MaxBytes, s.MaxAge, s.Duplicates = c.share(deadShare, maxDeadBytes), deadAge, deadDuplicates
		}),
		// Its deliveries were answered 200, so none may be discarded.
		c.stream(n.QuarantineStream(), "authentic deliveries that could not become an event", n.QuarantineSubjects(), func(s *jetstream.StreamConfig) {
			s.MaxBytes, s.Duplicates = c.share(quarantineShare, maxQuarantineBytes), MinDuplicates
		}),
		// Its deliveries were answered 200 too, and each goes once its provider was asked.
		c.stream(n.UnconfirmedStream(), "deliveries whose provider has to be asked", n.UnconfirmedSubjects(), func(s *jetstream.StreamConfig) {
			s.Retention, s.MaxBytes, s.Duplicates = jetstream.WorkQueuePolicy, c.share(unconfirmedShare, maxUnconfirmed), MinDuplicates
		}),
		// Its senders have proved nothing.
		c.stream(n.RefusedStream(), "deliveries that were not authentic, the oldest go first", n.RefusedSubjects(), func(s *jetstream.StreamConfig) {
			s.Discard, s.MaxBytes, s.MaxAge = jetstream.DiscardOld, c.share(refusedShare, maxRefusedBytes), refusedAge
			s.AllowAtomicPublish = true
		}),
		c.stream(n.AlarmsStream(), "what a person should know of", n.AlarmsSubjects(), func(s *jetstream.StreamConfig) {
			s.Discard, s.MaxBytes, s.MaxAge = jetstream.DiscardOld, alarmsBytes, alarmsAge
		}),
		// The bridge handles advisories at once, so the stream holds those it missed while it
		// was away.
		c.stream(n.AdvisoriesStream(), "deliveries that ended without a verdict", n.AdvisoriesSubjects(), func(s *jetstream.StreamConfig) {
			s.Discard, s.MaxBytes, s.MaxAge = jetstream.DiscardOld, advisoriesBytes, advisoriesAge
		}),
		// A stream and not a key-value bucket: a bucket would allow rollups, with which one
		// message of anybody could purge all of it. Markers of expired keys would need rollups
		// too, so there are none.
		c.stream(n.AttemptsStream(), "what consumers remember of events", []string{n.AttemptsSubject(">")}, func(s *jetstream.StreamConfig) {
			s.MaxMsgsPerSubject, s.MaxBytes, s.AllowMsgTTL = 1, c.share(attemptsShare, maxAttemptsBytes), true
		}),
		// As the attempt records.
		c.stream(n.PollsStream(), "who leads the polling, polls of predictions, idempotency keys", []string{n.PollsSubject(">")}, func(s *jetstream.StreamConfig) {
			s.MaxMsgsPerSubject, s.MaxBytes, s.AllowMsgTTL = 1, c.share(pollsShare, maxPollsBytes), true
		}),
		// Kept for longer than anything that could bring an erased prediction back: events, dead
		// letters and a sender's retries.
		c.stream(n.ErasedStream(), "hashes of erased predictions", []string{n.ErasedSubject(">")}, func(s *jetstream.StreamConfig) {
			s.MaxMsgsPerSubject, s.MaxBytes = 1, erasedBytes
			if c.MaxAge > 0 {
				s.MaxAge = max(c.MaxAge, deadAge) + erasedMore
			}
		}),
		// With a limit of its own, or with DiscardNew, the server would drop acknowledged
		// schedules, or reject the stream.
		c.stream(n.LaterStream(), "events that wait for their next attempt", n.LaterSubjects(), func(s *jetstream.StreamConfig) {
			s.Retention, s.Discard, s.MaxBytes = jetstream.WorkQueuePolicy, jetstream.DiscardOld, -1
			s.AllowMsgSchedules = true
			s.Metadata = map[string]string{bridge.LaterLimitKey: strconv.FormatInt(c.laterBytes(), 10)}
		}),
	}
}

// stream returns the settings common to all streams, changed by own.
func (c Config) stream(name, description string, subjects []string, own func(*jetstream.StreamConfig)) jetstream.StreamConfig {
	s := jetstream.StreamConfig{
		Name: name, Description: "Hookspan: " + description, Subjects: subjects,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		Duplicates: ringDuplicates, Replicas: c.Replicas, Placement: c.Placement, AllowDirect: true,
	}
	own(&s)
	return s
}

// Outcome is the result for one of several messages that were published together.
type Outcome struct {
	Receipt bridge.Receipt
	// Err is nil when the message is durable.
	Err error
}
