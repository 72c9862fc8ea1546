package poller

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

func (r *natsRig) deadLetter(seq uint64) *adminapi.DeadEntry {
	r.t.Helper()
	e, err := redelivery.NewDeadLetters(r.bench.JS, r.cfg.Names).Get(context.Background(), seq)
	require.NoError(r.t, err)
	return &e
}

var errUnknownThere = fmt.Errorf("asking for prediction: %w", provider.ErrNoPrediction)

// A prediction that the provider does not know three times in a row is given up: with a
// dead letter that can be redriven, an event and an alarm.
func TestNotFoundIsGivenUp(t *testing.T) {
	t.Parallel()
	var polled polls
	var n atomic.Int64
	r := withNATS(t, nil, polled.of(func(ctx context.Context, id string) ([]byte, error) {
		if n.Add(1) == 3 {
			return says(processing)(ctx, id) // begins the count anew
		}
		return nil, errUnknownThere
	}))
	rec := r.announce(bridge.Watch{Reference: "order 7"})
	r.leadership.add(r.Poller, rec)
	stop := r.start()
	r.eventually(func() bool { return r.openOnes() == 0 })
	require.NoError(t, stop())
	require.Len(t, polled.all(), 6)
	require.Equal(t, 5, r.count(pollNotFound))
	require.InDelta(t, 1, testutil.ToFloat64(r.metrics.lost.WithLabelValues("get3w", "not_found")), 0)

	dead := r.deadLetter(1)
	require.Equal(t, "predictions", dead.Consumer)
	require.Equal(t, bridge.DeadNotFound, dead.Cause)
	require.Equal(t, bridge.FaultFailed, dead.Fault)
	require.Equal(t, 6, dead.Attempts)
	require.Equal(t, rec.Sequence, dead.DeadLetter.Sequence)
	require.Equal(t, "the provider does not know it, as it said 3 times in a row", dead.Error)
	require.Contains(t, dead.History[0].Error, provider.ErrNoPrediction.Error())
	watch, err := dead.Event.Watch()
	require.NoError(t, err)
	require.Equal(t, "order 7", watch.Reference)

	all := r.stream("HOOKSPAN_EVENTS")
	require.Len(t, all, 2)
	require.Equal(t, "hookspan.events.get3w.watch.lost.get3w.flux-dev", all[1].Subject)
	lost, err := r.decode(all[1]).Lost()
	require.NoError(t, err)
	require.Equal(t, bridge.DeadNotFound, lost.Cause)
	require.Equal(t, 6, lost.Polls)
	require.Empty(t, lost.Status)
	require.True(t, lost.Since.Equal(rec.FirstSeen))
	require.Equal(t, "get3w", r.alarms.Of(bridge.AlarmPredictionLost)[0].Subject)
	require.Contains(t, r.alarms.Of(bridge.AlarmPredictionLost)[0].Text, "hookspan dead redrive --consumer predictions")
}

// The time begins with the first answer. Without an answer the time ends only while other
// predictions have answers.
func TestUnfinishedIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]bool{"open": false, "failing": true} {
		t.Run(name, func(t *testing.T) {
			r := withNATS(t, nil, func(ctx context.Context, id string) ([]byte, error) {
				if failing && id == "pred_1" {
					return []byte(`{"id":"another","status":"completed"}`), nil
				}
				return says(`"status":"Warming up"`)(ctx, id)
			})
			r.cfg.GiveUpAfter = 200 * time.Millisecond
			r.times.backoffMax = 50 * time.Millisecond
			rec := r.announce(bridge.Watch{})
			r.leadership.add(r.Poller, rec)
			stop := r.start()
			if failing {
				for n := range 3 { // other predictions are answered
					r.leadership.add(r.Poller, Record{
						Source: "get3w", ID: fmt.Sprint("other_", n), FirstSeen: time.Now().Add(-time.Hour), Answered: time.Now().Add(time.Hour),
					})
				}
			}
			r.eventually(func() bool { _, _, err := r.leadership.Load(t.Context(), "get3w", "pred_1"); return err != nil })
			require.NoError(t, stop())
			rec = r.leadership.record("pred_1")
			require.GreaterOrEqual(t, rec.GivenUp.Sub(rec.Answered), r.cfg.GiveUpAfter)
			dead := r.deadLetter(1)
			require.Equal(t, bridge.DeadUnfinished, dead.Cause)
			lost, err := r.decode(r.stream("HOOKSPAN_EVENTS")[1]).Lost()
			require.NoError(t, err)
			if failing {
				require.Empty(t, lost.Status)
				require.Contains(t, dead.Error, `the answer is about prediction "another"`)
			} else {
				require.Equal(t, "Warming up", lost.Status)
			}
		})
	}
}

// Killed at any point of giving up, the next process finishes it without a poll, and
// nothing exists twice.
func TestGivingUpSurvivesACrash(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"HOOKSPAN_DEAD before", "HOOKSPAN_DEAD after", bridge.KindLost + " before", bridge.KindLost + " after"} {
		t.Run(at, func(t *testing.T) {
			r := withNATS(t, nil, fails(errUnknownThere))
			rec := r.announce(bridge.Watch{})
			rec.NotFound = 2
			crashed := make(chan struct{}, 1000)
			crash := func(when string) func(string) error {
				return func(what string) error {
					if what+" "+when != at {
						return nil
					}
					crashed <- struct{}{}
					return errCrash
				}
			}
			r.store.fail(crash("before"), crash("after"))
			r.leadership.add(r.Poller, rec)
			stop := r.start()
			<-crashed
			require.NoError(t, stop())
			left := r.leadership.record("pred_1") // as the next process reads it
			text, err := json.Marshal(left)
			require.NoError(t, err)
			stored := rec // the rest is in the view
			require.NoError(t, json.Unmarshal(text, &stored))
			left = stored

			var polled polls
			next := withNATS(t, r.bench, polled.of(fails(errUnknownThere)))
			next.leadership.add(next.Poller, left)
			stop = next.start()
			next.eventually(func() bool { return next.openOnes() == 0 })
			require.NoError(t, stop())
			require.Empty(t, polled.all())
			require.Len(t, next.stream("HOOKSPAN_DEAD"), 1)
			require.Len(t, next.stream("HOOKSPAN_EVENTS"), 2)
			require.Len(t, next.alarms.Of(bridge.AlarmPredictionLost), 1)
		})
	}
}

// A dead letter is made although the announcement is gone, or another event lies at its
// place. A redriven prediction that is given up again has another dead letter.
func TestDeadLettersOfEventsThatAreGone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := withNATS(t, nil, fails(errUnknownThere))
	rec := r.announce(bridge.Watch{Reference: "order 7", EstimatedDuration: 2})
	giveUp := func(seq uint64) {
		rec.Sequence, rec.NotFound = seq, 2
		r.leadership.add(r.Poller, rec)
		stop := r.start()
		r.eventually(func() bool { return r.openOnes() == 0 })
		require.NoError(t, stop())
	}
	giveUp(rec.Sequence)
	first := r.deadLetter(1)

	again := bridge.Again{Sequence: rec.Sequence, Redrives: 1}.Header(first.Header)
	again[bridge.HeaderMsgID] = []string{"again"}
	receipt, err := r.store.next.Store(ctx, "HOOKSPAN_EVENTS", &nats.Msg{
		Subject: r.cfg.Names.Again("predictions", first.Event.Subject), Header: nats.Header(again), Data: first.Body,
	})
	require.NoError(t, err)
	giveUp(receipt.Sequence)
	second := r.deadLetter(2)
	require.Equal(t, 1, second.Redrives)
	require.Equal(t, first.Event.ID, second.Event.ID)
	require.Equal(t, "hookspan.dead.predictions.get3w.watch.set.get3w.flux-dev", r.stream("HOOKSPAN_DEAD")[1].Subject)

	events, err := streamread.Open(ctx, r.bench.JS, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.NoError(t, streamread.Remove(ctx, events, receipt.Sequence))
	other, err := r.store.next.Publish(ctx, foldtest.Told(t, bridge.OriginWebhook, `"status":"processing","id2":1`))
	require.NoError(t, err)
	rec.ID = "pred_2"
	var s bridge.PredictionState
	w := bridge.Watch{Source: "get3w", Prediction: "pred_2", Model: model, Reference: "order 8"}
	e, err := w.Event(foldtest.Noon)
	require.NoError(t, err)
	fold.Fold(&s, e, fold.At{Sequence: 1, StoredAt: foldtest.Noon})
	r.states.set(&s)
	for _, seq := range []uint64{receipt.Sequence, other.Sequence} {
		dead, err := (&poll{sourcePoller: r.bySource["get3w"], rec: Record{
			Source: "get3w", ID: "pred_2", Model: model, FirstSeen: foldtest.Noon, Sequence: seq,
		}}).deadLetter(ctx, &bridge.Lost{Cause: bridge.DeadUnfinished}, true)
		require.NoError(t, err)
		made, err := bridge.DecodeEvent(bridge.Header(dead.Header), dead.Data)
		require.NoError(t, err)
		require.Equal(t, "pred_2", made.PredictionID)
		watch, err := made.Watch()
		require.NoError(t, err)
		require.Equal(t, "order 8", watch.Reference)
		require.Equal(t, e.ID, made.ID)
		require.Equal(t, "hookspan.dead.predictions.get3w.watch.set.get3w.flux-dev", dead.Subject)
	}
}

// Without room for a dead letter's headers, a short event takes the place of the
// announcement. If even that cannot be stored, the next try waits.
func TestDeadLetterThatIsTooLarge(t *testing.T) {
	t.Parallel()
	for name, deadLetters := range map[string]int64{"with the event": 1, "in short too": 1 << 40} {
		t.Run(name, func(t *testing.T) {
			r := withNATS(t, nil, fails(errUnknownThere))
			e := foldtest.Told(t, bridge.OriginWebhook, `"status":"processing"`)
			receipt, err := r.store.next.Publish(context.Background(), e)
			require.NoError(t, err)
			var tries atomic.Int64
			r.store.fail(func(what string) error {
				if what == "HOOKSPAN_DEAD" && tries.Add(1) <= deadLetters {
					return fmt.Errorf("storing: %w", bridge.ErrTooLarge)
				}
				return nil
			}, nil)
			r.times.backoffMax = time.Hour
			r.leadership.add(r.Poller, Record{
				Source: "get3w", ID: "pred_1", Model: model, FirstSeen: time.Now().Add(-time.Hour), NotFound: 2, Sequence: receipt.Sequence,
			})
			stop := r.start()
			if deadLetters == 1 {
				r.eventually(func() bool { return r.openOnes() == 0 })
				watch, err := r.deadLetter(1).Event.Watch()
				require.NoError(t, err)
				require.Equal(t, "pred_1", watch.Prediction)
			} else {
				r.eventually(func() bool {
					return len(r.logs.FilterMessage("a prediction cannot be given up yet").All()) > 0 && r.waits("pred_1")
				})
			}
			require.NoError(t, stop())
			require.EqualValues(t, 2, tries.Load())
		})
	}
}

// waits reports whether the prediction is not due.
func (r *natsRig) waits(id string) bool {
	r.leadership.mu.Lock()
	defer r.leadership.mu.Unlock()
	m := r.leadership.open["get3w/"+id]
	return m != nil && m.due.After(time.Now().Add(time.Minute))
}

// While the stream of dead letters is full, giving up is tried now and then, and other
// predictions are polled as ever.
func TestFullDeadLettersHoldUpNobody(t *testing.T) {
	t.Parallel()
	var polled polls
	r := withNATS(t, nil, polled.of(says(processing)))
	rec := r.announce(bridge.Watch{})
	var tries atomic.Int64
	var room atomic.Bool
	r.store.fail(func(what string) error {
		if what == "HOOKSPAN_DEAD" && !room.Load() {
			tries.Add(1)
			return fmt.Errorf("storing: %w", bridge.ErrFull)
		}
		return nil
	}, nil)
	r.times.retryMax = time.Hour
	for n := range 10 {
		rec.ID, rec.GivenUp, rec.Cause = fmt.Sprint("pred_", n), time.Now().Add(-time.Minute).UTC(), bridge.DeadUnfinished
		r.leadership.add(r.Poller, rec)
	}
	r.leadership.add(r.Poller, Record{Source: "get3w", ID: "open", Polls: 100, FirstSeen: time.Now().Add(-time.Hour)})
	stop := r.start()
	r.eventually(func() bool { return len(polled.all()) > 10 })
	require.LessOrEqual(t, tries.Load(), int64(atOnce))
	require.NotContains(t, polled.ids(), "pred_")
	require.NoError(t, stop())
	require.Empty(t, r.alarms.Of(bridge.AlarmPredictionLost), "they are not given up yet")
	require.Equal(t, 11, r.openOnes())

	room.Store(true)
	r.times.retryMax = time.Millisecond
	next := withNATS(t, r.bench, says(processing))
	for n := range 10 {
		next.leadership.add(next.Poller, r.leadership.record(fmt.Sprint("pred_", n)))
	}
	stop = next.start()
	next.eventually(func() bool { return next.openOnes() == 0 })
	require.NoError(t, stop())
	require.Len(t, next.stream("HOOKSPAN_DEAD"), 10)
}

// A prediction that a replay brought back, which counts as no redrive, has a new dead
// letter when it is given up again, although the first was dropped.
func TestGivenUpAgainHasAnotherDeadLetter(t *testing.T) {
	t.Parallel()
	r := withNATS(t, nil, fails(errUnknownThere))
	rec := r.announce(bridge.Watch{})
	rec.NotFound = 2
	for n := range 2 {
		r.leadership.add(r.Poller, rec)
		stop := r.start()
		r.eventually(func() bool { return r.openOnes() == 0 })
		require.NoError(t, stop())
		require.Len(t, r.stream("HOOKSPAN_DEAD"), n+1)
	}
}

// A lost prediction has its dead letter although user app has used the id.
func TestDeadLetterOfALostPredictionBelievesNoDuplicate(t *testing.T) {
	t.Parallel()
	cfg := streamtest.Config()
	cfg.Listen = "127.0.0.1:0"
	cfg.Consumers = []string{bridge.PredictionsConsumer}
	bench := streamtest.Start(t, cfg)
	r := withNATS(t, bench, fails(errUnknownThere))
	rival := streamtest.NewRival(bench, bench.App(), map[string]string{"HOOKSPAN_DEAD": "hookspan.dead.mine.x"})
	r.store.next = rival
	var crashes atomic.Int64
	r.store.fail(nil, func(what string) error {
		if what == "HOOKSPAN_DEAD" && crashes.Add(1) == 1 {
			return bridge.ErrUnknown // behind the dead letter
		}
		return nil
	})
	r.leadership.add(r.Poller, r.announce(bridge.Watch{}))
	stop := r.start()
	r.eventually(func() bool { return r.openOnes() == 0 })
	require.NoError(t, stop())
	require.EqualValues(t, 2, crashes.Load())
	require.Len(t, rival.Taken(), 1)
	var deadLetters []adminapi.DeadEntry
	require.NoError(t, redelivery.NewDeadLetters(bench.JS, r.cfg.Names).Scan(t.Context(), adminapi.DeadSelection{Consumer: bridge.PredictionsConsumer}, func(e adminapi.DeadEntry, selected bool) error {
		require.True(t, selected)
		deadLetters = append(deadLetters, e)
		return nil
	}))
	require.Len(t, deadLetters, 1)
	require.Equal(t, bridge.DeadNotFound, deadLetters[0].Cause)
	require.NotNil(t, deadLetters[0].Event)
}
