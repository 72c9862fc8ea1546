package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Provisioning again reports changes made meanwhile; a publish that no stream takes signals the
// need.
func TestProvisionTellsWhatItChanged(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := streamtest.Config()
	b := streamtest.Start(t, cfg)
	provision := func() (changes []stream.Change) {
		require.NoError(t, stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop(), func(c stream.Change) { changes = append(changes, c) }))
		return changes
	}
	require.Empty(t, provision())
	pub := b.Publisher()
	_, err := pub.Publish(ctx, natstest.Event("pred_1"))
	require.NoError(t, err)
	require.Empty(t, pub.Unserved())

	require.NoError(t, b.JS.DeleteStream(ctx, b.Names.EventsStream()))
	for range 3 {
		_, err = pub.Publish(ctx, natstest.Event("pred_2"))
		require.ErrorIs(t, err, bridge.ErrUnavailable)
	}
	<-pub.Unserved()
	require.Empty(t, pub.Unserved(), "once")
	require.Equal(t, []stream.Change{{Stream: b.Names.EventsStream(), Created: true}}, provision())

	st, err := b.JS.Stream(ctx, b.Names.DeadStream())
	require.NoError(t, err)
	changed := st.CachedInfo().Config
	changed.MaxAge = 1 << 50
	_, err = b.JS.UpdateStream(ctx, changed)
	require.NoError(t, err)
	changes := provision()
	require.Len(t, changes, 1)
	require.Equal(t, b.Names.DeadStream(), changes[0].Stream)
	require.Contains(t, changes[0].Differences[0], "max age")
	require.Empty(t, provision())
}

// A limit per subject and its discard policy go together: the server takes no change to one of
// them alone.
func TestProvisionRemovesLimitsOfSubjects(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := streamtest.Config()
	b := streamtest.Start(t, cfg)
	st, err := b.JS.Stream(ctx, b.Names.EventsStream())
	require.NoError(t, err)
	changed := st.CachedInfo().Config
	changed.MaxMsgsPerSubject, changed.DiscardNewPerSubject = 1, true
	_, err = b.JS.UpdateStream(ctx, changed)
	require.NoError(t, err)
	require.NoError(t, stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop()))
	changes, err := stream.Verify(ctx, b.JS, cfg.Streams)
	require.NoError(t, err)
	require.Empty(t, changes)
	for _, id := range []string{"pred_1", "pred_2"} { // of one subject
		_, err := b.Publisher().Publish(ctx, natstest.Event(id))
		require.NoError(t, err)
	}
}

// Streams have a format: one of an older program has none yet, one of a newer program is not
// touched.
func TestStreamFormat(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := streamtest.Config()
	b := streamtest.Start(t, cfg)
	st, err := b.JS.Stream(ctx, b.Names.EventsStream())
	require.NoError(t, err)
	have := st.CachedInfo().Config
	require.Equal(t, "1", have.Metadata["hookspan-format"])

	have.Metadata = map[string]string{"theirs": "stays"}
	_, err = b.JS.UpdateStream(ctx, have)
	require.NoError(t, err)
	require.NoError(t, stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop()))
	st, err = b.JS.Stream(ctx, b.Names.EventsStream())
	require.NoError(t, err)
	have = st.CachedInfo().Config
	require.Equal(t, "1", have.Metadata["hookspan-format"])
	require.Equal(t, "stays", have.Metadata["theirs"])

	have.Metadata["hookspan-format"] = "2"
	_, err = b.JS.UpdateStream(ctx, have)
	require.NoError(t, err)
	err = stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop())
	require.ErrorIs(t, err, stream.ErrUnfit)
	require.ErrorContains(t, err, "newer Hookspan")
}

// Two versions of Hookspan on one NATS do not change the settings of the other back and forth: the
// older one leaves what the newer one wants, unless an operator takes it back.
func TestSettingsOfANewerHookspanStay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := streamtest.Config()
	b := streamtest.Start(t, cfg)
	config := func() jetstream.StreamConfig {
		st, err := b.JS.Stream(ctx, b.Names.EventsStream())
		require.NoError(t, err)
		return st.CachedInfo().Config
	}
	newer := config()
	require.Equal(t, "1", newer.Metadata["hookspan-settings"])
	newer.Metadata["hookspan-settings"], newer.MaxAge = "2", newer.MaxAge+time.Hour
	_, err := b.JS.UpdateStream(ctx, newer)
	require.NoError(t, err)

	none := func(c stream.Change) { require.Fail(t, "changed", c) }
	require.NoError(t, stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop(), none))
	changes, err := stream.Verify(ctx, b.JS, cfg.Streams)
	require.NoError(t, err)
	require.Empty(t, changes)
	require.Equal(t, newer.MaxAge, config().MaxAge)

	// A stream that could lose what it acknowledges is not used, whoever wants it so.
	unfit := config()
	unfit.Discard = jetstream.DiscardOld
	_, err = b.JS.UpdateStream(ctx, unfit)
	require.NoError(t, err)
	require.ErrorIs(t, stream.Provision(ctx, b.JS, cfg.Streams, zap.NewNop(), none), stream.ErrUnfit)

	require.NoError(t, stream.TakeBack(ctx, b.JS, cfg.Streams, zap.NewNop()))
	require.Equal(t, newer.MaxAge-time.Hour, config().MaxAge)
	require.Equal(t, "1", config().Metadata["hookspan-settings"])
}
