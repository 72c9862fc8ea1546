package await_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streams"
)

func TestWakesWhenTheEventIsStored(t *testing.T) {
	b := setup(t)
	done := b.wait(t.Context(), "pred_1")
	b.tell("pred_1", "processing")
	b.tell("pred_2", "completed")
	end := b.tell("pred_1", "completed")
	a := b.get(done)
	require.NoError(t, a.err)
	require.Equal(t, bridge.StatusCompleted, a.state.Status)
	require.Equal(t, end.Sequence, a.state.Sequence)
	require.Equal(t, "https://cdn.get3w.com/pred_1.png", a.state.Outputs[0].URL)
}

// The largest event that NATS takes wakes like any other.
func TestTheLargestEventWakes(t *testing.T) {
	b := setup(t)
	done := b.wait(t.Context(), "pred_1")
	e := &bridge.Event{
		ID: "pred_1/completed", Source: "get3w", Type: "com.get3w.prediction.completed.v1", PredictionID: "pred_1", Status: "completed",
		RawStatus: "completed", Origin: bridge.OriginWebhook, ReceivedAt: time.Now(), Body: make([]byte, streams.MaxPayload-streams.HeaderRoom),
	}
	copy(e.Body, `{"id":"pred_1","status":"completed","outputs":["`)
	for i := range e.Body[60:] {
		e.Body[60+i] = 'x'
	}
	b.publish(e)
	require.Equal(t, bridge.StatusCompleted, b.get(done).state.Status)
}

// A slow follower gets the events that it missed, or reads the view until that has them.
func TestSlowFollowerMissesNoEnd(t *testing.T) {
	for count, size := range map[int]int{40: 0, 10: 40 << 10} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			b := setup(t)
			b.fold(b.tell("pred_1", "created"))
			told, goOn := make(chan string), make(chan struct{})
			done := make(chan error, 1)
			go func() {
				done <- b.hub.Follow(context.Background(), "get3w", "pred_1", func(u bridge.PredictionUpdate) error {
					told <- u.State.Status
					<-goOn
					return nil
				})
			}()
			require.Equal(t, "created", <-told)
			var events []*bridge.Event
			for i := range count {
				body := fmt.Sprintf(`{"id":"pred_1","status":"processing","n":%d,"x":%q}`, i, strings.Repeat("x", size))
				events = append(events, b.publish(&bridge.Event{
					ID: bridge.NewEventID("pred_1", "processing", []byte(body)), Source: "get3w", Type: "com.get3w.prediction.processing.v1",
					PredictionID: "pred_1", Status: "processing", RawStatus: "processing", Origin: bridge.OriginWebhook, ReceivedAt: time.Now(), Body: []byte(body),
				}))
			}
			b.eventually(func() bool { return b.hub.Missed("get3w", "pred_1") })
			b.fold(append(events, b.tell("pred_1", "completed"))...)
			close(goOn)
			for last := ""; last != "completed"; last = <-told {
			}
			require.NoError(t, <-done)
		})
	}
}

func TestReturnsAtOnceWhatTheViewHas(t *testing.T) {
	b := setup(t)
	b.fold(b.tell("pred_1", "failed"))
	a := b.get(b.wait(t.Context(), "pred_1"))
	require.NoError(t, a.err)
	require.Equal(t, bridge.StatusFailed, a.state.Status)
}

// An event that was stored before the wait and folded later wakes through the view.
func TestWakesByTheView(t *testing.T) {
	b := setup(t)
	first, end := b.tell("pred_1", "processing"), b.tell("pred_1", "completed")
	b.fold(first)
	done := b.wait(t.Context(), "pred_1")
	b.fold(end)
	a := b.get(done)
	require.NoError(t, a.err)
	require.Equal(t, bridge.StatusCompleted, a.state.Status)
	require.Len(t, a.state.Events, 2)
}

// An end that was stored before the wait wakes through the view, also after later
// events.
func TestEndBehindWhatWasHeard(t *testing.T) {
	b := setup(t)
	end := b.tell("pred_1", "completed")
	told, done := make(chan string, 4), make(chan error, 1)
	go func() {
		done <- b.hub.Follow(context.Background(), "get3w", "pred_1", func(u bridge.PredictionUpdate) error {
			told <- u.State.Status
			return nil
		})
	}()
	b.eventually(func() bool { return b.hub.Waiting() == 1 && b.consumers() == 1 })
	b.tell("pred_1", "processing")
	b.eventually(func() bool { return len(told) == 1 })
	require.Equal(t, "processing", <-told)
	b.fold(end)
	b.eventually(func() bool { return len(told) == 1 })
	require.Equal(t, "completed", <-told)
	require.NoError(t, <-done)
}

// Whenever the event is stored and folded, no waiter sleeps through it.
func TestNothingFallsBetween(t *testing.T) {
	b := setup(t)
	type round struct {
		id   string
		done chan answer
	}
	rounds := make(chan round, 1000)
	go func() {
		defer close(rounds)
		for i := range 300 {
			r := round{fmt.Sprintf("pred_%d", i), make(chan answer, 1)}
			go func() {
				s, err := b.hub.Wait(context.Background(), "get3w", r.id)
				r.done <- answer{s, err}
			}()
			rounds <- r
		}
	}()
	i := 0
	var events []*bridge.Event
	var all []round
	for r := range rounds {
		e := b.tell(r.id, "completed")
		if i%2 == 0 {
			b.fold(e)
		} else {
			events = append(events, e)
		}
		all = append(all, r)
		i++
	}
	for _, e := range events {
		b.fold(e)
	}
	for _, r := range all {
		a := b.get(r.done)
		require.NoError(t, a.err)
		require.Equal(t, r.id, a.state.ID)
	}
}

func TestGivenUpIsAnEndToo(t *testing.T) {
	b := setup(t)
	done := b.wait(t.Context(), "pred_1")
	lost := bridge.Lost{Source: "get3w", Prediction: "pred_1", Cause: bridge.DeadNotFound, Error: "unknown", LostAt: time.Now()}
	e, err := lost.Event()
	require.NoError(t, err)
	b.publish(e)
	a := b.get(done)
	require.NoError(t, a.err)
	require.Equal(t, bridge.DeadNotFound, a.state.Lost.Cause)
}

// A view that is being made anew tells again of a giving up that is over.
func TestRebuildDoesNotEndTheWaitForWhatIsTakenUpAgain(t *testing.T) {
	b := setup(t)
	put := func(s bridge.PredictionState) {
		s.Source, s.ID = "get3w", "pred_1"
		b.put(s)
	}
	know := b.hub.Know("get3w", "pred_1")
	for _, told := range []bridge.PredictionState{
		{Status: "created", Sequence: 8}, {Status: "created", Sequence: 5, Lost: &bridge.Lost{Cause: bridge.DeadNotFound}},
	} {
		put(told)
		s, err := know(t.Context())
		require.NoError(t, err)
		require.True(t, s.Open())
		require.EqualValues(t, 8, s.Sequence)
	}
	put(bridge.PredictionState{Status: "completed", Sequence: 9})
	s, err := know(t.Context())
	require.NoError(t, err)
	require.Equal(t, bridge.StatusCompleted, s.Status)
}

// Without the terminal event the archive's event does not tell everything.
func TestArchivedEventWaitsForTheView(t *testing.T) {
	b := setup(t)
	end := b.tell("pred_1", "failed")
	done := b.wait(t.Context(), "pred_1")
	body := []byte(`{"event":"` + end.ID + `","outputs":[]}`)
	archived := b.publish(&bridge.Event{
		ID: bridge.NewEventID("pred_1", "archived", body), Source: "get3w", Type: bridge.TypeArchived, PredictionID: "pred_1",
		Status: "failed", RawStatus: "failed", Origin: bridge.OriginArchive, Body: body,
	})
	b.fold(end, archived)
	a := b.get(done)
	require.NoError(t, a.err)
	require.Len(t, a.state.Outputs, 1)
	require.Len(t, a.state.Events, 2)
}

func TestEndOfTheWaitTellsWhatIsKnown(t *testing.T) {
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	nothing := b.wait(ctx, "nobody")
	b.fold(b.tell("pred_1", "created"))
	done := b.wait(ctx, "pred_1")
	b.fold(b.tell("pred_1", "processing"))
	cancel()
	a := b.get(done)
	require.ErrorIs(t, a.err, context.Canceled)
	require.True(t, a.state.Open())
	a = b.get(nothing)
	require.ErrorIs(t, a.err, context.Canceled)
	require.Nil(t, a.state)
	b.eventually(func() bool { return b.hub.Waiting() == 0 })
}

func TestWaitersAreBounded(t *testing.T) {
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan answer, await.MaxWaiters)
	for range await.MaxWaiters {
		go func() {
			s, err := b.hub.Wait(ctx, "get3w", "pred_1")
			done <- answer{s, err}
		}()
	}
	b.eventually(func() bool { return b.hub.Waiting() == await.MaxWaiters })
	_, err := b.hub.Wait(t.Context(), "get3w", "pred_2")
	require.ErrorIs(t, err, adminapi.ErrBusy)
	cancel()
	for range await.MaxWaiters {
		require.ErrorIs(t, (<-done).err, context.Canceled)
	}
	require.Zero(t, b.hub.Waiting())
}

func TestCloseEndsAllThatWait(t *testing.T) {
	b := setup(t)
	done := b.wait(t.Context(), "pred_1")
	b.hub.Close()
	require.Error(t, b.get(done).err)
	_, err := b.hub.Wait(t.Context(), "get3w", "pred_1")
	require.Error(t, err)
	require.Zero(t, b.consumers())
}

// What was missed while the view was behind is read again until the view has it.
func TestReadsUntilTheViewIsUpToDate(t *testing.T) {
	b := setup(t)
	b.fold(b.tell("pred_1", "created"))
	know := b.hub.Look("get3w", "pred_1")
	b.states.behind.Store(true)
	require.False(t, know(t.Context(), 0), "it may lack what was missed")
	b.states.behind.Store(false)
	require.True(t, know(t.Context(), 0))
	require.False(t, know(t.Context(), 9), "an event was missed that the view does not have")
	b.states.known.Store("get3w/pred_1", bridge.PredictionState{Source: "get3w", ID: "pred_1", Status: "processing", Sequence: 9})
	require.True(t, know(t.Context(), 0))
}
