package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// TestBlocksAreWhatTheServerReads: the format is the server's own affair, which a new
// version may change.
func TestBlocksAreWhatTheServerReads(t *testing.T) {
	const count = 10_000 // more than one block
	r := newRig(t)
	data, ctx := t.TempDir(), t.Context()
	sample := stored{id: rig.AnyID, msg: &nats.Msg{
		Subject: rig.EventsPrefix + "prediction.failed.m", Header: nats.Header{rig.HeaderMsgID: {"get3w:" + rig.AnyID}}, Data: failedWebhook().Body(),
	}}
	require.NoError(t, rig.Try(func() {
		openStore(r, data, func(js jetstream.JetStream) {
			rig.Must(js.CreateStream(ctx, jetstream.StreamConfig{Name: rig.EventsStream, Subjects: []string{rig.EventsPrefix + ">"}}))
			rig.Must(js.PublishMsg(ctx, sample.msg))
		})
		now := time.Now()
		rig.Repeat(filepath.Join(data, "nats"), count, now.Add(-48*time.Hour), now.Add(-24*time.Hour))
		openStore(r, data, func(js jetstream.JetStream) {
			state := rig.StreamInfo(ctx, js).State
			require.Equal(t, uint64(count), state.Msgs)
			require.Equal(t, uint64(count), state.LastSeq)
			require.WithinRange(t, state.LastTime, now.Add(-24*time.Hour-time.Minute), now.Add(-24*time.Hour+time.Minute))
			stream := rig.Must(js.Stream(ctx, rig.EventsStream))
			for _, seq := range []uint64{1, 5_000, count} {
				got := rig.Must(stream.GetMsg(ctx, seq))
				require.Equal(t, sample.msg.Data, got.Data)
				require.Equal(t, sample.msg.Header, got.Header)
				require.Equal(t, sample.msg.Subject, got.Subject)
			}
			require.Equal(t, sample, lastStored(r, js, rig.EventsStream, rig.EventsPrefix+">"))
		})
	}))
	const other = "pred_00000000000000ff"
	m := sample.with(other)
	require.Equal(t, "get3w:"+other, m.Header.Get(rig.HeaderMsgID))
	require.Contains(t, string(m.Data), other)
	require.NotContains(t, string(m.Data), rig.AnyID)
	require.Equal(t, "get3w:"+rig.AnyID, sample.msg.Header.Get(rig.HeaderMsgID), "the sample stays as it is")
}

func TestCommitStoresAll(t *testing.T) {
	r := newRig(t)
	require.NoError(t, rig.Try(func() {
		openStore(r, t.TempDir(), func(js jetstream.JetStream) {
			rig.Must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: rig.EventsStream, Subjects: []string{"m"}, AllowAtomicPublish: true}))
			var msgs []*nats.Msg
			for range 500 {
				msgs = append(msgs, &nats.Msg{Subject: "m", Header: nats.Header{}})
			}
			rig.Check(commit(t.Context(), js.Conn(), msgs))
			require.Equal(t, uint64(500), rig.StreamInfo(t.Context(), js).State.Msgs)
		})
	}))
}
