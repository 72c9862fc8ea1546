package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
)

// Verify reports the differences, and which of them lose events, and changes nothing.
func TestVerify(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		st     string
		change func(*jetstream.StreamConfig) // nil: the stream is removed
		want   stream.Change
		unfit  string // empty: the stream is usable
	}{
		"older events": {
			"HOOKSPAN_EVENTS",
			func(s *jetstream.StreamConfig) { s.MaxAge = 400 * time.Hour },
			stream.Change{Differences: []string{"max age from 400h0m0s to 336h0m0s"}},
			"",
		},
		"drops the oldest": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.Discard = jetstream.DiscardOld },
			stream.Change{Differences: []string{"discard from DiscardOld to DiscardNew"}},
			"stream HOOKSPAN_EVENTS: stream is not fit for events: it drops its oldest",
		},
		"keeps one of each subject": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject = 1 },
			stream.Change{Differences: []string{"max messages per subject from 1 to -1"}},
			"it drops the oldest message of a subject",
		},
		"takes one of each subject": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject, s.DiscardNewPerSubject = 1, true },
			stream.Change{Differences: []string{"max messages per subject from 1 to -1", "discard new per subject from true to false"}},
			"",
		},
		"acknowledges nothing": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.NoAck, s.AllowAtomicPublish = true, false },
			stream.Change{Differences: []string{"no ack from true to false", "allow atomic publish from false to true"}},
			"it acknowledges nothing",
		},
		"other subjects": {
			"HOOKSPAN_DEAD", func(s *jetstream.StreamConfig) { s.Subjects = []string{"hookspan.dead.x.>"} },
			stream.Change{Differences: []string{"subjects from hookspan.dead.x.> to hookspan.dead.>"}},
			"it does not take hookspan.dead.>",
		},
		"no events":     {"HOOKSPAN_EVENTS", nil, stream.Change{Created: true}, "it does not exist"},
		"no quarantine": {"HOOKSPAN_QUARANTINE", nil, stream.Change{Created: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := streamtest.Config()
			b := streamtest.Start(t, cfg)
			changes, err := stream.Verify(ctx, b.JS, cfg.Streams)
			require.NoError(t, err)
			require.Empty(t, changes)
			st, err := b.JS.Stream(ctx, c.st)
			require.NoError(t, err)
			before := st.CachedInfo().Config
			if c.change == nil {
				require.NoError(t, b.JS.DeleteStream(ctx, c.st))
			} else {
				c.change(&before)
				_, err = b.JS.UpdateStream(ctx, before)
				require.NoError(t, err)
			}

			changes, err = stream.Verify(ctx, b.JS, cfg.Streams)
			c.want.Stream = c.st
			require.Equal(t, []stream.Change{c.want}, changes)
			if c.unfit == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, stream.ErrUnfit)
				require.ErrorContains(t, err, c.unfit)
			}
			st, err = b.JS.Stream(ctx, c.st)
			if c.change == nil {
				require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
				return
			}
			require.NoError(t, err)
			require.Equal(t, before.MaxAge, st.CachedInfo().Config.MaxAge)
			require.Equal(t, before.Discard, st.CachedInfo().Config.Discard)
		})
	}
}
