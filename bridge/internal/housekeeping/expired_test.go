package housekeeping

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/contracts/contractstest"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// The record of a durable's loss is stored, once, before anything is purged, even if user app
// has used its id or somebody has removed the record.
func TestRecordBelievesNoDuplicate(t *testing.T) {
	t.Parallel()
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	cfg.Consumers = []string{"archive"}
	b := streamtest.Start(t, cfg)
	app := b.App()
	alarms := &natstest.Alarms{}
	r := &round{Janitor: janitor(b, alarms)}
	e := Expired{Consumer: "archive", ConsumerCreated: time.Unix(1, 0), Stream: events, StreamCreated: time.Unix(2, 0), From: 1, To: 9, Count: 9, Reason: "room"}
	count := func() uint64 {
		info, err := streamOf(t, b, "HOOKSPAN_DEAD").Info(t.Context(), jetstream.WithSubjectFilter("hookspan.dead.archive.expired"))
		require.NoError(t, err)
		return info.State.Subjects["hookspan.dead.archive.expired"]
	}
	for n, body := range []string{"", "{}", `{"consumer":"archive","from":1,"to":9}`} {
		e.To++
		_, err := app.PublishMsg(t.Context(), &nats.Msg{
			Subject: "hookspan.dead.mine.x", Data: []byte(body), Header: nats.Header{bridge.HeaderMsgID: {e.msgID()}},
		})
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, r.storeRecord(t.Context(), e))
			require.EqualValues(t, n+1, count())
		}
		require.Contains(t, natstest.KindsOf(alarms.Take()), bridge.AlarmIDTaken)
	}
	e.To++
	for _, handled := range []uint64{0, 4} { // a second process counts later
		e.Count -= handled
		require.NoError(t, r.storeRecord(t.Context(), e))
		require.EqualValues(t, 4, count())
	}
	last, err := streamOf(t, b, "HOOKSPAN_DEAD").GetLastMsgForSubject(t.Context(), "hookspan.dead.archive.expired")
	require.NoError(t, err)
	as, err := contractstest.New(t).Check(last.Subject, last.Header, last.Data)
	require.NoError(t, err)
	require.Equal(t, "expired", as.Name)
	require.NoError(t, streamOf(t, b, "HOOKSPAN_DEAD").DeleteMsg(t.Context(), last.Sequence))
	require.NoError(t, r.storeRecord(t.Context(), e))
	require.EqualValues(t, 4, count())
	require.Empty(t, alarms.Take())
}
