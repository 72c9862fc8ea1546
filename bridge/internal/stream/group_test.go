package stream_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

const events = "HOOKSPAN_EVENTS"

// group is a committer that can make batches, and counts them.
type group struct {
	*stream.Group
	t       *testing.T
	batches atomic.Int64
	batched atomic.Int64
	after   func() // called after each batch, unless nil
}

func startGroup(t *testing.T, js jetstream.JetStream, cfg stream.GroupConfig) *group {
	t.Helper()
	g := &group{t: t}
	cfg.Observe = func(n int) {
		g.batches.Add(1)
		g.batched.Add(int64(n))
		if g.after != nil {
			g.after()
		}
	}
	g.Group = stream.NewGroup(js, events, cfg)
	t.Cleanup(g.Close)
	require.Eventually(t, g.Able, patience, time.Millisecond)
	return g
}

type answer struct {
	id  string
	ack *jetstream.PubAck
	err error
}

// together holds the group until n messages with these ids wait, so that they can be one batch,
// and returns the answers.
func (g *group) together(ctx context.Context, ids ...string) []answer {
	g.t.Helper()
	g.Hold()
	wait := g.bring(ctx, ids...)
	require.Eventually(g.t, func() bool { return g.Queued() == len(ids) }, patience, time.Millisecond)
	g.LetGo()
	return wait()
}

func (g *group) bring(ctx context.Context, ids ...string) (wait func() []answer) {
	answers := make([]answer, len(ids))
	var done sync.WaitGroup
	for i, id := range ids {
		done.Go(func() {
			ack, err := g.Commit(ctx, stream.EventMessage(natstest.Event(id)))
			answers[i] = answer{id, ack, err}
		})
	}
	return func() []answer {
		done.Wait()
		return answers
	}
}

func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i)
	}
	return out
}

// places returns the sequence of each prediction in the stream, and fails if the stream has one
// twice.
func places(t *testing.T, js jetstream.JetStream) map[string]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := js.Stream(ctx, events)
	require.NoError(t, err)
	state := st.CachedInfo().State
	out := map[string]uint64{}
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := st.GetMsg(ctx, seq)
		require.NoError(t, err)
		id := m.Header.Get("ce-subject")
		require.Zero(t, out[id], "%s is stored twice", id)
		require.Equal(t, natstest.Event(id).Body, m.Data)
		out[id] = seq
	}
	return out
}

// Each id comes twice, at different times: one caller is told stored, the other duplicate, and
// both the sequence.
func TestGroupStoresEachOnce(t *testing.T) {
	t.Parallel()
	for _, callers := range []int{1, 2, 7, 16, 64, 256} {
		t.Run(fmt.Sprint(callers), func(t *testing.T) {
			b := streamtest.Start(t, streamtest.Config())
			stored := eachTwice(t, b.JS, startGroup(t, b.JS, stream.GroupConfig{}), callers, numbered("pred_", 2*callers))
			require.Equal(t, 2*callers, stored)
		})
	}
}

// A message of a batch that was refused for a duplicate can be in a trial next, and is a single
// then.
func TestGroupTriesSinglesAfterARefusedBatch(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	ids := numbered("pred_", 300)
	require.Equal(t, 100, eachTwice(t, b.JS, startGroup(t, b.JS, stream.GroupConfig{}), 64, ids[:100]))
	g := startGroup(t, b.JS, stream.GroupConfig{}) // knows none of them
	g.after = g.OweTrial
	require.Equal(t, 200, eachTwice(t, b.JS, g, 64, ids))
}

// eachTwice has the callers commit each id twice, in any order, and returns how many were told
// stored.
func eachTwice(t *testing.T, js jetstream.JetStream, g *group, callers int, ids []string) int {
	t.Helper()
	todo := slices.Concat(ids, ids)
	rand.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	var next atomic.Int64
	answers := make([]answer, len(todo))
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(todo)); i = next.Add(1) - 1 {
				ack, err := g.Commit(context.Background(), stream.EventMessage(natstest.Event(todo[i])))
				answers[i] = answer{todo[i], ack, err}
			}
		})
	}
	done.Wait()
	for _, a := range answers {
		require.NoError(t, a.err)
	}
	stored, there := checkPlaces(t, js, answers)
	require.Equal(t, len(ids), there)
	t.Logf("%d messages, %d stored, %d batches with %d messages", len(todo), stored, g.batches.Load(), g.batched.Load())
	return stored
}

// checkAnswers compares the answers with the stream, and returns how many callers were told
// stored.
func checkAnswers(t *testing.T, js jetstream.JetStream, answers []answer) (stored int) {
	t.Helper()
	stored, there := checkPlaces(t, js, answers)
	require.Equal(t, there, stored)
	return stored
}

// checkPlaces is checkAnswers for a stream that may have held messages before. It also returns
// how many it holds now.
func checkPlaces(t *testing.T, js jetstream.JetStream, answers []answer) (stored, there int) {
	t.Helper()
	at := places(t, js)
	first := map[string]bool{}
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		require.Equal(t, at[a.id], a.ack.Sequence, "%s", a.id)
		require.Equal(t, events, a.ack.Stream)
		if !a.ack.Duplicate {
			require.False(t, first[a.id], "two were told that %s was stored", a.id)
			first[a.id] = true
			stored++
		}
	}
	return stored, len(at)
}

func TestSameIDAtOnce(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{})
	same := make([]string, 64)
	for i := range same {
		same[i] = "pred_1"
	}
	answers := g.together(context.Background(), same...)
	for _, a := range answers {
		require.NoError(t, a.err)
	}
	require.Equal(t, 1, checkAnswers(t, b.JS, answers))
}

// Messages that wait together are one batch, and each caller gets its own sequence.
func TestWhatWaitsIsOneBatch(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	answers := g.together(context.Background(), numbered("pred_", 100)...)
	for _, a := range answers {
		require.NoError(t, a.err)
		require.False(t, a.ack.Duplicate)
	}
	require.Equal(t, 100, checkAnswers(t, b.JS, answers))
	require.EqualValues(t, 1, g.batches.Load())
	require.EqualValues(t, 100, g.batched.Load())

	// Fewer than the break-even make no batch.
	require.Equal(t, 103, checkAnswers(t, b.JS, append(answers, g.together(context.Background(), numbered("few_", 3)...)...)))
	require.EqualValues(t, 1, g.batches.Load())
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	size := stream.MessageSize(stream.EventMessage(natstest.Event("pred_10")))
	for name, cfg := range map[string]stream.GroupConfig{"messages": {MaxBatch: 25}, "bytes": {MaxBatchBytes: 25*size + size/2}} {
		cfg.BreakEven = 4
		g := startGroup(t, b.JS, cfg)
		for _, a := range g.together(context.Background(), numbered(name, 90)...) {
			require.NoError(t, a.err)
		}
		require.GreaterOrEqual(t, g.batches.Load(), int64(90/25), name)
		require.LessOrEqual(t, g.batched.Load()/g.batches.Load(), int64(25), name)
	}
	require.Len(t, places(t, b.JS), 180)
}

// The stream knows ids that the committer does not: it refuses the whole batch, and every
// caller still gets its own answer.
func TestDuplicatesRefuseABatchAndNobody(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	all := numbered("pred_", 100)
	for i := 0; i < len(all); i += 10 {
		_, err := b.JS.PublishMsg(context.Background(), stream.EventMessage(natstest.Event(all[i])))
		require.NoError(t, err)
	}
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	at := places(t, b.JS)
	answers := g.together(context.Background(), all...)
	for i, a := range answers {
		require.NoError(t, a.err)
		require.Equal(t, i%10 == 0, a.ack.Duplicate)
		if a.ack.Duplicate {
			require.Equal(t, at[a.id], a.ack.Sequence)
		}
	}
	require.Len(t, places(t, b.JS), 100)
	require.Greater(t, g.batches.Load(), int64(1), "those that were new did not find each other again")

	// Now the committer knows them, and keeps them out of batches.
	before := g.batches.Load()
	answers = g.together(context.Background(), numbered("more_", 50)...)
	require.Equal(t, before+1, g.batches.Load())
	wait := g.bring(context.Background(), all...)
	for _, a := range append(answers, wait()...) {
		require.NoError(t, a.err)
	}
	require.Equal(t, before+1, g.batches.Load())
}

// The stream has room for some messages of a batch: those are stored, the other callers are
// told that it is full.
func TestFullStreamInTheMiddle(t *testing.T) {
	t.Parallel()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 16 << 10
	b := streamtest.Start(t, cfg)
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	answers := g.together(context.Background(), numbered("pred_", 64)...)
	full := 0
	for _, a := range answers {
		if a.err != nil {
			require.ErrorIs(t, a.err, bridge.ErrFull)
			full++
		}
	}
	stored := checkAnswers(t, b.JS, answers)
	require.Positive(t, stored)
	require.Positive(t, full)
	require.Equal(t, 64, stored+full)
}

// A message too large for the stream does not fail the others.
func TestOneThatIsTooLarge(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	g.Hold()
	large := stream.EventMessage(natstest.Event("large"))
	large.Header["ce-model"] = []string{string(make([]byte, 65<<10))}
	failed := make(chan error, 1)
	go func() {
		_, err := g.Commit(context.Background(), large)
		failed <- err
	}()
	wait := g.bring(context.Background(), numbered("pred_", 20)...)
	require.Eventually(t, func() bool { return g.Queued() == 21 }, patience, time.Millisecond)
	g.LetGo()
	require.ErrorIs(t, <-failed, bridge.ErrTooLarge)
	answers := wait()
	for _, a := range answers {
		require.NoError(t, a.err)
	}
	require.Equal(t, 20, checkAnswers(t, b.JS, answers))
}

func TestMessageIsTheCallersAgain(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	msgs := make([]*nats.Msg, 50)
	touched := make([]bool, len(msgs))
	var done sync.WaitGroup
	g.Hold()
	for i, id := range numbered("pred_", len(msgs)) {
		msgs[i] = stream.EventMessage(natstest.Event(id))
		before := maps.Clone(msgs[i].Header)
		// Half of the callers do not wait, and reuse their message.
		ctx, cancel := context.WithCancel(context.Background())
		done.Go(func() {
			defer cancel()
			_, err := g.Commit(ctx, msgs[i])
			if i%2 == 1 {
				touched[i] = err != nil || !maps.EqualFunc(before, msgs[i].Header, slices.Equal)
				return
			}
			clear(msgs[i].Header)
			clear(msgs[i].Data)
		})
		if i%2 == 0 {
			time.AfterFunc(time.Duration(rand.IntN(4000))*time.Microsecond, cancel)
		}
	}
	g.LetGo()
	done.Wait()
	require.NotContains(t, touched, true)
	places(t, b.JS) // compares the bodies
}
