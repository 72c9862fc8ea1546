// Package streams says how the streams of a bridge are configured.
package streams

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Settings of the streams that the operator need not choose.
const (
	// MaxPayload is the largest message of the embedded server in bytes, header included:
	// the most that nats-server takes without a warning.
	MaxPayload = 8 << 20
	// HeaderRoom is what a message's header may take of the server's payload limit.
	HeaderRoom = 64 << 10

	// The other streams get a share of what events get.
	deadShare, maxDeadBytes             = 8, 1 << 30
	quarantineShare, maxQuarantineBytes = 16, 1 << 30
	refusedShare, maxRefusedBytes       = 32, 256 << 20
	attemptsShare, maxAttemptsBytes     = 32, 256 << 20
	laterShare, maxLaterBytes           = 8, 1 << 30
	predictionsShare, maxPredictions    = 8, 2 << 30
	minShareBytes                       = 16 << 20
	alarmsBytes                         = 8 << 20
	advisoriesBytes                     = 16 << 20

	deadAge       = 90 * 24 * time.Hour
	refusedAge    = 14 * 24 * time.Hour
	alarmsAge     = 90 * 24 * time.Hour
	advisoriesAge = 30 * 24 * time.Hour
	maxConsumers  = 1024
)

// Config says how the streams are to be.
type Config struct {
	Names bridge.Names
	// MaxBytes and MaxAge bound the stream of events; a MaxAge of zero is no bound.
	MaxBytes int64
	MaxAge   time.Duration
	// Duplicates is how long the id of an event is remembered, at least [MinDuplicates].
	Duplicates time.Duration
	// Replicas of each stream; 0 lets the deployment decide when the stream is
	// created: 3 in a cluster, 1 elsewhere.
	Replicas int
}

// share is what a stream gets that has 1/part of the events' bytes, at most most.
func (c Config) share(part, most int64) int64 {
	return min(max(c.MaxBytes/part, minShareBytes), most)
}

// StoreBytes is the disk space that the streams may take together.
func (c Config) StoreBytes() int64 {
	sum := c.laterBytes()
	for _, s := range c.All() {
		sum += max(0, s.MaxBytes)
	}
	return sum
}

// laterBytes is how much may wait for its next attempt.
func (c Config) laterBytes() int64 { return c.share(laterShare, maxLaterBytes) }

// All are the settings of all the streams.
//
// Retention is by limits: interest would drop an event that no consumer waits
// for yet, a work queue forgets the ids of what was acknowledged. DiscardNew
// where a 200 was given for what is kept: the oldest event may be one that
// nobody has handled.
func (c Config) All() []jetstream.StreamConfig {
	n := c.Names
	return []jetstream.StreamConfig{
		c.stream(n.EventsStream(), "every event that was accepted", n.EventsSubjects(), func(s *jetstream.StreamConfig) {
			s.MaxBytes, s.MaxAge, s.Duplicates = c.MaxBytes, c.MaxAge, max(c.Duplicates, MinDuplicates)
			s.AllowAtomicPublish = true   // several messages can share a sync
			s.MaxConsumers = maxConsumers // a durable costs memory and a folder, and user "app" makes them
		}),
		c.stream(n.DeadStream(), "events that a consumer gave up on", n.DeadSubjects(), func(s *jetstream.StreamConfig) {
			s.MaxBytes, s.MaxAge, s.Duplicates = c.share(deadShare, maxDeadBytes), deadAge, deadDuplicates
		}),
		// What is in it was answered 200, so nothing pushes it out.
		c.stream(n.QuarantineStream(), "authentic deliveries that could not become an event", n.QuarantineSubjects(), func(s *jetstream.StreamConfig) {
			s.MaxBytes, s.Duplicates = c.share(quarantineShare, maxQuarantineBytes), MinDuplicates
		}),
		// Whoever sends here has proved nothing.
		c.stream(n.RefusedStream(), "deliveries that were not authentic, the oldest go first", n.RefusedSubjects(), func(s *jetstream.StreamConfig) {
			s.Discard, s.MaxBytes, s.MaxAge = jetstream.DiscardOld, c.share(refusedShare, maxRefusedBytes), refusedAge
			s.AllowAtomicPublish = true
		}),
		c.stream(n.AlarmsStream(), "what a person should know of", n.AlarmsSubjects(), func(s *jetstream.StreamConfig) {
			s.Discard, s.MaxBytes, s.MaxAge = jetstream.DiscardOld, alarmsBytes, alarmsAge
		}),
		// The bridge looks at each at once, so what is in it is what the bridge missed while
		// it was away.
		c.stream(n.AdvisoriesStream(), "deliveries that ended without a verdict", n.AdvisoriesSubjects(), func(s *jetstream.StreamConfig) {
			s.Discard, s.MaxBytes, s.MaxAge = jetstream.DiscardOld, advisoriesBytes, advisoriesAge
		}),
		// Made by hand and not as a key-value bucket, which would allow rollups: one message
		// of anybody could then purge all of it. Marks of expired keys would need them too, so
		// there are none.
		c.stream(n.AttemptsStream(), "what consumers remember of events", []string{n.AttemptsSubject(">")}, func(s *jetstream.StreamConfig) {
			s.MaxMsgsPerSubject, s.MaxBytes, s.AllowMsgTTL = 1, c.share(attemptsShare, maxAttemptsBytes), true
		}),
		// As the attempt records of consumers; what finished long ago goes by its TTL.
		c.stream(n.PredictionsStream(), "what is known of each prediction", []string{n.PredictionsSubject(">")}, func(s *jetstream.StreamConfig) {
			s.MaxMsgsPerSubject, s.MaxBytes, s.AllowMsgTTL = 1, c.share(predictionsShare, maxPredictions), true
			s.AllowAtomicPublish = true
		}),
		// With a limit of its own, or with DiscardNew, the server would drop schedules that it
		// has acknowledged, or make no stream at all.
		c.stream(n.LaterStream(), "events that wait for their next attempt", n.LaterSubjects(), func(s *jetstream.StreamConfig) {
			s.Retention, s.Discard, s.MaxBytes = jetstream.WorkQueuePolicy, jetstream.DiscardOld, -1
			s.AllowMsgSchedules = true
			s.Metadata = map[string]string{bridge.LaterLimitKey: strconv.FormatInt(c.laterBytes(), 10)}
		}),
	}
}

// stream is one stream: what all have in common, and what it has of its own.
func (c Config) stream(name, description string, subjects []string, own func(*jetstream.StreamConfig)) jetstream.StreamConfig {
	s := jetstream.StreamConfig{
		Name: name, Description: "Hookspan: " + description, Subjects: subjects,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		Duplicates: ringDuplicates, Replicas: c.Replicas, AllowDirect: true,
	}
	own(&s)
	return s
}

// Outcome is what became of one of several messages that were published together.
type Outcome struct {
	Receipt bridge.Receipt
	// Err is nil when the message is durable.
	Err error
}
