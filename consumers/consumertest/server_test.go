package consumertest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/consumertest"
)

func event(id string) *bridge.Event { return consumertest.Event(consumertest.Prediction{ID: id}) }

func TestServerWaitsForEveryVerdict(t *testing.T) {
	t.Parallel()
	s := consumertest.Start(t)
	verdicts := map[string]func(a consumers.Attempt) error{
		"pred_done":      func(consumers.Attempt) error { return nil },
		"pred_permanent": func(consumers.Attempt) error { return consumers.Permanent(errors.New("no such customer")) },
		"pred_refused":   func(consumers.Attempt) error { return consumers.Refused(errors.New("not wanted")) },
		"pred_later":     func(consumers.Attempt) error { return consumers.RetryAfter(errors.New("not today"), time.Hour) },
		"pred_third": func(a consumers.Attempt) error {
			if a.Number < 3 {
				return errors.New("not yet")
			}
			return nil
		},
	}
	attempts := make(chan string, 100)
	stop := s.Run(consumers.HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
		attempts <- ev.PredictionID
		consumers.Note(ctx, "a note")
		return verdicts[ev.PredictionID](consumers.AttemptOf(ctx))
	}), consumers.Config{Name: "team"})
	for id, want := range map[string]consumers.Action{
		"pred_done": consumers.ActionDone, "pred_permanent": consumers.ActionDead, "pred_refused": consumers.ActionDead,
		"pred_later": consumers.ActionRetry, "pred_third": consumers.ActionDone,
	} {
		require.Equal(t, bridge.Stored, s.Publish(event(id)).Result)
		require.Equal(t, bridge.Duplicate, s.Publish(event(id)).Result)
		require.Equal(t, want, s.Wait("team", event(id)), id)
		require.Equal(t, want, s.Wait("team", event(id)), "it stays so")
	}
	require.NoError(t, stop())
	require.Len(t, attempts, 7, "5 events, one of them three times")

	letters := s.DeadLetters("team")
	require.Len(t, letters, 2)
	for _, dead := range letters {
		require.Equal(t, "a note", dead.History[0].Note)
		if dead.Event.PredictionID == "pred_permanent" {
			require.Equal(t, bridge.DeadPermanent, dead.Cause)
			require.Equal(t, "no such customer", dead.Error)
		} else {
			require.Equal(t, bridge.DeadRefused, dead.Cause)
		}
	}
	require.Empty(t, s.DeadLetters("other"))
}

// Each consumer has its own verdict on an event.
func TestServerWithTwoConsumers(t *testing.T) {
	t.Parallel()
	s := consumertest.Start(t)
	s.Publish(event("pred_1"))
	s.Run(consumers.HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), consumers.Config{Name: "one"})
	require.Equal(t, consumers.ActionDone, s.Wait("one", event("pred_1")))
	s.Run(consumers.HandlerFunc(func(context.Context, *bridge.Event) error { return consumers.Permanent(errors.New("no")) }), consumers.Config{Name: "two"})
	require.Equal(t, consumers.ActionDead, s.Wait("two", event("pred_1")))
	require.Empty(t, s.DeadLetters("one"))
	require.Len(t, s.DeadLetters("two"), 1)
}

// failing is a test that notes that it failed.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Errorf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }
func (f *failing) FailNow()                          { runtime.Goexit() }

// A wrong test fails at once.
func TestServerFailsTheTest(t *testing.T) {
	t.Parallel()
	for want, wrong := range map[string]func(s *consumertest.Server){
		"was not published": func(s *consumertest.Server) { s.Wait("team", event("pred_1")) },
		"not a usable name": func(s *consumertest.Server) { s.Run(consumers.HandlerFunc(nil), consumers.Config{}) },
	} {
		f := &failing{TB: t}
		s := consumertest.Start(f)
		done := make(chan struct{})
		go func() {
			defer close(done)
			wrong(s)
		}()
		<-done
		require.Contains(t, f.text, want)
	}
}
