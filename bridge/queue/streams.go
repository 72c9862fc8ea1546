package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

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
	minShareBytes                       = 16 << 20
	alarmsBytes                         = 8 << 20
	advisoriesBytes                     = 64 << 20

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

// StreamsConfig says how the streams are to be. Zero values are defaults.
type StreamsConfig struct {
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

func (c StreamsConfig) withDefaults() StreamsConfig {
	c.MaxBytes = cmp.Or(c.MaxBytes, 10<<30)
	c.MaxAge = cmp.Or(c.MaxAge, 14*24*time.Hour)
	c.Duplicates = max(c.Duplicates, MinDuplicates)
	return c
}

// share is what a stream gets that has 1/part of the events' bytes, at most most.
func (c StreamsConfig) share(part, most int64) int64 {
	return min(max(c.withDefaults().MaxBytes/part, minShareBytes), most)
}

// storeBytes is the disk space that the streams may take together.
func (c StreamsConfig) storeBytes() int64 {
	sum := c.laterBytes()
	for _, s := range c.streams() {
		sum += max(0, s.MaxBytes)
	}
	return sum
}

// laterBytes is how much may wait for its next attempt.
func (c StreamsConfig) laterBytes() int64 { return c.share(laterShare, maxLaterBytes) }

// streams are all the streams.
//
// Retention is by limits: interest would drop an event that no consumer waits
// for yet, a work queue forgets the ids of what was acknowledged. DiscardNew
// where a 200 was given for what is kept: the oldest event may be one that
// nobody has handled.
func (c StreamsConfig) streams() []jetstream.StreamConfig {
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
			Name:              c.Names.LedgerStream(),
			Description:       "Hookspan: what consumers remember of events",
			Subjects:          []string{c.Names.LedgerSubject(">")},
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
			// With a limit of its own, or with DiscardNew, the server would drop
			// schedules that it has acknowledged, or make no stream at all.
			Name:              c.Names.LaterStream(),
			Description:       "Hookspan: events that wait for their next attempt",
			Subjects:          c.Names.LaterSubjects(),
			Retention:         jetstream.WorkQueuePolicy,
			Discard:           jetstream.DiscardOld,
			Storage:           jetstream.FileStorage,
			MaxBytes:          unlimited,
			Duplicates:        ringDuplicates,
			Replicas:          c.Replicas,
			AllowDirect:       true,
			AllowMsgSchedules: true,
			Metadata:          map[string]string{bridge.LaterLimitKey: strconv.FormatInt(c.laterBytes(), 10)},
		},
	}
}

// A stream says in its metadata in which format its messages are. One with a
// newer format was made by a newer Hookspan and is refused.
const (
	formatKey    = "hookspan-format"
	streamFormat = 1
)

// Change is something that [Provision] did.
type Change struct {
	Stream string
	// Created: the stream was missing.
	Created bool
	// Differences are the settings that were changed otherwise.
	Differences []string
}

// ErrUnfit is wrapped by [Provision] for a stream that cannot keep what is
// promised of it and cannot be changed so that it can.
var ErrUnfit = errors.New("stream is not fit for events")

// Provision makes the streams what cfg says: it creates what is missing, changes
// what differs, and touches nothing else. It is safe to call from several
// processes, and again while they run. Each of tell is told what was done. The
// error wraps [ErrUnfit] for a stream that must not be used.
func Provision(ctx context.Context, js jetstream.JetStream, cfg StreamsConfig, log *zap.Logger, tell ...func(Change)) error {
	for _, want := range cfg.streams() {
		// An older server refuses what it does not know. Without schedules events
		// wait with their durable, two minutes at a time, and consumers say so.
		if !versionAtLeast(js.Conn().ConnectedServerVersion(), 2, 12) {
			want.AllowAtomicPublish = false
			if want.AllowMsgSchedules {
				continue
			}
		}
		change, err := ensureStream(ctx, js, want, log)
		if err == nil && change != nil {
			for _, told := range tell {
				told(*change)
			}
		}
		if err != nil {
			return fmt.Errorf("provisioning stream %s: %w", want.Name, err)
		}
	}
	return nil
}

// ensureStream returns what it changed, nil when nothing.
func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, log *zap.Logger) (*Change, error) {
	want.Metadata = maps.Clone(want.Metadata)
	if want.Metadata == nil {
		want.Metadata = map[string]string{}
	}
	want.Metadata[formatKey] = strconv.Itoa(streamFormat)
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &Change{Stream: want.Name, Created: true}, createStream(ctx, js, want, log)
	}
	if err != nil {
		return nil, err
	}
	have := stream.CachedInfo().Config
	if err := checkUnchangeable(have, want); err != nil {
		return nil, err
	}
	changed, differences := merge(have, want)
	if len(differences) == 0 {
		return nil, nil
	}
	// A ring gives up its oldest, which is what it is for.
	if used := stream.CachedInfo().State.Bytes; want.Discard != jetstream.DiscardOld && want.MaxBytes > 0 && used > uint64(want.MaxBytes) {
		return nil, fmt.Errorf("it holds %d bytes, more than the new limit of %d: choose a larger nats.events.max_bytes, or nats.spool.max_bytes if it is the spool", used, want.MaxBytes)
	}
	log.Warn("changing a stream", zap.String("stream", want.Name), zap.Strings("changes", differences))
	_, err = js.UpdateStream(ctx, changed)
	return &Change{Stream: want.Name, Differences: differences}, err
}

func createStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, log *zap.Logger) error {
	replicas := []int{want.Replicas}
	if want.Replicas == 0 {
		replicas = []int{3, 1}
	}
	var err error
	for _, want.Replicas = range replicas {
		made := want
		made.AllowAtomicPublish = atomicPays(want, want.Replicas)
		if _, err = js.CreateStream(ctx, made); err == nil {
			log.Info("created a stream", zap.String("stream", want.Name), zap.Int("replicas", want.Replicas))
			return nil
		}
		if !tooFewServers(err) {
			return err
		}
	}
	return err
}

// tooFewServers tells the two refusals of a server that has not enough peers for
// the replicas: not clustered at all, and no suitable peers.
func tooFewServers(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeNotClustered || api.ErrorCode == codeNoPeers)
}

// checkUnchangeable refuses a stream whose durability or retention is not what
// the promises are made of; the server could not change it either.
func checkUnchangeable(have, want jetstream.StreamConfig) error {
	const remedy = "remove it, or choose another nats.prefix"
	if text, ok := have.Metadata[formatKey]; ok {
		if format, err := strconv.Atoi(text); err != nil || format > streamFormat {
			return fmt.Errorf("%w: its format is %.20q, this program knows up to %d: use the newer Hookspan that made it", ErrUnfit, text, streamFormat)
		}
	}
	switch {
	case have.Storage != want.Storage:
		return fmt.Errorf("%w: it keeps messages in %v, not in files: %s", ErrUnfit, have.Storage, remedy)
	case have.Retention != want.Retention:
		return fmt.Errorf("%w: its retention is %v, not by limits: %s", ErrUnfit, have.Retention, remedy)
	case have.PersistMode != want.PersistMode:
		return fmt.Errorf("%w: it acknowledges before it writes (persist mode async): %s", ErrUnfit, remedy)
	case have.Sealed:
		return fmt.Errorf("%w: it is sealed: %s", ErrUnfit, remedy)
	case have.Mirror != nil:
		return fmt.Errorf("%w: it is a mirror: %s", ErrUnfit, remedy)
	case have.AllowRollup && !want.AllowRollup && want.MaxMsgsPerSubject == 1:
		return fmt.Errorf("%w: it allows rollups, by which one message purges it: %s", ErrUnfit, remedy)
	}
	return nil
}

// merge returns have with the settings of want that we care about, and what
// that changes.
func merge(have, want jetstream.StreamConfig) (jetstream.StreamConfig, []string) {
	var differences []string
	note := func(what string, from, to any) {
		differences = append(differences, fmt.Sprintf("%s from %v to %v", what, from, to))
	}
	if !slices.Equal(slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects))) {
		note("subjects", strings.Join(have.Subjects, ","), strings.Join(want.Subjects, ","))
		have.Subjects = want.Subjects
	}
	diff(note, "discard", &have.Discard, want.Discard)
	diff(note, "max bytes", &have.MaxBytes, want.MaxBytes)
	diff(note, "max age", &have.MaxAge, want.MaxAge)
	diff(note, "duplicate window", &have.Duplicates, want.Duplicates)
	diff(note, "max messages", &have.MaxMsgs, unlimited)
	diff(note, "max messages per subject", &have.MaxMsgsPerSubject, cmp.Or(want.MaxMsgsPerSubject, unlimited))
	diff(note, "max message size", &have.MaxMsgSize, unlimited)
	diff(note, "no ack", &have.NoAck, false)
	diff(note, "allow direct", &have.AllowDirect, want.AllowDirect)
	if want.AllowMsgSchedules { // nor can this
		diff(note, "allow message schedules", &have.AllowMsgSchedules, true)
	}
	if want.AllowMsgTTL { // it cannot be taken back
		diff(note, "allow message TTL", &have.AllowMsgTTL, true)
	}
	if want.Replicas != 0 {
		diff(note, "replicas", &have.Replicas, want.Replicas)
	}
	if atomicPays(want, have.Replicas) {
		diff(note, "allow atomic publish", &have.AllowAtomicPublish, true)
	}
	have.Metadata = maps.Clone(have.Metadata) // it says other people's things too
	if have.Metadata == nil {
		have.Metadata = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(want.Metadata)) {
		if value := want.Metadata[key]; have.Metadata[key] != value {
			note(key, have.Metadata[key], value)
			have.Metadata[key] = value
		}
	}
	return have, differences
}

// atomicPays says whether a stream gets atomic batches: several replicas share
// syncs without them.
func atomicPays(want jetstream.StreamConfig, replicas int) bool {
	return want.AllowAtomicPublish && replicas <= 1
}

// unlimited is how the server writes a limit that is not set.
const unlimited = -1

// diff sets what have points to, and notes it, when it is not want.
func diff[T comparable](note func(what string, from, to any), what string, have *T, want T) {
	if *have != want {
		note(what, *have, want)
		*have = want
	}
}
