package housekeeping

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// User app records, for its own durable and for no durable, that everything was lost. The
// janitor must ignore those records and store its own before it purges unhandled events.
func TestNobodyElseRecordsExpiredEvents(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"team", ""} {
		t.Run("durable "+name, func(t *testing.T) {
			cfg := streamtest.Config()
			cfg.Listen = "127.0.0.1:0"
			cfg.Streams.MaxBytes = limit
			b := streamtest.Start(t, cfg)
			password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.AppUser)
			require.NoError(t, err)
			refused := make(chan error, 10)
			nc, err := nats.Connect(b.Server.URL(), nats.UserInfo(stream.AppUser, password),
				nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
			require.NoError(t, err)
			t.Cleanup(nc.Close)

			info := streamOf(t, b, events).CachedInfo()
			forged := Expired{Consumer: name, Stream: events, StreamCreated: info.Created, From: 1, Count: 1, Reason: causeRoom}
			if name != "" {
				app, err := jetstream.New(nc)
				require.NoError(t, err)
				c, err := app.CreateConsumer(t.Context(), events, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
				require.NoError(t, err)
				forged.ConsumerCreated = c.CachedInfo().Created
			}
			put(t, b, perFull*96/100, completed)
			forged.To = state(t, b, events).LastSeq
			text, err := json.Marshal(forged)
			require.NoError(t, err)
			require.NoError(t, nc.Publish(b.Names.Expired(name), text))
			require.NoError(t, nc.FlushTimeout(10*time.Second)) // the refusal comes before the answer
			require.Zero(t, b.Messages(t, "HOOKSPAN_DEAD"), "it was stored")

			alarms := &natstest.Alarms{}
			require.NoError(t, janitor(b, alarms).Tick(context.Background()))
			lost := records(t, b)
			require.Len(t, lost, 1, "events were removed without a record")
			require.Equal(t, name, lost[0].Consumer)
			require.EqualValues(t, 1, lost[0].From)
			require.Equal(t, state(t, b, events).FirstSeq-1, lost[0].To)
			require.Equal(t, []string{bridge.AlarmExpired}, natstest.KindsOf(alarms.Take()))
			require.ErrorIs(t, <-refused, nats.ErrPermissionViolation)
		})
	}
}
