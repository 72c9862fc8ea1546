package streams

import (
	"cmp"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Settings of the streams that the operator need not choose.
const (
	// MinDuplicates is the shortest time for which a duplicate is known. A
	// million ids in it cost the server 133 to 185 MiB.
	MinDuplicates = 2 * time.Hour

	// The other streams get a share of what events get.
	deadShare, maxDeadBytes             = 8, 1 << 30
	quarantineShare, maxQuarantineBytes = 16, 1 << 30
	refusedShare, maxRefusedBytes       = 32, 256 << 20
	ledgerShare, maxLedgerBytes         = 32, 256 << 20
	laterShare, maxLaterBytes           = 8, 1 << 30
	predictionsShare, maxPredictions    = 8, 2 << 30
	minShareBytes                       = 16 << 20
	alarmsBytes                         = 8 << 20
	advisoriesBytes                     = 16 << 20

	deadAge        = 90 * 24 * time.Hour
	deadDuplicates = 24 * time.Hour
	refusedAge     = 14 * 24 * time.Hour
	alarmsAge      = 90 * 24 * time.Hour
	advisoriesAge  = 30 * 24 * time.Hour
	maxConsumers   = 1024
	// ringDuplicates is the server's default. In the ring of refused deliveries it
	// spans most of a sender's retries; nothing relies on it.
	ringDuplicates = 2 * time.Minute
)

// Config says how the streams are to be. Zero values are defaults.
type Config struct {
	Names bridge.Names
	// MaxBytes and MaxAge bound the stream of events, default 10 GiB and 14 days.
	MaxBytes int64
	MaxAge   time.Duration
	// Duplicates is how long the id of an event is remembered, default and at
	// least [MinDuplicates].
	Duplicates time.Duration
	// Replicas of each stream; 0 lets the deployment decide when the stream is
	// created: 3 in a cluster, 1 elsewhere.
	Replicas int
}

func (c Config) withDefaults() Config {
	c.MaxBytes = cmp.Or(c.MaxBytes, 10<<30)
	c.MaxAge = cmp.Or(c.MaxAge, 14*24*time.Hour)
	c.Duplicates = max(c.Duplicates, MinDuplicates)
	return c
}

// share is what a stream gets that has 1/part of the events' bytes, at most most.
func (c Config) share(part, most int64) int64 {
	return min(max(c.withDefaults().MaxBytes/part, minShareBytes), most)
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

// All are all the streams.
//
// Retention is by limits: interest would drop an event that no consumer waits
// for yet, a work queue forgets the ids of what was acknowledged. DiscardNew
// where a 200 was given for what is kept: the oldest event may be one that
// nobody has handled.
func (c Config) All() []jetstream.StreamConfig {
	c = c.withDefaults()
	return []jetstream.StreamConfig{
		{
			Name:        c.Names.EventsStream(),
			Description: "Hookspan: every event that was accepted",
			Subjects:    c.Names.EventsSubjects(),
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardNew,
			Storage:     jetstream.FileStorage,
			MaxBytes:    c.MaxBytes,
			MaxAge:      c.MaxAge,
			Duplicates:  c.Duplicates,
			Replicas:    c.Replicas,
			AllowDirect: true,
			// Several messages can share a sync.
			AllowAtomicPublish: true,
			// A durable costs memory and a folder, and user "app" makes them.
			MaxConsumers: maxConsumers,
		},
		{
			Name:        c.Names.DeadStream(),
			Description: "Hookspan: events that a consumer gave up on",
			Subjects:    c.Names.DeadSubjects(),
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardNew,
			Storage:     jetstream.FileStorage,
			MaxBytes:    c.share(deadShare, maxDeadBytes),
			MaxAge:      deadAge,
			Duplicates:  deadDuplicates,
			Replicas:    c.Replicas,
			AllowDirect: true,
		},
		{
			// What is in it was answered 200, so nothing pushes it out.
			Name:        c.Names.QuarantineStream(),
			Description: "Hookspan: authentic deliveries that could not become an event",
			Subjects:    c.Names.QuarantineSubjects(),
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardNew,
			Storage:     jetstream.FileStorage,
			MaxBytes:    c.share(quarantineShare, maxQuarantineBytes),
			Duplicates:  MinDuplicates,
			Replicas:    c.Replicas,
			AllowDirect: true,
		},
		{
			// The only ring: whoever sends here has proved nothing.
			Name:        c.Names.RefusedStream(),
			Description: "Hookspan: deliveries that were not authentic, the oldest go first",
			Subjects:    c.Names.RefusedSubjects(),
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardOld,
			Storage:     jetstream.FileStorage,
			MaxBytes:    c.share(refusedShare, maxRefusedBytes),
			MaxAge:      refusedAge,
			Duplicates:  ringDuplicates,
			Replicas:    c.Replicas,
			AllowDirect: true,

			AllowAtomicPublish: true,
		},
		{
			Name:        c.Names.AlarmsStream(),
			Description: "Hookspan: what a person should know of",
			Subjects:    c.Names.AlarmsSubjects(),
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardOld,
			Storage:     jetstream.FileStorage,
			MaxBytes:    alarmsBytes,
			MaxAge:      alarmsAge,
			Duplicates:  ringDuplicates,
			Replicas:    c.Replicas,
			AllowDirect: true,
		},
		{
			// Looked at at once, so what is in it is what the bridge missed while it
			// was away.
			Name:        c.Names.AdvisoriesStream(),
			Description: "Hookspan: deliveries that ended without a verdict",
			Subjects:    c.Names.AdvisoriesSubjects(),
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardOld,
			Storage:     jetstream.FileStorage,
			MaxBytes:    advisoriesBytes,
			MaxAge:      advisoriesAge,
			Duplicates:  ringDuplicates,
			Replicas:    c.Replicas,
			AllowDirect: true,
		},
		{
			// Made by hand and not as a key-value bucket, which would allow
			// rollups: one message of anybody could then purge all of it. Marks
			// of expired keys would need them too, so there are none.
			Name:              c.Names.AttemptsStream(),
			Description:       "Hookspan: what consumers remember of events",
			Subjects:          []string{c.Names.AttemptsSubject(">")},
			Retention:         jetstream.LimitsPolicy,
			Discard:           jetstream.DiscardNew,
			Storage:           jetstream.FileStorage,
			MaxMsgsPerSubject: 1,
			MaxBytes:          c.share(ledgerShare, maxLedgerBytes),
			Duplicates:        ringDuplicates,
			Replicas:          c.Replicas,
			AllowDirect:       true,
			AllowMsgTTL:       true,
		},
		{
			// As the ledger of consumers; what finished long ago goes by its TTL.
			Name:               c.Names.PredictionsStream(),
			Description:        "Hookspan: what is known of each prediction",
			Subjects:           []string{c.Names.PredictionsSubject(">")},
			Retention:          jetstream.LimitsPolicy,
			Discard:            jetstream.DiscardNew,
			Storage:            jetstream.FileStorage,
			MaxMsgsPerSubject:  1,
			MaxBytes:           c.share(predictionsShare, maxPredictions),
			Duplicates:         ringDuplicates,
			Replicas:           c.Replicas,
			AllowDirect:        true,
			AllowMsgTTL:        true,
			AllowAtomicPublish: true,
		},
		{
			// With a limit of its own, or with DiscardNew, the server would drop
			// schedules that it has acknowledged, or make no stream at all.
			Name:              c.Names.LaterStream(),
			Description:       "Hookspan: events that wait for their next attempt",
			Subjects:          c.Names.LaterSubjects(),
			Retention:         jetstream.WorkQueuePolicy,
			Discard:           jetstream.DiscardOld,
			Storage:           jetstream.FileStorage,
			MaxBytes:          -1,
			Duplicates:        ringDuplicates,
			Replicas:          c.Replicas,
			AllowDirect:       true,
			AllowMsgSchedules: true,
			Metadata:          map[string]string{bridge.LaterLimitKey: strconv.FormatInt(c.laterBytes(), 10)},
		},
	}
}

// Outcome is what became of one of several messages that were published together.
type Outcome struct {
	Receipt bridge.Receipt
	// Err is nil when the message is durable.
	Err error
}
