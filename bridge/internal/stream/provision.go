package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streams"
)

// Metadata keys of a stream, and what this program writes there.
const (
	// The format of the messages. A stream with a newer format is refused.
	formatKey    = "hookspan-format"
	streamFormat = 1
	// The number of the settings. A release that wants other settings of any stream raises it, and
	// older processes leave the settings of the newer one as they are: otherwise two versions on
	// one NATS would change them back and forth.
	settingsKey    = "hookspan-settings"
	streamSettings = 1
)

// Change is something that [Provision] did or, for [Verify], would do.
type Change struct {
	Stream string
	// Created: the stream was missing.
	Created bool
	// Kept is the last sequence of a created stream whose messages were still there, since only
	// its description was lost. Zero is a new stream.
	Kept uint64
	// Differences are the other changed settings.
	Differences []string
}

// ErrUnfit is wrapped by [Provision] for a stream that cannot keep its promises and cannot be
// changed so that it does.
var ErrUnfit = errors.New("stream is not fit for events")

// Provision makes the streams as cfg says: it creates missing ones, changes differences, and
// touches nothing else. Several processes may call it, also repeatedly while they run. A stream
// with the settings of a newer Hookspan stays as it is. tell functions get each change. The error
// wraps [ErrUnfit] for a stream that must not be used.
func Provision(ctx context.Context, js jetstream.JetStream, cfg streams.Config, log *zap.Logger, tell ...func(Change)) error {
	return provision(ctx, js, cfg, ensureStream, log, tell)
}

// TakeBack is [Provision] that also changes the settings of a newer Hookspan to those of this one:
// for an operator who went back to an older version and stays there.
func TakeBack(ctx context.Context, js jetstream.JetStream, cfg streams.Config, log *zap.Logger, tell ...func(Change)) error {
	return provision(ctx, js, cfg, setStream, log, tell)
}

type ensure func(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, have *jetstream.StreamInfo, log *zap.Logger) (*Change, error)

func provision(ctx context.Context, js jetstream.JetStream, cfg streams.Config, ensure ensure, log *zap.Logger, tell []func(Change)) error {
	if err := checkVersion(js.Conn()); err != nil {
		return err
	}
	all := cfg.All()
	for _, want := range all {
		change, err := provisionStream(ctx, js, withFormat(want), ensure, log)
		if err == nil && change != nil {
			for _, told := range tell {
				told(*change)
			}
		}
		if err != nil {
			return fmt.Errorf("provisioning stream %s: %w", want.Name, explain(err, want, change != nil && !change.Created, len(all), cfg.StoreBytes()))
		}
	}
	return nil
}

func withFormat(want jetstream.StreamConfig) jetstream.StreamConfig {
	want.Metadata = maps.Clone(want.Metadata)
	if want.Metadata == nil {
		want.Metadata = map[string]string{}
	}
	want.Metadata[formatKey] = strconv.Itoa(streamFormat)
	want.Metadata[settingsKey] = strconv.Itoa(streamSettings)
	return want
}

// ofNewer reports whether the stream has the settings of a newer Hookspan.
func ofNewer(have jetstream.StreamConfig) bool {
	settings, err := strconv.Atoi(have.Metadata[settingsKey])
	return err == nil && settings > streamSettings
}

// provisionStream returns what it changed, nil if nothing.
func provisionStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, ensure ensure, log *zap.Logger) (*Change, error) {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		kept, err := createStream(ctx, js, want, log)
		return &Change{Stream: want.Name, Created: true, Kept: kept}, err
	}
	if err != nil {
		return nil, err
	}
	have := stream.CachedInfo()
	if err := checkUnchangeable(have.Config, want); err != nil {
		return nil, err
	}
	return ensure(ctx, js, want, have, log)
}

func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, have *jetstream.StreamInfo, log *zap.Logger) (*Change, error) {
	if ofNewer(have.Config) {
		return nil, checkKeeps(have.Config, want)
	}
	return setStream(ctx, js, want, have, log)
}

func setStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, have *jetstream.StreamInfo, log *zap.Logger) (*Change, error) {
	changed, differences := merge(have.Config, want)
	if len(differences) == 0 {
		return nil, nil
	}
	// A ring may lose its oldest messages.
	if used := have.State.Bytes; want.Discard != jetstream.DiscardOld && want.MaxBytes > 0 && used > uint64(want.MaxBytes) {
		return nil, fmt.Errorf("it holds %d bytes, more than the new limit of %d: choose a larger nats.events.max_bytes, or nats.spool.max_bytes if it is the spool", used, want.MaxBytes)
	}
	log.Warn("changing a stream", zap.String("stream", want.Name), zap.Strings("changes", differences))
	_, err := js.UpdateStream(ctx, changed)
	return &Change{Stream: want.Name, Differences: differences}, err
}

// createStream returns the last sequence of the stream, whose messages may exist if only its
// description was lost.
func createStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, log *zap.Logger) (uint64, error) {
	replicas := []int{want.Replicas}
	if want.Replicas == 0 {
		replicas = []int{3, 1}
	}
	var err error
	for _, want.Replicas = range replicas {
		made := want
		made.AllowAtomicPublish = atomicPays(want, want.Replicas)
		var stream jetstream.Stream
		if stream, err = js.CreateStream(ctx, made); err == nil {
			state := stream.CachedInfo().State
			log.Info("created a stream", zap.String("stream", want.Name), zap.Int("replicas", want.Replicas), zap.Uint64("messages", state.Msgs))
			return state.LastSeq, nil
		}
		if !natserr.Is(err, natserr.NotClustered) { // a cluster that lacks a server must not get single copies for good
			return 0, err
		}
	}
	return 0, err
}

// checkUnchangeable refuses a stream whose durability or retention breaks the promises; the
// server could not change it either.
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

// merge returns have with the settings of want that matter, and the differences.
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
	diff(note, "discard new per subject", &have.DiscardNewPerSubject, false)
	diff(note, "max message size", &have.MaxMsgSize, unlimited)
	diff(note, "no ack", &have.NoAck, false)
	diff(note, "allow direct", &have.AllowDirect, want.AllowDirect)
	if want.AllowMsgSchedules { // irreversible too
		diff(note, "allow message schedules", &have.AllowMsgSchedules, true)
	}
	if want.AllowMsgTTL { // irreversible
		diff(note, "allow message TTL", &have.AllowMsgTTL, true)
	}
	if want.Replicas != 0 {
		diff(note, "replicas", &have.Replicas, want.Replicas)
	}
	if want.Placement != nil && !samePlacement(have.Placement, want.Placement) {
		note("placement", placementText(have.Placement), placementText(want.Placement))
		have.Placement = want.Placement
	}
	if atomicPays(want, have.Replicas) {
		diff(note, "allow atomic publish", &have.AllowAtomicPublish, true)
	}
	have.Metadata = maps.Clone(have.Metadata) // it may have metadata of others
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

// atomicPays reports whether a stream should allow atomic batches: several replicas share syncs
// without them.
func atomicPays(want jetstream.StreamConfig, replicas int) bool {
	return want.AllowAtomicPublish && replicas <= 1
}

func samePlacement(have, want *jetstream.Placement) bool {
	return have != nil && (want.Cluster == "" || have.Cluster == want.Cluster) && slices.Equal(have.Tags, want.Tags)
}

func placementText(p *jetstream.Placement) string {
	if p == nil {
		return "any server"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %v", p.Cluster, p.Tags))
}

// unlimited is the server's value of a limit that is not set.
const unlimited = -1

// diff sets what have points to, and notes it, when it is not want.
func diff[T comparable](note func(what string, from, to any), what string, have *T, want T) {
	if *have != want {
		note(what, *have, want)
		*have = want
	}
}
