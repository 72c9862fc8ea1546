package stream_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/redial"
	"github.com/hookspan/hookspan/internal/streams"
)

const patience = time.Minute

// path is the way of an event from a keeper to NATS.
type path struct {
	*stream.Keeper
	forwarder *stream.Forwarder
	publisher *stream.Publisher
	journal   *journal.Journal
	js        *redial.JetStream
	alarms    *natstest.Alarms
	close     func()
}

// setting of a path.
type setting struct {
	local      bool
	inOrder    bool
	unfit      bool // until the test says otherwise
	maxBytes   int64
	duplicates time.Duration

	missingAfter time.Duration
}

// startPath runs a path through a journal in the folder, to a NATS that may be away.
func startPath(t *testing.T, dir, url string, s setting) *path {
	t.Helper()
	p := &path{alarms: &natstest.Alarms{}}
	var err error
	p.js, err = stream.OpenExternal(stream.ExternalConfig{URL: url}, "test", p.alarms, zap.NewNop())
	require.NoError(t, err)
	p.publisher = stream.NewPublisher(p.js, bridge.Names{})
	p.publisher.SetFit(!s.unfit)
	p.publisher.SetTimeout(2 * time.Second)
	p.journal, err = journal.Open(filepath.Join(dir, "journal"), journal.Config{MaxBytes: s.maxBytes, Alarms: p.alarms})
	require.NoError(t, err)
	if s.duplicates == 0 {
		s.duplicates = streams.MinDuplicates
	}
	p.forwarder = stream.NewForwarder(p.journal, p.publisher, nil, stream.ForwarderConfig{Cluster: !s.inOrder, Duplicates: s.duplicates}, p.alarms, zap.NewNop())
	p.Keeper = stream.NewKeeper(p.forwarder, stream.KeeperConfig{Quorum: !s.local, Duplicates: s.duplicates})
	if s.missingAfter > 0 {
		p.forwarder.SetMissingAfter(s.missingAfter)
	}
	p.forwarder.Start()
	p.close = sync.OnceFunc(func() {
		p.forwarder.Close(patience)
		p.publisher.Close()
		p.js.Close()
		_ = p.journal.Close()
	})
	t.Cleanup(p.close)
	return p
}

// external is a NATS with the streams of a bridge.
func external(t *testing.T, change func(*server.Options)) *natstest.External {
	t.Helper()
	x := natstest.NewExternal(t, change)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	return x
}

func (p *path) requireConnected(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return !p.forwarder.Stuck() }, patience, time.Millisecond)
}

// publish publishes within an ingress's deadline, and returns the result.
func (p *path) publish(t *testing.T, id string) bridge.Result {
	t.Helper()
	return p.publishEvent(t, natstest.Event(id))
}

func (p *path) publishEvent(t *testing.T, e *bridge.Event) bridge.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	receipt, err := p.Publish(ctx, e)
	require.NoError(t, err)
	return receipt.Result
}

func (p *path) requireEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return p.journal.State().Records == 0 }, patience, time.Millisecond)
}

// stored returns the events of the stream, in order.
func stored(t *testing.T, js jetstream.JetStream) []jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := js.Stream(ctx, events)
	require.NoError(t, err)
	c, err := js.OrderedConsumer(ctx, events, jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	it, err := c.Messages()
	require.NoError(t, err)
	defer it.Stop()
	var out []jetstream.Msg
	for range st.CachedInfo().State.Msgs {
		m, err := it.Next(jetstream.NextContext(ctx))
		require.NoError(t, err)
		out = append(out, m)
	}
	return out
}

func ids(msgs []jetstream.Msg) []string {
	var out []string
	for _, m := range msgs {
		out = append(out, m.Headers().Get("ce-subject"))
	}
	return out
}

// scrape returns the collector's gauges and counters; those in positive are only checked to be
// positive.
func scrape(t *testing.T, positive []string, cs ...prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range cs {
		require.NoError(t, registry.Register(c))
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		if f.GetMetric()[0].GetHistogram() != nil {
			continue
		}
		value := f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		if slices.Contains(positive, f.GetName()) {
			require.Positive(t, value, f.GetName())
			continue
		}
		out[f.GetName()] = value
	}
	return out
}

// NATS was never reached since the start of the bridge: accepted events survive the process,
// and reach the stream unchanged, once, in order.
func TestNATSIsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := natstest.NewExternal(t, nil)
	p := startPath(t, dir, x.URL(), setting{maxBytes: 32 << 20})
	want := []string{}
	for i := range 20 {
		id := fmt.Sprintf("pred_%02d", i)
		require.Equal(t, bridge.Spooled, p.publish(t, id))
		require.Equal(t, bridge.Duplicate, p.publish(t, id))
		want = append(want, id)
	}
	require.True(t, p.forwarder.Stuck())
	require.Equal(t, map[string]float64{
		"hookspan_journal_records": 20, "hookspan_journal_set_aside": 0, "hookspan_journal_set_aside_bytes": 0, "hookspan_journal_max_bytes": 32 << 20,
		"hookspan_forwarded_total": 0, "hookspan_nats_available": 0,
	}, scrape(t, []string{"hookspan_journal_bytes", "hookspan_journal_oldest_seconds"}, append(p.journal.Collectors(), p.forwarder)...))
	p.close()

	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	p = startPath(t, dir, x.URL(), setting{})
	p.requireEmpty(t)
	msgs := stored(t, x.JetStream())
	require.Equal(t, want, ids(msgs))
	e := natstest.Event("pred_00")
	require.Equal(t, e.Body, msgs[0].Data())
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", msgs[0].Subject())
	require.Equal(t, e.MsgID(), msgs[0].Headers().Get("Nats-Msg-Id"))
	require.Equal(t, bridge.Duplicate, p.publish(t, "pred_07"), "what came through the journal is known")
}

// The answer of a quorum is that of the stream, while that answers.
func TestQuorumWaitsForTheStream(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	p := startPath(t, t.TempDir(), x.URL(), setting{})
	p.requireConnected(t)
	receipt, err := p.Publish(context.Background(), natstest.Event("pred_1"))
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Stored, Stream: events, Sequence: 1}, receipt)
	require.Equal(t, bridge.Duplicate, p.publish(t, "pred_1"))

	// Another bridge has stored it: the stream says so.
	_, err = x.JetStream().PublishMsg(context.Background(), stream.EventMessage(natstest.Event("pred_2")))
	require.NoError(t, err)
	receipt, err = p.Publish(context.Background(), natstest.Event("pred_2"))
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Duplicate, Stream: events, Sequence: 2}, receipt)
}

func TestNATSGoesAndComesBack(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	p := startPath(t, t.TempDir(), x.URL(), setting{})
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "before"))
	x.Stop()
	require.Equal(t, bridge.Spooled, p.publish(t, "during"))
	x.Start()
	p.requireEmpty(t)
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "after"))
	require.Equal(t, []string{"before", "during", "after"}, ids(stored(t, x.JetStream())))
}

// A NATS that takes a message without an answer may have it: the message stays in the journal,
// and is in the stream once, whatever became of the first copy.
func TestNATSNeverAnswers(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	proxy := natstest.NewProxy(t, x)
	p := startPath(t, t.TempDir(), proxy.URL(), setting{})
	p.requireConnected(t)
	require.Equal(t, bridge.Stored, p.publish(t, "before"))
	proxy.Silence(true)
	for i := range 5 {
		require.Equal(t, bridge.Spooled, p.publish(t, fmt.Sprint("during_", i)))
	}
	require.True(t, p.forwarder.Stuck(), "nobody waits any more for an answer that does not come")
	proxy.Silence(false)
	proxy.Cut()
	p.requireEmpty(t)
	require.Len(t, stored(t, x.JetStream()), 6)
}

func TestLocalWaitsForTheJournalAlone(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	p := startPath(t, t.TempDir(), x.URL(), setting{local: true})
	require.Equal(t, bridge.Stored, p.publish(t, "pred_1"))
	require.Equal(t, bridge.Duplicate, p.publish(t, "pred_1"))
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	p.requireEmpty(t)
	require.Equal(t, []string{"pred_1"}, ids(stored(t, x.JetStream())))
}

// A repetition that comes while the first delivery still waits for the stream waits for it too.
func TestRepetitionWaitsForTheStream(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	proxy := natstest.NewProxy(t, x)
	p := startPath(t, t.TempDir(), proxy.URL(), setting{})
	p.requireConnected(t)
	proxy.Silence(true)
	first := make(chan bridge.Result, 1)
	go func() {
		receipt, _ := p.Publish(context.Background(), natstest.Event("pred_1"))
		first <- receipt.Result
	}()
	require.Eventually(t, func() bool { return p.journal.State().Last == 1 }, patience, time.Millisecond)
	require.Equal(t, bridge.Spooled, p.publish(t, "pred_1"))
	require.Equal(t, bridge.Spooled, <-first)
	require.EqualValues(t, 1, p.journal.State().Last)
}

// Callers that bring the same event at once share one record, and each gets an answer.
func TestSameEventAtOnce(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{true, false} {
		x := external(t, nil)
		p := startPath(t, t.TempDir(), x.URL(), setting{local: local})
		p.requireConnected(t)
		var all sync.WaitGroup
		results := make([]bridge.Result, 64)
		for i := range results {
			all.Go(func() {
				receipt, err := p.Publish(context.Background(), natstest.Event("pred_1"))
				if err == nil {
					results[i] = receipt.Result
				}
			})
		}
		all.Wait()
		count := map[bridge.Result]int{}
		for _, r := range results {
			count[r]++
		}
		require.Equal(t, map[bridge.Result]int{bridge.Stored: 1, bridge.Duplicate: 63}, count)
		require.EqualValues(t, 1, p.journal.State().Last, "one record for all")
		p.requireEmpty(t)
		require.Len(t, stored(t, x.JetStream()), 1)
	}
}

// A repetition that comes just as the first one is kept is not kept again.
func TestSameEventAgainAtAnyMoment(t *testing.T) {
	t.Parallel()
	const events, callers = 400, 16
	p := startPath(t, t.TempDir(), natstest.NewExternal(t, nil).URL(), setting{local: true})
	var all sync.WaitGroup
	var first atomic.Int64
	for i := range events {
		for range callers {
			all.Go(func() {
				receipt, err := p.Publish(context.Background(), natstest.Event(fmt.Sprint("pred_", i)))
				if err == nil && receipt.Result == bridge.Stored {
					first.Add(1)
				}
			})
		}
	}
	all.Wait()
	require.EqualValues(t, events, first.Load())
	require.EqualValues(t, events, p.journal.State().Last)
}

// A journal that takes no more refuses nobody while the stream takes it.
func TestFullJournal(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	dir := t.TempDir()
	p := startPath(t, dir, x.URL(), setting{maxBytes: 4 << 20})
	big := func(id string) *bridge.Event {
		e := natstest.Event(id)
		e.Body = make([]byte, 900<<10)
		return e
	}
	var err error
	kept := 0
	for err == nil && kept < 100 {
		if _, err = p.Publish(context.Background(), big(fmt.Sprint("pred_", kept))); err == nil {
			kept++
		}
	}
	require.ErrorIs(t, err, bridge.ErrFull)
	require.Equal(t, []string{bridge.AlarmJournalFull}, p.alarms.Kinds())
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	p.requireEmpty(t)
	require.Len(t, stored(t, x.JetStream()), kept)
	p.requireConnected(t)
	p.publishEvent(t, big("room again"))
	require.NoError(t, p.journal.Close()) // as one that cannot be written
	require.Equal(t, bridge.Stored, p.publish(t, "directly"))
	require.Equal(t, "directly", ids(stored(t, x.JetStream()))[kept+1])
}

// What was accepted before the streams were looked at is known behind that: it is in the
// journal once, and not twice. What was accepted before they became others is not.
func TestAcceptedBeforeTheStreamIsFit(t *testing.T) {
	t.Parallel()
	p := startPath(t, t.TempDir(), natstest.NewExternal(t, nil).URL(), setting{})
	p.publisher.SetFit(false)
	require.Equal(t, bridge.Spooled, p.publish(t, "early"))
	for range 2 {
		p.publisher.SetFit(true)
		require.Equal(t, bridge.Duplicate, p.publish(t, "early"))
	}
	p.publisher.SetFit(false)
	require.Equal(t, bridge.Spooled, p.publish(t, "early"))
	require.EqualValues(t, 2, p.journal.State().Records)
}

// The ids of recent events are known after a restart.
func TestRefill(t *testing.T) {
	t.Parallel()
	x := external(t, nil)
	dir := t.TempDir()
	p := startPath(t, dir, x.URL(), setting{local: true})
	for i := range 50 {
		require.Equal(t, bridge.Stored, p.publish(t, fmt.Sprint("pred_", i)))
	}
	p.close()
	for _, h := range natstest.StatusHeaders() { // to nats.go they are words of the server
		_, err := x.JetStream().PublishMsg(context.Background(), &nats.Msg{Subject: "hookspan.events.x", Header: h})
		require.NoError(t, err)
	}
	p = startPath(t, dir, x.URL(), setting{local: true})
	p.requireConnected(t)
	require.NoError(t, p.Refill(context.Background()))
	last := p.journal.State().Last
	for i := range 50 {
		require.Equal(t, bridge.Duplicate, p.publish(t, fmt.Sprint("pred_", i)))
	}
	require.Equal(t, last, p.journal.State().Last)

	// A stream that was made anew has none of them.
	require.NoError(t, x.JetStream().DeleteStream(context.Background(), events))
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	require.Equal(t, bridge.Stored, p.publish(t, "new"))
	require.Eventually(t, func() bool { return p.publish(t, "pred_7") == bridge.Stored }, patience, time.Millisecond)
	p.requireEmpty(t)
	require.Equal(t, []string{"new", "pred_7"}, ids(stored(t, x.JetStream())))
}
