package streamread_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// Whoever comes again does not store a message twice because it could not be looked up; for all
// others twice is better than never.
func TestConfirmWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	_, err := b.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	m := func() *nats.Msg {
		return &nats.Msg{Subject: "s.a", Header: nats.Header{"Nats-Msg-Id": {"1"}}, Data: []byte("a")}
	}
	_, err = b.JS.PublishMsg(t.Context(), m())
	require.NoError(t, err)
	ack, err := b.JS.PublishMsg(t.Context(), m())
	require.NoError(t, err)
	require.True(t, ack.Duplicate)

	away, err := nats.Connect(b.JS.Conn().ConnectedUrl())
	require.NoError(t, err)
	js, err := jetstream.New(away)
	require.NoError(t, err)
	away.Close() // no look-up is answered
	for _, certain := range []bool{true, false} {
		published := 0
		check := streamread.Check{JS: js, Certain: certain, Publish: func(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
			published++
			return b.JS.PublishMsg(ctx, m)
		}}
		got, err := check.Confirm(t.Context(), m(), ack)
		if certain {
			require.ErrorIs(t, err, nats.ErrConnectionClosed)
			require.Zero(t, published)
			continue
		}
		require.NoError(t, err)
		require.False(t, got.Duplicate)
		require.Equal(t, 1, published)
	}
}
