package housekeeping

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/natstest"
)

// racing removes the first message between two looks at the removed ones.
type racing struct {
	jetstream.JetStream

	t *testing.T
}

type racingStream struct {
	jetstream.Stream

	t *testing.T
}

func (r racing) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := r.JetStream.Stream(ctx, name)
	return racingStream{stream, r.t}, err
}

func (s racingStream) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	if len(opts) > 0 {
		require.NoError(s.t, s.DeleteMsg(ctx, 1))
	}
	return s.Stream.Info(ctx, opts...)
}

// Messages that are removed while the scrub looks at them are no damage.
func TestScrubBesideRemovals(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), 16<<20)
	put(t, b, 5, completed)
	stream, err := b.JS.Stream(t.Context(), events)
	require.NoError(t, err)
	for _, seq := range []uint64{2, 3} {
		require.NoError(t, stream.DeleteMsg(t.Context(), seq))
	}
	alarms := &natstest.Alarms{}
	checkpoint, err := OpenCheckpoint(&paper{}, "test")
	require.NoError(t, err)
	s := NewScrub(racing{b.JS, t}, checkpoint, ScrubConfig{Streams: []string{events}, BytesPerSecond: 1 << 30, Alarms: alarms, Logger: zap.NewNop()})
	require.NoError(t, s.Pass(t.Context(), events))
	require.Empty(t, alarms.Kinds())
	_, err = stream.GetMsg(t.Context(), 1)
	require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
}
