package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/queue/queuetest"
)

// Whoever only verifies is told what is wrong, and what of it loses events, and
// changes nothing.
func TestVerify(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		stream string
		change func(*jetstream.StreamConfig) // nil: it is removed
		want   queue.Change
		unfit  string // empty: it can be used
	}{
		"older events": {
			"HOOKSPAN_EVENTS",
			func(s *jetstream.StreamConfig) { s.MaxAge = 400 * time.Hour },
			queue.Change{Differences: []string{"max age from 400h0m0s to 336h0m0s"}},
			"",
		},
		"drops the oldest": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.Discard = jetstream.DiscardOld },
			queue.Change{Differences: []string{"discard from DiscardOld to DiscardNew"}},
			"stream HOOKSPAN_EVENTS: stream is not fit for events: it drops its oldest",
		},
		"keeps one of each subject": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject = 1 },
			queue.Change{Differences: []string{"max messages per subject from 1 to -1"}},
			"it drops the oldest message of a subject",
		},
		"takes one of each subject": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject, s.DiscardNewPerSubject = 1, true },
			queue.Change{Differences: []string{"max messages per subject from 1 to -1", "discard new per subject from true to false"}},
			"",
		},
		"acknowledges nothing": {
			"HOOKSPAN_EVENTS", func(s *jetstream.StreamConfig) { s.NoAck, s.AllowAtomicPublish = true, false },
			queue.Change{Differences: []string{"no ack from true to false", "allow atomic publish from false to true"}},
			"it acknowledges nothing",
		},
		"other subjects": {
			"HOOKSPAN_DEAD", func(s *jetstream.StreamConfig) { s.Subjects = []string{"hookspan.dead.x.>"} },
			queue.Change{Differences: []string{"subjects from hookspan.dead.x.> to hookspan.dead.>"}},
			"it does not take hookspan.dead.>",
		},
		"no events":     {"HOOKSPAN_EVENTS", nil, queue.Change{Created: true}, "it does not exist"},
		"no quarantine": {"HOOKSPAN_QUARANTINE", nil, queue.Change{Created: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := queuetest.Config()
			b := queuetest.Start(t, cfg)
			changes, err := queue.Verify(ctx, b.JS, cfg.Streams)
			require.NoError(t, err)
			require.Empty(t, changes)
			stream, err := b.JS.Stream(ctx, c.stream)
			require.NoError(t, err)
			before := stream.CachedInfo().Config
			if c.change == nil {
				require.NoError(t, b.JS.DeleteStream(ctx, c.stream))
			} else {
				c.change(&before)
				_, err = b.JS.UpdateStream(ctx, before)
				require.NoError(t, err)
			}

			changes, err = queue.Verify(ctx, b.JS, cfg.Streams)
			c.want.Stream = c.stream
			require.Equal(t, []queue.Change{c.want}, changes)
			if c.unfit == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, queue.ErrUnfit)
				require.ErrorContains(t, err, c.unfit)
			}
			stream, err = b.JS.Stream(ctx, c.stream)
			if c.change == nil {
				require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
				return
			}
			require.NoError(t, err)
			require.Equal(t, before.MaxAge, stream.CachedInfo().Config.MaxAge)
			require.Equal(t, before.Discard, stream.CachedInfo().Config.Discard)
		})
	}
}
