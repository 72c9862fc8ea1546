package poller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

const longest = 20 * time.Second

// foldingStore stores, and removes ended and lost predictions from the open ones, as the
// view does after folding.
type foldingStore struct {
	next       Store
	leadership *memoryLeadership

	mu     sync.Mutex
	before func(what string) error // may fail before a message is stored
	after  func(what string) error // may fail afterwards
}

func (s *foldingStore) do(what string, store func() (bridge.Receipt, error)) (bridge.Receipt, error) {
	s.mu.Lock()
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(what); err != nil {
			return bridge.Receipt{}, err
		}
	}
	receipt, err := store()
	if err == nil && after != nil {
		err = after(what)
	}
	return receipt, err
}

func (s *foldingStore) fail(before, after func(what string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *foldingStore) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return s.do(e.Kind(), func() (bridge.Receipt, error) {
		receipt, err := s.next.Publish(ctx, e)
		if err == nil {
			s.leadership.remove(e)
		}
		return receipt, err
	})
}

func (s *foldingStore) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	return s.do(stream, func() (bridge.Receipt, error) {
		receipt, err := s.next.Store(ctx, stream, m)
		if e, bad := bridge.DecodeEvent(bridge.Header(m.Header), m.Data); err == nil && bad == nil && bridge.Terminal(e.Status) {
			s.leadership.remove(e)
		}
		return receipt, err
	})
}

type natsRig struct {
	*rig
	bench *streamtest.Bench
	store *foldingStore
}

// withNATS is a rig on its own server, or on another rig's, with short times.
func withNATS(t *testing.T, bench *streamtest.Bench, p fakeProvider) *natsRig {
	t.Helper()
	if bench == nil {
		bench = streamtest.Start(t, streamtest.Config())
	}
	store := &foldingStore{next: bench.Publisher()}
	r := &natsRig{rig: newRig(t, store, bench.JS, p), bench: bench, store: store}
	store.leadership = r.leadership
	*r.times = timings{
		unknown: time.Millisecond, backoff: 5 * time.Millisecond, backoffFirst: 5 * time.Millisecond, backoffMax: 20 * time.Millisecond,
		spacing: time.Millisecond, spacingMax: time.Millisecond, later: time.Millisecond, laterMax: time.Millisecond,
		behind: time.Millisecond, retry: time.Millisecond, retryMax: time.Millisecond,
		storing: longest, answer: longest, logEvery: time.Hour,
	}
	r.bySource["get3w"].limiter.SetLimit(1000)
	source := r.cfg.Sources["get3w"]
	source.PollAfter = 0
	r.cfg.Sources["get3w"] = source
	return r
}

func (r *natsRig) eventually(what func() bool) {
	r.t.Helper()
	require.Eventually(r.t, what, longest, 5*time.Millisecond)
}

func (r *natsRig) openOnes() int {
	open, _, _, err := r.leadership.Counts(r.t.Context(), "get3w", time.Now())
	require.NoError(r.t, err)
	return open
}

// stream returns the messages of a stream.
func (r *natsRig) stream(name string) []*jetstream.RawStreamMsg {
	r.t.Helper()
	ctx := context.Background()
	stream, err := streamread.Open(ctx, r.bench.JS, name)
	require.NoError(r.t, err)
	var all []*jetstream.RawStreamMsg
	require.NoError(r.t, streamread.Walk(ctx, stream, streamread.Span{Subject: ">"}, func(m *jetstream.RawStreamMsg) error {
		all = append(all, m)
		return nil
	}))
	return all
}

func (r *natsRig) decode(m *jetstream.RawStreamMsg) *bridge.Event {
	r.t.Helper()
	e, err := bridge.DecodeEvent(bridge.Header(m.Header), m.Data)
	require.NoError(r.t, err)
	return e
}

// announce watches pred_1 and returns its record.
func (r *natsRig) announce(w bridge.Watch) Record {
	r.t.Helper()
	ctx := context.Background()
	e := foldtest.Watched(r.t, w)
	receipt, err := r.store.next.Publish(ctx, e)
	require.NoError(r.t, err)
	var s bridge.PredictionState
	fold.Fold(&s, e, fold.At{Sequence: receipt.Sequence, StoredAt: time.Now().Add(-time.Hour)})
	r.states.set(&s)
	return Record{Source: "get3w", ID: "pred_1", Model: model, FirstSeen: s.FirstSeen.UTC(), Sequence: receipt.Sequence}
}

// A polled end is the same event as its webhook: whichever comes second is a duplicate, and
// one poll is enough.
func TestPolledEndIsTheEventOfTheWebhook(t *testing.T) {
	t.Parallel()
	var polled polls
	r := withNATS(t, nil, polled.of(says(foldtest.Done)))
	rec := r.announce(bridge.Watch{Reference: "order 7", Tenant: "acme", Metadata: map[string]string{"order": "7", "private": "x"}})
	r.leadership.add(r.Poller, rec)
	stop := r.start()
	r.eventually(func() bool { return r.openOnes() == 0 })
	require.NoError(t, stop())
	require.Len(t, polled.all(), 1)
	require.Equal(t, 1, r.count(pollEnded))
	all := r.stream("HOOKSPAN_EVENTS")
	require.Len(t, all, 2)
	e := r.decode(all[1])
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", all[1].Subject)
	require.Equal(t, bridge.OriginPoll, e.Origin)
	require.Equal(t, "application/json", e.ContentType)
	require.Equal(t, map[string]string{"ref": "order 7", "tenant": "acme", "order": "7"}, e.Query)
	webhook := foldtest.Told(t, bridge.OriginWebhook, foldtest.Done)
	require.Equal(t, webhook.ID, e.ID)
	receipt, err := r.store.next.Publish(context.Background(), webhook)
	require.NoError(t, err)
	require.Equal(t, bridge.Duplicate, receipt.Result)
}

// While the end cannot be stored the prediction is not polled again.
func TestStoresWhatItHasUntilItIsStored(t *testing.T) {
	t.Parallel()
	var polled polls
	var failures atomic.Int64
	r := withNATS(t, nil, polled.of(says(foldtest.Done)))
	r.store.fail(
		func(string) error {
			if failures.Add(1) < 10 {
				return fmt.Errorf("storing: %w", bridge.ErrFull)
			}
			return nil
		},
		func(string) error {
			if failures.Add(1) < 20 {
				return fmt.Errorf("storing: %w", bridge.ErrUnknown)
			}
			return nil
		})
	r.leadership.add(r.Poller, Record{Source: "get3w", ID: "pred_1", Model: model, FirstSeen: time.Now().Add(-time.Hour)})
	stop := r.start()
	r.eventually(func() bool { return r.count(pollEnded) == 1 })
	require.NoError(t, stop())
	require.Len(t, polled.all(), 1)
	require.Len(t, r.stream("HOOKSPAN_EVENTS"), 1)
}

// An end that can never be stored is no end, and is not polled without rest.
func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := withNATS(t, nil, says(foldtest.Done))
	r.store.fail(func(string) error { return fmt.Errorf("storing: %w", bridge.ErrTooLarge) }, nil)
	r.leadership.add(r.Poller, Record{Source: "get3w", ID: "pred_1", Model: model, FirstSeen: time.Now().Add(-time.Hour)})
	stop := r.start()
	r.eventually(func() bool { return len(r.alarms.Of(bridge.AlarmPolling)) > 0 })
	require.NoError(t, stop())
	require.Contains(t, r.alarms.Of(bridge.AlarmPolling)[0].Text, bridge.ErrTooLarge.Error())
	require.Zero(t, r.count(pollEnded))
	require.Zero(t, r.leadership.record("pred_1").GivenUp, "nothing is known of others")
}

// The stream knows ids for a while. An earlier event of a prediction that the store has
// forgotten and that is watched again is not stored a second time: only the prediction
// store gets it again.
func TestEventThatTheStreamForgotIsStoredOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		of    string // whose event is stored
		again bool
	}{
		"of this prediction":    {"pred_1", true},
		"of another prediction": {"pred_2", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := withNATS(t, nil, says(foldtest.Done))
			old := foldtest.Told(t, bridge.OriginWebhook, foldtest.Done)
			old.PredictionID, old.ID = c.of, c.of+old.ID[len("pred_1"):]
			header := nats.Header(old.Header())
			header.Set(bridge.HeaderMsgID, "forgotten")
			for n := range 3 {
				_, err := r.store.next.Publish(ctx, natstest.Event(fmt.Sprint("other_", n)))
				require.NoError(t, err)
			}
			_, err := r.store.next.Store(ctx, "HOOKSPAN_EVENTS", &nats.Msg{Subject: r.cfg.Names.SubjectOf(old), Header: header, Data: old.Body})
			require.NoError(t, err)
			rec := r.announce(bridge.Watch{})
			rec.FirstSeen = time.Now().UTC()
			r.leadership.add(r.Poller, rec)
			stop := r.start()
			r.eventually(func() bool { return r.openOnes() == 0 })
			require.NoError(t, stop())
			all := r.stream("HOOKSPAN_EVENTS")
			require.Len(t, all, 6)
			last := all[5]
			e := r.decode(last)
			if !c.again {
				require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", last.Subject)
				require.Equal(t, bridge.OriginPoll, e.Origin)
				return
			}
			require.Equal(t, "hookspan.again.predictions.get3w.prediction.completed.get3w.flux-dev", last.Subject)
			require.Equal(t, old.ID, e.ID)
			require.Equal(t, bridge.OriginWebhook, e.Origin)
			again, err := bridge.DecodeAgain(bridge.Header(last.Header))
			require.NoError(t, err)
			require.Equal(t, bridge.Again{Sequence: 4}, again)
			require.Equal(t, 1, r.count(pollEnded))
		})
	}
}

// No event is searched that the view would know: it has heard of the
// prediction, or has not forgotten it yet.
func TestLooksOnlyForWhatCanBeThere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := withNATS(t, nil, nil)
	q := &poll{sourcePoller: r.bySource["get3w"]}
	end := foldtest.Told(t, bridge.OriginPoll, foldtest.Done) // at 11:00
	end.ReceivedAt = foldtest.Noon.Add(time.Hour)
	for firstSeen, keep := range map[time.Time]time.Duration{
		foldtest.Noon.Add(-75 * time.Minute): 0,
		foldtest.Noon:                        72 * time.Hour,
		foldtest.Noon.Add(48 * time.Hour):    72 * time.Hour,
	} {
		q.rec.FirstSeen, r.cfg.Keep = firstSeen, keep
		r.js = nil // a search would panic
		m, err := q.find(ctx, end)
		require.NoError(t, err)
		require.Nil(t, m)
	}
	r.js = r.bench.JS
	header := nats.Header(end.Header())
	header.Set(bridge.HeaderMsgID, "forgotten")
	_, err := r.store.next.Store(ctx, "HOOKSPAN_EVENTS", &nats.Msg{Subject: r.cfg.Names.SubjectOf(end), Header: header, Data: end.Body})
	require.NoError(t, err)
	r.cfg.Keep = 72 * time.Hour
	for firstSeen, found := range map[time.Time]bool{
		time.Now().Add(71 * time.Hour): false, // stored too late to be forgotten
		time.Now().Add(73 * time.Hour): true,
	} {
		q.rec.FirstSeen = firstSeen
		end.ReceivedAt = firstSeen
		m, err := q.find(ctx, end)
		require.NoError(t, err)
		require.Equal(t, found, m != nil)
		end.ReceivedAt = foldtest.Noon.Add(30 * time.Minute) // the stream knows the ids since
		m, err = q.find(ctx, end)
		require.NoError(t, err)
		require.Nil(t, m)
	}
}

// The search ends, however many events there are and whatever times the provider tells.
func TestLookingEnds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := withNATS(t, nil, nil)
	q := &poll{sourcePoller: r.bySource["get3w"]}
	q.rec.FirstSeen = time.Now().Add(time.Hour)
	for n := range 5 {
		_, err := r.store.next.Publish(ctx, foldtest.Told(t, bridge.OriginWebhook, fmt.Sprintf(`"status":"completed","outputs":[%d]`, n)))
		require.NoError(t, err)
	}
	for looks, found := range map[int]bool{4: false, 5: true} {
		end := foldtest.Told(t, bridge.OriginPoll, `"status":"completed","outputs":[4],"completed_at":"1970-01-01T00:00:00Z"`)
		end.ReceivedAt = q.rec.FirstSeen
		r.looks = looks
		m, err := q.find(ctx, end)
		require.NoError(t, err)
		require.Equal(t, found, m != nil)
	}
	r.js = nil // a search would panic
	end := foldtest.Told(t, bridge.OriginPoll, `"status":"completed","outputs":[4]`)
	end.ReceivedAt = q.rec.FirstSeen
	m, err := q.find(ctx, end)
	require.NoError(t, err)
	require.Nil(t, m, "it may have ended at any time")
}

var errCrash = errors.New("the process is killed")
