package predictions

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
)

// history publishes what may happen to predictions, in any order.
func (r *rig) history(random *rand.Rand, events, predictions int) {
	r.t.Helper()
	told := map[string][]*bridge.Event{}
	for n := range events {
		id := fmt.Sprintf("p/%d", random.IntN(predictions))
		var e *bridge.Event
		switch random.IntN(11) {
		case 0:
			e = r.watches(id, bridge.Watch{Reference: fmt.Sprint(random.IntN(3)), EstimatedDuration: float64(random.IntN(3))})
		case 1:
			e = r.says(id, running)
		case 2:
			e = r.says(id, finished)
		case 3:
			e = r.says(id, fmt.Sprintf(`"status":"failed","error":"%d"`, random.IntN(2)))
		case 4:
			e = r.loses(id)
		case 5:
			if e = r.archives(told[id]); e == nil {
				continue
			}
		case 6:
			if len(told[id]) > 0 {
				r.again(told[id][random.IntN(len(told[id]))], fmt.Sprint(n))
			}
			continue
		case 7: // a duplicate after the stream has forgotten its id
			if len(told[id]) > 0 {
				r.duplicate(told[id][random.IntN(len(told[id]))])
			}
			continue
		case 8: // more than is remembered of one
			e = r.says("many", fmt.Sprintf(`"status":"processing","n":%d`, n))
		case 9:
			e = r.says(id, `"status":"completed","outputs":[`+strings.Repeat(`"https://x/a",`, random.IntN(100))+`"text"]`)
		default:
			e = r.says(id, fmt.Sprintf(`"status":"starting","n":%d`, n))
		}
		told[id] = append(told[id], e)
		r.publish(e)
	}
}

func (r *rig) duplicate(e *bridge.Event) {
	r.t.Helper()
	_, err := r.JS.PublishMsg(r.ctx, &nats.Msg{Subject: r.Names.SubjectOf(e), Header: nats.Header(e.Header()), Data: e.Body})
	require.NoError(r.t, err)
}

// archives publishes that the last end among the events is archived.
func (r *rig) archives(told []*bridge.Event) *bridge.Event {
	for _, e := range told {
		if e.Kind() == bridge.KindPrediction && bridge.Terminal(e.Status) {
			return archivedOf(r.t, e)
		}
	}
	return nil
}

func archivedOf(t *testing.T, of *bridge.Event) *bridge.Event {
	t.Helper()
	body, err := json.Marshal(bridge.Archived{Event: of.ID, Prediction: of.PredictionID, Manifest: "file:///m.json"})
	require.NoError(t, err)
	return &bridge.Event{
		ID: bridge.NewEventID(of.PredictionID, "archived", body), Source: "get3w", Type: bridge.TypeArchived, PredictionID: of.PredictionID,
		Status: of.Status, RawStatus: of.RawStatus, Origin: bridge.OriginArchive, Time: time.Now(), ReceivedAt: time.Now(), Body: body,
	}
}

// openIDs are the keys of the open predictions.
func openIDs(open map[string]string) map[string]bool {
	out := map[string]bool{}
	for key := range open {
		out[key] = true
	}
	return out
}

// The prediction store follows from the events, to the byte, however often it is made anew
// and whatever was removed of it, while it runs or not.
func TestRebuiltIsTheSame(t *testing.T) {
	r := newRig(t)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	p := r.start("one", r.store)
	for range 5 {
		r.history(random, 200, 300)
		r.folded(p)
	}
	entries, open := r.all(bridge.KeyEntry), r.all(bridge.KeyOpen)
	require.NotEmpty(t, entries)
	require.NotEmpty(t, open)

	again := func(what string, do func()) {
		id := r.meta().ID
		do()
		r.eventually(func() bool { m := r.meta(); return m.ID != "" && m.ID != id && !m.Rebuilding }, what)
		r.eventually(p.leads)
		r.folded(p)
		require.Equal(t, entries, r.all(bridge.KeyEntry), what)
		require.Equal(t, openIDs(open), openIDs(r.all(bridge.KeyOpen)), what)
	}
	again("by command", func() { require.NoError(t, Rebuild(t.Context(), r.JS, r.Names)) })
	require.Equal(t, open, r.all(bridge.KeyOpen), "how often it was asked for stays")
	again("the bucket is removed", func() {
		require.NoError(t, r.JS.DeleteStream(t.Context(), r.Names.PredictionsStream()))
		require.NoError(t, stream.Provision(t.Context(), r.JS, streamtest.Config().Streams, zap.NewNop()))
	})
	p.stop()
	again("while nobody leads", func() {
		require.NoError(t, Rebuild(t.Context(), r.JS, r.Names))
		p = r.start("two", r.store)
	})
	again("and whoever does so is killed, again and again", func() {
		p.stop()
		require.NoError(t, Rebuild(t.Context(), r.JS, r.Names))
		for n := range 3 {
			store := &fragile{next: r.store}
			store.before = func(msgs []*nats.Msg) error {
				store.next.StoreAll(t.Context(), r.Names.PredictionsStream(), msgs[:len(msgs)/2])
				store.kill()
				return errKilled
			}
			killed := r.start(fmt.Sprint("killed-", n), store)
			r.eventually(func() bool { return errors.Is(store.pass(), errKilled) })
			killed.stop()
		}
		p = r.start("after", r.store)
	})
	// Only the durable is removed: nothing is lost and nothing changes.
	p.stop()
	require.NoError(t, r.JS.DeleteConsumer(t.Context(), r.Names.EventsStream(), bridge.PredictionsConsumer))
	p = r.start("three", r.store)
	r.folded(p)
	require.Equal(t, entries, r.all(bridge.KeyEntry))
	require.Equal(t, openIDs(open), openIDs(r.all(bridge.KeyOpen)))
}

func (r *rig) meta() (m storeMeta) {
	_, _ = (&bucket{Reader: r.reader}).load(r.ctx, keyMeta, &m) // the bucket may be away
	return m
}

// A rebuild remembers the polls.
func TestRebuildKeepsPolls(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.publish(r.says("a", running))
	r.folded(p)
	led := p.metrics.leadership.Load()
	it, _ := led.queue("get3w").Get("a")
	it.Polls = 4
	_, err := led.Save(t.Context(), it.Record, it.Revision)
	require.NoError(t, err)
	id := r.meta().ID
	require.NoError(t, Rebuild(t.Context(), r.JS, r.Names))
	r.eventually(func() bool { m := r.meta(); return m.ID != "" && m.ID != id && !m.Rebuilding })
	r.eventually(p.leads)
	require.Equal(t, 4, r.record("a").Polls)
	next, ok := p.metrics.leadership.Load().queue("get3w").Get("a")
	require.True(t, ok)
	require.Equal(t, 4, next.Polls)
}

// Events of a new stream, whose sequences start anew, are not mixed up with those of the
// removed stream.
func TestStreamOfEventsMadeAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	for n := range 5 {
		r.publish(r.says("a", fmt.Sprintf(`"status":"processing","n":%d`, n)))
	}
	r.folded(p)
	require.NoError(t, r.JS.DeleteStream(t.Context(), r.Names.EventsStream()))
	require.NoError(t, stream.Provision(t.Context(), r.JS, streamtest.Config().Streams, zap.NewNop()))
	r.publish(r.says("a", finished))
	r.eventually(func() bool {
		s, err := r.reader.Get(t.Context(), "get3w", "a")
		return err == nil && s.Terminal()
	})
	require.Nil(t, r.record("a"))
}

// A store that a newer program made is left to it.
func TestNewerStoreIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	raw, err := json.Marshal(storeMeta{Format: storeFormat + 1})
	require.NoError(t, err)
	_, err = r.JS.Publish(t.Context(), r.Names.PredictionsSubject(keyMeta), raw)
	require.NoError(t, err)
	p := r.start("one", r.store)
	r.eventually(func() bool {
		return p.logs.FilterField(zap.Error(nil)).Len() > 0 || p.logs.FilterMessageSnippet("stands still").Len() > 0
	})
	require.Contains(t, fmt.Sprint(p.logs.FilterMessageSnippet("stands still").All()[0].ContextMap()["error"]), "newer Hookspan")
	require.Equal(t, storeFormat+1, r.meta().Format)
}

// A process that may create nothing says which command does.
func TestBindOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store, func(c *Config) { c.BindOnly = true })
	r.eventually(func() bool { return p.logs.FilterMessageSnippet("stands still").Len() > 0 })
	require.Contains(t, fmt.Sprint(p.logs.FilterMessageSnippet("stands still").All()[0].ContextMap()["error"]), "make it with hookspan provision")
	for range 2 {
		require.NoError(t, Provision(t.Context(), r.JS, r.Names))
	}
	r.publish(r.says("a", finished))
	r.folded(p)
	require.True(t, r.state("a").Terminal())
	require.NoError(t, Provision(t.Context(), r.JS, r.Names), "while it runs")
}

// The durable may come from a server that could not reset one.
func TestProvisionLeavesThePlace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cfg := durable(r.Names)
	cfg.DeliverPolicy, cfg.OptStartSeq, cfg.MaxAckPending = jetstream.DeliverByStartSequencePolicy, 2, 7
	_, err := r.JS.CreateConsumer(t.Context(), r.Names.EventsStream(), cfg)
	require.NoError(t, err)
	require.NoError(t, Provision(t.Context(), r.JS, r.Names))
	c, err := r.JS.Consumer(t.Context(), r.Names.EventsStream(), bridge.PredictionsConsumer)
	require.NoError(t, err)
	require.Equal(t, maxUnacked, c.CachedInfo().Config.MaxAckPending)
}

// A stream that has lost its newest events reuses their numbers; the new events are folded
// all the same.
func TestEventsThatTookTheNumbersOfLostOnes(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]int{"fewer than before": 2, "more than before": 9} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := r.start("one", r.store)
			for n := range 5 {
				r.publish(r.says(fmt.Sprint("old-", n), running))
			}
			r.folded(p)
			r.eventually(func() bool {
				s, err := r.reader.Status(t.Context())
				return err == nil && s.Folded == 5 && !s.FoldedAt.IsZero()
			})
			p.stop()
			require.NoError(t, r.JS.DeleteStream(t.Context(), r.Names.EventsStream()))
			require.NoError(t, stream.Provision(t.Context(), r.JS, streamtest.Config().Streams, zap.NewNop()))
			for n := range more {
				r.publish(r.says("new", fmt.Sprintf(`"status":"processing","n":%d`, n)))
			}
			// The stream looks the same, and the durable stands where it was.
			st, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
			require.NoError(t, err)
			meta := r.meta()
			meta.Events = st.CachedInfo().Created
			raw, err := json.Marshal(meta)
			require.NoError(t, err)
			_, err = r.JS.Publish(t.Context(), r.Names.PredictionsSubject(keyMeta), raw)
			require.NoError(t, err)
			require.NoError(t, Provision(t.Context(), r.JS, r.Names))
			c, err := r.JS.Consumer(t.Context(), r.Names.EventsStream(), bridge.PredictionsConsumer)
			require.NoError(t, err)
			batch, err := c.Fetch(min(more, 5))
			require.NoError(t, err)
			for m := range batch.Messages() {
				require.NoError(t, m.DoubleAck(t.Context()))
			}
			p = r.start("two", r.store)
			r.folded(p)
			require.Len(t, r.all(bridge.KeyEntry), 1)
			require.Len(t, r.state("new").Events, more)
		})
	}
}

// A leader with an old view, in which there is no store, removes nothing of the store.
func TestStaleLeaderPurgesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := NewLeader(r.JS, r.store, Config{Names: r.Names, Keep: time.Hour, Alarms: r.heard})
	stale := newLeadership(l)
	p := r.start("one", r.store)
	r.publish(r.says("a", finished))
	r.folded(p)
	led := p.metrics.leadership.Load()
	_, err := stale.makeAnew(t.Context(), time.Now())
	require.ErrorIs(t, err, poller.ErrNotLeader)
	require.True(t, r.state("a").Terminal())
	require.Equal(t, led.meta.ID, r.meta().ID)
}

// Events that were purged before the store was made are not waited for.
func TestRebuiltOfWhatIsLeft(t *testing.T) {
	r := newRig(t)
	for n := range 10 {
		r.publish(r.says(fmt.Sprint(n), running))
	}
	st, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
	require.NoError(t, err)
	require.NoError(t, st.Purge(t.Context(), jetstream.WithPurgeSequence(6)))
	p := r.start("one", r.store)
	r.folded(p)
	require.Len(t, r.all(bridge.KeyEntry), 5)
	id := r.meta().ID
	require.NoError(t, st.Purge(t.Context(), jetstream.WithPurgeSequence(8)))
	for range 2 { // in a row
		require.NoError(t, Rebuild(t.Context(), r.JS, r.Names))
	}
	r.eventually(func() bool { m := r.meta(); return m.ID != "" && m.ID != id && !m.Rebuilding })
	r.eventually(p.leads)
	r.publish(r.says("last", running))
	r.folded(p)
	require.Len(t, r.all(bridge.KeyEntry), 4)
}

// A leader goes on where both the durable and the bucket say: either can be of another
// time.
func TestGoesOnWhereBothWere(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*rig){
		"the bucket was restored": func(r *rig) {
			status, err := r.reader.Status(r.ctx)
			require.NoError(r.t, err)
			status.Folded, status.FoldedAt = 2, time.Time{}
			raw, err := json.Marshal(status)
			require.NoError(r.t, err)
			_, err = r.JS.Publish(r.ctx, r.Names.PredictionsSubject(keyStatus), raw)
			require.NoError(r.t, err)
			st, err := r.JS.Stream(r.ctx, r.Names.PredictionsStream())
			require.NoError(r.t, err)
			for _, key := range []string{entryKey("3"), openKey("3")} {
				require.NoError(r.t, st.Purge(r.ctx, jetstream.WithPurgeSubject(r.Names.PredictionsSubject(key))))
			}
		},
		"it was about to be folded anew": func(r *rig) {
			require.NoError(r.t, Rebuild(r.ctx, r.JS, r.Names))
			l := NewLeader(r.JS, r.store, Config{Names: r.Names, Keep: time.Hour, Alarms: r.heard})
			_, err := newLeadership(l).begin(r.ctx)
			require.NoError(r.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ctx = t.Context()
			p := r.start("one", r.store)
			for n := range 5 {
				r.publish(r.says(fmt.Sprint(n), running))
			}
			r.folded(p)
			r.eventually(func() bool {
				s, err := r.reader.Status(t.Context())
				c, err2 := r.JS.Consumer(t.Context(), r.Names.EventsStream(), bridge.PredictionsConsumer)
				return err == nil && err2 == nil && s.Folded == 5 && c.CachedInfo().AckFloor.Stream == 5
			})
			p.stop()
			harm(r)
			p = r.start("two", r.store)
			r.folded(p)
			require.Len(t, r.all(bridge.KeyEntry), 5)
			require.Len(t, r.all(bridge.KeyOpen), 5)
		})
	}
}
