package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestStreamSettings(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	st, err := b.JS.Stream(context.Background(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	cfg := st.CachedInfo().Config
	require.Equal(t, []string{"hookspan.events.>", "hookspan.again.>"}, cfg.Subjects)
	require.Equal(t, jetstream.LimitsPolicy, cfg.Retention, "others drop events, or the ids of handled ones")
	require.Equal(t, jetstream.DiscardNew, cfg.Discard, "the oldest event may be unhandled")
	require.Equal(t, jetstream.FileStorage, cfg.Storage)
	require.Equal(t, jetstream.DefaultPersistMode, cfg.PersistMode, "another one answers before it writes")
	require.Equal(t, 2*time.Hour, cfg.Duplicates)
	require.Equal(t, 14*24*time.Hour, cfg.MaxAge)
	require.EqualValues(t, 64<<20, cfg.MaxBytes)
	require.Equal(t, 1, cfg.Replicas)
	require.True(t, cfg.AllowDirect)
	require.True(t, cfg.AllowAtomicPublish, "what waits together can share a sync")
	require.False(t, cfg.DenyDelete, "it could never be taken back")
	require.False(t, cfg.DenyPurge)
}

func TestProvisionChangesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	cfg := streamtest.Config().Streams
	core, logs := observer.New(zap.InfoLevel)

	require.NoError(t, stream.Provision(ctx, b.JS, cfg, zap.New(core)))
	require.Zero(t, logs.Len(), "nothing differs, so nothing is changed")

	// Settings that do not matter stay.
	st, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	theirs := st.CachedInfo().Config
	theirs.Description = "mine"
	theirs.MaxAge = time.Hour * 3
	theirs.Discard = jetstream.DiscardOld
	_, err = b.JS.UpdateStream(ctx, theirs)
	require.NoError(t, err)
	cfg.Duplicates = 150 * time.Minute
	require.NoError(t, stream.Provision(ctx, b.JS, cfg, zap.New(core)))
	require.Equal(t, 1, logs.Len())
	require.ElementsMatch(t, []any{
		"discard from DiscardOld to DiscardNew", "max age from 3h0m0s to 336h0m0s", "duplicate window from 2h0m0s to 2h30m0s",
	}, logs.All()[0].ContextMap()["changes"])
	st, err = b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.Equal(t, "mine", st.CachedInfo().Config.Description)
	require.Equal(t, jetstream.DiscardNew, st.CachedInfo().Config.Discard)
}

func TestProvisionRefusesAStreamThatCannotKeepThePromises(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for want, cfg := range map[string]jetstream.StreamConfig{
		"not in files":  {Storage: jetstream.MemoryStorage},
		"not by limits": {Retention: jetstream.InterestPolicy},
		"persist mode":  {PersistMode: jetstream.AsyncPersistMode},
	} {
		b := streamtest.Start(t, streamtest.Config())
		require.NoError(t, b.JS.DeleteStream(ctx, "HOOKSPAN_EVENTS"))
		cfg.Name, cfg.Subjects = "HOOKSPAN_EVENTS", []string{"hookspan.events.>", "hookspan.again.>"}
		_, err := b.JS.CreateStream(ctx, cfg)
		require.NoError(t, err)
		err = stream.Provision(ctx, b.JS, streamtest.Config().Streams, zap.NewNop())
		require.ErrorIs(t, err, stream.ErrUnfit)
		require.ErrorContains(t, err, want)
	}
}

func TestProvisionNeverShrinksBelowWhatIsStored(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	e := natstest.Event("pred_1")
	e.Body = make([]byte, 1<<20)
	_, err := b.Publisher().Publish(ctx, e)
	require.NoError(t, err)
	cfg := streamtest.Config().Streams
	cfg.MaxBytes = 1 << 10
	require.ErrorContains(t, stream.Provision(ctx, b.JS, cfg, zap.NewNop()), "nats.events.max_bytes")
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))
}

// The content of the ring, which anybody can fill, must not prevent a smaller configuration.
func TestProvisionShrinksTheRing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 1 << 30
	b := streamtest.Start(t, cfg)
	for range 20 {
		_, err := b.JS.Publish(ctx, "hookspan.refused.get3w.not_authentic", make([]byte, 1<<20))
		require.NoError(t, err)
	}
	cfg.Streams.MaxBytes = 64 << 20
	require.NoError(t, stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop()))
	require.EqualValues(t, 15, b.Messages(t, "HOOKSPAN_REFUSED"), "of 16 MiB")
}

func TestLedgerAllowsNoRollup(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	require.NoError(t, b.JS.DeleteStream(ctx, "KV_HOOKSPAN_ATTEMPTS"))
	_, err := b.JS.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "HOOKSPAN_ATTEMPTS"})
	require.NoError(t, err)
	require.ErrorIs(t, stream.Provision(ctx, b.JS, streamtest.Config().Streams, zap.NewNop()), stream.ErrUnfit)
}

// A folder of an early version gets a stream of polls, and one whose stream lacks settings
// gets those.
func TestProvisionMakesTheStreamOfPolls(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := streamtest.Config()
	dir := t.TempDir()
	b := streamtest.StartIn(t, dir, cfg)
	name := b.Names.PollsStream()
	provision := func() (changes []stream.Change) {
		require.NoError(t, stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop(), func(c stream.Change) { changes = append(changes, c) }))
		return changes
	}
	fit := func() {
		st, err := b.JS.Stream(ctx, name)
		require.NoError(t, err)
		have := st.CachedInfo().Config
		require.True(t, have.AllowMsgTTL)
		require.EqualValues(t, 1, have.MaxMsgsPerSubject)
	}
	require.Empty(t, provision())
	require.NoError(t, b.JS.DeleteStream(ctx, name))
	b.Stop()
	b = streamtest.StartIn(t, dir, cfg)
	fit()
	require.Empty(t, provision())

	require.NoError(t, b.JS.DeleteStream(ctx, name))
	_, err := b.JS.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{b.Names.PollsSubject(">")}, Storage: jetstream.FileStorage, MaxMsgsPerSubject: 5})
	require.NoError(t, err)
	changes := provision()
	require.Len(t, changes, 1)
	require.False(t, changes[0].Created)
	fit()
	require.Empty(t, provision())
}

// The size may change in both directions.
func TestResize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, bytes := range []int64{1 << 30, 1 << 20, 2 << 30} {
		cfg := streamtest.Config()
		cfg.Streams.MaxBytes = bytes
		b := streamtest.StartIn(t, dir, cfg)
		st, err := b.JS.Stream(context.Background(), "HOOKSPAN_EVENTS")
		require.NoError(t, err)
		require.Equal(t, bytes, st.CachedInfo().Config.MaxBytes)
		_, err = b.Publisher().Publish(context.Background(), natstest.Event("pred_1"))
		require.NoError(t, err)
		require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_EVENTS"))
		b.Stop()
	}
}

// A stream of an earlier version gets atomic batches, unless it shares syncs by itself or
// cannot have them.
func TestAtomicPublish(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	core, logs := observer.New(zap.WarnLevel)
	for _, name := range []string{b.Names.EventsStream(), b.Names.RefusedStream()} {
		st, err := b.JS.Stream(ctx, name)
		require.NoError(t, err)
		old := st.CachedInfo().Config
		old.AllowAtomicPublish = false
		_, err = b.JS.UpdateStream(ctx, old)
		require.NoError(t, err)
		require.NoError(t, stream.Provision(ctx, b.JS, streamtest.Config().Streams, zap.New(core)))
		st, err = b.JS.Stream(ctx, name)
		require.NoError(t, err)
		require.True(t, st.CachedInfo().Config.AllowAtomicPublish)
		require.Equal(t, []any{"allow atomic publish from false to true"}, logs.TakeAll()[0].ContextMap()["changes"])
	}
	st, err := b.JS.Stream(ctx, b.Names.QuarantineStream())
	require.NoError(t, err)
	require.False(t, st.CachedInfo().Config.AllowAtomicPublish)

	want := jetstream.StreamConfig{AllowAtomicPublish: true}
	require.True(t, stream.AtomicPays(want, 1))
	require.False(t, stream.AtomicPays(want, 3), "replicas share syncs by themselves")
	require.False(t, stream.AtomicPays(jetstream.StreamConfig{}, 1))
}
