package stream_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// forgetful is a NATS whose stream of events forgets message ids almost at once, as one does
// that a process was away from for longer than its window.
func forgetful(t *testing.T) *natstest.External {
	t.Helper()
	return forgetsAfter(t, 100*time.Millisecond)
}

func forgetsAfter(t *testing.T, window time.Duration) *natstest.External {
	t.Helper()
	x := external(t, nil)
	change(t, x.JetStream(), func(cfg *jetstream.StreamConfig) { cfg.Duplicates = window })
	return x
}

// awaitForgotten returns when the stream no longer knows the ids of what it has, also when it
// does not answer. It stores more events, all of one message id.
func awaitForgotten(t *testing.T, x *natstest.External) {
	t.Helper()
	js, n := x.JetStream(), 0
	count := func() uint64 {
		st, err := js.Stream(context.Background(), events)
		require.NoError(t, err)
		return st.CachedInfo().State.Msgs
	}
	before := count()
	require.Eventually(t, func() bool {
		n++
		m := stream.EventMessage(natstest.Event(fmt.Sprint("probe_", n)))
		m.Header["Nats-Msg-Id"] = []string{"probe"}
		require.NoError(t, js.Conn().PublishMsg(m))
		return count() >= before+2 // the first one, and one when that was forgotten
	}, patience, 10*time.Millisecond)
}

// requirePredictions requires that the stream has so many events besides those of
// awaitForgotten, none twice.
func requirePredictions(t *testing.T, x *natstest.External, n int) {
	t.Helper()
	at := places(t, x.JetStream())
	maps.DeleteFunc(at, func(id string, _ uint64) bool { return strings.HasPrefix(id, "probe_") })
	require.Len(t, at, n)
}

// A process was away until the stream had forgotten the ids of what it had forwarded, and not
// noted as settled: nothing is stored twice.
func TestAwayForLongerThanIDsAreKnown(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 500} {
		x := forgetful(t)
		dir := t.TempDir()
		away := natstest.NewExternal(t, nil)
		p := startPath(t, dir, away.URL(), setting{})
		for i := range 300 {
			require.Equal(t, bridge.Spooled, p.publish(t, fmt.Sprint("pred_", i)))
		}
		// A bridge that no longer knows the id keeps a repeated webhook again.
		p.publisher.Forget()
		for _, id := range []string{"pred_7", "pred_250", "pred_7"} {
			require.Equal(t, bridge.Spooled, p.publish(t, id))
			p.publisher.Forget()
		}
		require.EqualValues(t, 303, p.journal.State().Records)
		p.close()
		// As the killed process left it: the first ones are stored, between those of others,
		// and some of those behind, which were in flight.
		put := func(id string) {
			_, err := x.JetStream().PublishMsg(context.Background(), stream.EventMessage(natstest.Event(id)))
			require.NoError(t, err)
		}
		for i := range others {
			put(fmt.Sprint("other_", i))
		}
		for i := range 200 {
			put(fmt.Sprint("pred_", i))
		}
		put("pred_250")
		awaitForgotten(t, x)
		p = startPath(t, dir, x.URL(), setting{duplicates: 100 * time.Millisecond})
		p.requireEmpty(t)
		requirePredictions(t, x, 300+others)
	}
}

// NATS stored a block and did not answer, until the ids were forgotten: the forwarder looks it
// up before it sends the block again.
func TestNoAnswerForLongerThanIDsAreKnown(t *testing.T) {
	t.Parallel()
	x := forgetful(t)
	p := startPath(t, t.TempDir(), x.URL(), setting{duplicates: 100 * time.Millisecond})
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "before"))
	mute := func(on bool) { change(t, x.JetStream(), func(cfg *jetstream.StreamConfig) { cfg.NoAck = on }) }
	mute(true)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { _, _ = p.Publish(context.Background(), natstest.Event(fmt.Sprint("pred_", i))) })
	}
	all.Wait()
	require.Eventually(t, func() bool {
		st, err := x.JetStream().Stream(context.Background(), events)
		return err == nil && st.CachedInfo().State.Msgs == 51
	}, patience, 10*time.Millisecond)
	awaitForgotten(t, x)
	mute(false)
	p.requireEmpty(t)
	requirePredictions(t, x, 51)
}

// A record that NATS never takes delays nobody, is not lost, and can be sent again.
func TestSetAsideWhatNATSNeverTakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const limit = 64 << 10
	x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = limit })
	p := startPath(t, dir, x.URL(), setting{})
	require.Equal(t, bridge.Spooled, p.publish(t, "first"))
	big := natstest.Event("big")
	big.Body = make([]byte, limit)
	require.Equal(t, bridge.Spooled, p.publishEvent(t, big))
	require.Equal(t, bridge.Spooled, p.publish(t, "last"))

	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	p.requireEmpty(t)
	require.Equal(t, 1, p.journal.State().SetAside)
	require.Equal(t, []string{"first", "last"}, ids(stored(t, x.JetStream())))
	require.Equal(t, []string{bridge.AlarmSetAside}, p.alarms.Kinds())
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "meanwhile"))
	_, err := p.Publish(context.Background(), withBodyOf(big, "too large from the start"))
	require.ErrorIs(t, err, bridge.ErrTooLarge)
	p.close()

	x2 := external(t, nil)
	p = startPath(t, dir, x2.URL(), setting{})
	n, err := p.journal.Resend(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	p.requireEmpty(t)
	msgs := stored(t, x2.JetStream())
	require.Equal(t, []string{"big"}, ids(msgs))
	require.Equal(t, big.MsgID(), msgs[0].Headers().Get("Nats-Msg-Id"))
	require.Len(t, msgs[0].Data(), limit)
	require.Zero(t, p.journal.State().SetAside)
}

func withBodyOf(e *bridge.Event, id string) *bridge.Event {
	out := natstest.Event(id)
	out.Body = e.Body
	return out
}

// A full quarantine delays no event. What was accepted before it was seen to be full is set
// aside, and what comes later is refused until there is room.
func TestFullQuarantineHoldsUpNoEvent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x := external(t, nil)
	p := startPath(t, t.TempDir(), x.URL(), setting{local: true})
	p.requireConnected(t)
	q := quarantine.NewQuarantine(p.Keeper, bridge.Names{}, p.alarms)
	big := strings.Repeat("x", 900<<10)
	kept := 0
	for ; ; kept++ {
		if _, err := q.Keep(ctx, streamtest.Kept(fmt.Sprint(kept)+big)); err != nil {
			require.ErrorIs(t, err, bridge.ErrFull)
			break
		}
	}
	for i := range 20 {
		_, err := q.Keep(ctx, streamtest.Kept(fmt.Sprint("more", i)+big))
		require.ErrorIs(t, err, bridge.ErrFull)
	}
	require.Equal(t, bridge.Stored, p.publish(t, "beside"))
	p.requireEmpty(t)
	require.Equal(t, []string{"beside"}, ids(stored(t, x.JetStream())))
	aside := p.journal.State().SetAside
	require.Positive(t, aside)
	require.Contains(t, p.alarms.Kinds(), bridge.AlarmSetAside)
	st, err := x.JetStream().Stream(ctx, "HOOKSPAN_QUARANTINE")
	require.NoError(t, err)
	require.EqualValues(t, kept-aside, st.CachedInfo().State.Msgs, "each is there or set aside")

	require.NoError(t, st.Purge(ctx))
	require.Eventually(t, func() bool {
		_, err := q.Keep(ctx, streamtest.Kept("room again"))
		return err == nil
	}, patience, 10*time.Millisecond)
	n, err := p.journal.Resend(ctx)
	require.NoError(t, err)
	require.Equal(t, aside, n)
	p.requireEmpty(t)
	st, err = x.JetStream().Stream(ctx, "HOOKSPAN_QUARANTINE")
	require.NoError(t, err)
	require.EqualValues(t, aside+1, st.CachedInfo().State.Msgs)
}

// What is stored of a block is settled although the rest cannot be: later its ids may be
// forgotten. A stream with room again takes the rest, and nothing twice.
func TestFullStreamSettlesWhatIsStored(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	dir := t.TempDir()
	p := startPath(t, dir, x.URL(), setting{local: true})
	const sent, size = 6, 512 << 10
	for i := range sent {
		e := natstest.Event(fmt.Sprint("pred_", i))
		e.Body = make([]byte, size)
		require.Equal(t, bridge.Stored, p.publishEvent(t, e))
	}
	p.close()
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 4 * size})
	p = startPath(t, dir, x.URL(), setting{local: true, inOrder: true})
	const fit = 3 // a message is a little more than its body

	require.Eventually(t, func() bool { return slices.Contains(p.alarms.Kinds(), bridge.AlarmStoreFull) }, patience, time.Millisecond)

	require.Eventually(t, func() bool { return len(stored(t, x.JetStream())) == fit }, patience, time.Millisecond)

	require.Eventually(t, func() bool { return p.journal.State().Settled == fit }, patience, time.Millisecond)
	require.Equal(t, bridge.Stored, p.publish(t, "accepted on"))
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	p.requireEmpty(t)
	require.Eventually(t, func() bool { return p.alarms.Cleared(bridge.AlarmStoreFull) }, patience, time.Millisecond)
	require.Len(t, stored(t, x.JetStream()), sent+1)
}

// Records of an earlier nats.prefix have no stream any more. They hold nothing up, and are not
// lost.
func TestRecordsOfAnotherPrefix(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	p := startPath(t, t.TempDir(), x.URL(), setting{})
	other := bridge.Names{Prefix: "other"}
	e := natstest.Event("pred_1")
	header := e.Header()
	header[bridge.HeaderMsgID] = []string{e.MsgID()}
	require.NoError(t, p.journal.Append(context.Background(), &journal.Record{Stream: other.EventsStream(), Subject: other.SubjectOf(e), Header: header, Body: e.Body}))
	p.requireEmpty(t)
	require.Equal(t, 1, p.journal.State().SetAside)
	require.Contains(t, p.alarms.Kinds(), bridge.AlarmSetAside)
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "pred_2"))
}

// The stream is removed under the forwarder: what comes meanwhile waits, and is there once the
// stream is.
func TestStreamRemovedAndMadeAnew(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	p := startPath(t, t.TempDir(), x.URL(), setting{})
	p.requireConnected(t)
	for i := range 20 {
		require.Equal(t, bridge.Stored, p.publish(t, fmt.Sprint("before_", i)))
	}
	require.NoError(t, x.JetStream().DeleteStream(context.Background(), events))
	require.Equal(t, bridge.Spooled, p.publish(t, "during"))
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	p.requireEmpty(t)
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "before_3"), "the new stream does not have it")
	require.Equal(t, []string{"during", "before_3"}, ids(stored(t, x.JetStream())))
}

// The forwarder leaves a server that is connected and serves nothing.
func TestLeavesAServerThatDoesNotServe(t *testing.T) {
	t.Parallel()
	idle := natstest.NewExternal(t, func(o *server.Options) { o.JetStream = false })
	idle.Start()
	x := natstest.NewExternal(t, nil)
	p := startPath(t, t.TempDir(), idle.URL()+","+x.URL(), setting{})
	require.Eventually(t, p.js.Conn().IsConnected, patience, 10*time.Millisecond)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	require.Equal(t, bridge.Spooled, p.publish(t, "pred_1"))
	p.requireEmpty(t)
	require.Equal(t, x.URL(), p.js.Conn().ConnectedUrl())
	require.Equal(t, []string{"pred_1"}, ids(stored(t, x.JetStream())))
}

// A bridge that shuts down empties its journal if NATS is reachable.
func TestCloseEmptiesTheJournal(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	p := startPath(t, t.TempDir(), x.URL(), setting{local: true})
	p.requireConnected(t)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() { _, _ = p.Publish(context.Background(), natstest.Event(fmt.Sprint("pred_", i))) })
	}
	all.Wait()
	p.close()
	require.Len(t, stored(t, x.JetStream()), 200)
}

// The headers of a batch belong to one batch: a message that was refused in one is stored
// without them, and what is stored carries them nowhere else.
func TestForwardedMessagesAreWhole(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	p := b.Publisher()
	j, err := journal.Open(t.TempDir(), journal.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	for i := range 3000 {
		m := stream.EventMessage(natstest.Event(fmt.Sprint("pred_", i)))
		if i%7 == 0 { // the stream has some of them
			_, err := b.JS.PublishMsg(t.Context(), m)
			require.NoError(t, err)
		}
		require.NoError(t, j.Append(t.Context(), &journal.Record{Stream: events, Subject: m.Subject, Header: m.Header, Body: m.Data}))
	}
	f := stream.NewForwarder(j, p, nil, stream.ForwarderConfig{Duplicates: streams.MinDuplicates}, b.Alarms, zap.NewNop())
	f.Start()
	require.NoError(t, f.Empty(t.Context()))
	f.Close(0)
	require.Len(t, places(t, b.JS), 3000)
	require.EqualValues(t, 3000, f.Forwarded())
	require.Positive(t, p.Batches())
	for _, m := range stored(t, b.JS) {
		header := bridge.Header(m.Headers()).Republish()
		for key := range header {
			require.False(t, strings.HasPrefix(key, "Nats-Batch"), key)
		}
	}
}

// What an earlier version left in its spool reaches the stream, once, also what it had set
// aside there, and the spool is gone.
func TestOldSpoolIsMoved(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	folder, err := datafolder.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	js, end, err := stream.OldSpool(ctx, folder, bridge.Names{})
	require.NoError(t, err)
	for i := range 1500 {
		m := stream.EventMessage(natstest.Event(fmt.Sprint("pred_", i)))
		m.Subject = "hookspan.spool." + strings.TrimPrefix(m.Subject, "hookspan.")
		if i == 700 {
			m.Subject = "hookspan.spool.stuck." + strings.TrimPrefix(m.Subject, "hookspan.spool.")
			m.Header["hookspan-stuck-id"] = m.Header["Nats-Msg-Id"]
			delete(m.Header, "Nats-Msg-Id")
		}
		_, err := js.PublishMsg(ctx, m)
		require.NoError(t, err)
	}
	end()
	p := startPath(t, folder.Dir(), external(t, nil).URL(), setting{inOrder: true})
	require.Error(t, stream.MoveOldSpool(ctx, folder, bridge.Names{Prefix: "other"}, p.journal, zap.NewNop()))
	require.True(t, folder.Has("spool"))
	require.NoError(t, stream.MoveOldSpool(ctx, folder, bridge.Names{}, p.journal, zap.NewNop()))
	require.False(t, folder.Has("spool"))
	p.requireEmpty(t)
	msgs := stored(t, p.js)
	require.Len(t, msgs, 1500)
	for i, m := range msgs {
		e := natstest.Event(fmt.Sprint("pred_", i))
		require.Equal(t, e.MsgID(), m.Headers().Get("Nats-Msg-Id"))
		require.Equal(t, e.Body, m.Data())
	}
	require.Empty(t, msgs[700].Headers().Get("hookspan-stuck-id"))
}

// This host is cut off for longer than ids are known, and meanwhile another one stores the same
// events: those that wait here are recognised.
func TestAnotherHostStoresWhatWaits(t *testing.T) {
	t.Parallel()
	x := forgetful(t)
	proxy := natstest.NewProxy(t, x)
	p := startPath(t, t.TempDir(), proxy.URL(), setting{local: true, inOrder: true, duplicates: 100 * time.Millisecond})
	p.requireConnected(t)
	proxy.Silence(true)
	for i := range 5 {
		require.Equal(t, bridge.Stored, p.publish(t, fmt.Sprint("pred_", i)))
		_, err := x.JetStream().PublishMsg(context.Background(), stream.EventMessage(natstest.Event(fmt.Sprint("pred_", i))))
		require.NoError(t, err)
	}
	awaitForgotten(t, x)
	proxy.Silence(false)
	proxy.Cut()
	p.requireEmpty(t)
	requirePredictions(t, x, 5)
}

// A block was read while the one before was in flight for hours. Another host stored what is in
// it in the meantime: its age counts when it is sent, not when it was read.
func TestBlockReadAheadForLongerThanIDsAreKnown(t *testing.T) {
	t.Parallel()
	const window, all = 4 * time.Second, 2500 // two blocks and a half
	x := forgetsAfter(t, window)
	mute := func(on bool) { change(t, x.JetStream(), func(cfg *jetstream.StreamConfig) { cfg.NoAck = on }) }
	mute(true)
	proxy := natstest.NewProxy(t, x)
	p := startPath(t, t.TempDir(), proxy.URL(), setting{local: true, inOrder: true, unfit: true, duplicates: window})
	var publishing sync.WaitGroup
	for i := range all {
		publishing.Go(func() { _, _ = p.Publish(context.Background(), natstest.Event(fmt.Sprint("pred_", i))) })
	}
	publishing.Wait()
	require.EqualValues(t, all, p.journal.State().Records)
	p.publisher.SetTimeout(patience) // the connection is cut before
	p.publisher.SetFit(true)
	st, err := x.JetStream().Stream(context.Background(), events)
	require.NoError(t, err)
	awaitStored := func(n uint64) {
		require.Eventually(t, func() bool {
			info, err := st.Info(context.Background())
			return err == nil && info.State.Msgs == n
		}, patience, time.Millisecond)
	}
	awaitStored(1000) // and not acknowledged
	proxy.Silence(true)
	first := places(t, x.JetStream())
	other, others := x.JetStream().Conn(), 0
	for i := range all {
		id := fmt.Sprint("pred_", i)
		if first[id] == 0 && others < 500 {
			others++
			require.NoError(t, other.PublishMsg(stream.EventMessage(natstest.Event(id))))
		}
	}
	awaitStored(1500)
	awaitForgotten(t, x)
	mute(false)
	proxy.Silence(false)
	proxy.Cut()
	p.requireEmpty(t)
	requirePredictions(t, x, all)
}

// A stream for unusable deliveries that nobody makes holds up no event.
func TestStreamThatIsMissing(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	require.NoError(t, x.JetStream().DeleteStream(context.Background(), "HOOKSPAN_QUARANTINE"))
	p := startPath(t, t.TempDir(), x.URL(), setting{local: true, inOrder: true, missingAfter: 100 * time.Millisecond})
	p.requireConnected(t)
	q := quarantine.NewQuarantine(p.Keeper, bridge.Names{}, p.alarms)
	_, err := q.Keep(context.Background(), streamtest.Kept("x"))
	require.NoError(t, err)
	require.Equal(t, bridge.Stored, p.publish(t, "pred_1"))
	p.requireEmpty(t)
	require.Equal(t, []string{"pred_1"}, ids(stored(t, x.JetStream())))
	require.Equal(t, 1, p.journal.State().SetAside)
	_, err = q.Keep(context.Background(), streamtest.Kept("y"))
	require.ErrorIs(t, err, bridge.ErrFull)
}

// NATS failed at something while nothing waited: it counts as away until it serves again.
func TestServesAgainWhileNothingWaits(t *testing.T) {
	t.Parallel()
	p := startPath(t, t.TempDir(), external(t, nil).URL(), setting{})
	p.requireConnected(t)
	for range 3 {
		p.forwarder.Unserved(errors.New("no answer"))
	}
	require.True(t, p.forwarder.Stuck())
	p.forwarder.Served()
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "pred_1"))
}

// What a dead host had forwarded and not noted is imported elsewhere, long after: it is stored
// once.
func TestRecordsOfADeadHost(t *testing.T) {
	t.Parallel()
	x := forgetful(t)
	s := setting{local: true, duplicates: 100 * time.Millisecond}
	died := time.Now()
	m := stream.EventMessage(natstest.Event("pred_0"))
	_, err := x.JetStream().PublishMsg(context.Background(), m)
	require.NoError(t, err)
	dir := t.TempDir()
	p := startPath(t, dir, x.URL(), s)
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "later"))
	p.requireEmpty(t)
	p.close()
	awaitForgotten(t, x)
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Config{})
	require.NoError(t, err)
	require.NoError(t, j.Import(context.Background(), &journal.Record{Stream: events, Subject: m.Subject, Header: m.Header, Body: m.Data, At: died}))
	require.NoError(t, j.Close())
	p = startPath(t, dir, x.URL(), s)
	p.requireEmpty(t)
	requirePredictions(t, x, 2)
}
