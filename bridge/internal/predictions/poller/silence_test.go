package poller

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func TestSilenceHasWords(t *testing.T) {
	t.Parallel()
	s := &silence{}
	at := func(m int) time.Time { return foldtest.Noon.Add(time.Duration(m) * time.Minute) }
	poll := func(m int) { s.poll(polledEnd{completed: at(m), received: at(m + 4), submitted: true}, true) }
	require.False(t, s.unjudged())
	poll(1)
	poll(2)
	require.True(t, s.unjudged())
	require.Empty(t, s.judge("get3w"), "two can have been lost on their way")
	require.False(t, s.unjudged())
	poll(3)
	require.Equal(t, []bridge.Alarm{{
		Kind: bridge.AlarmSilence, Subject: "get3w", Over: "webhooks from get3w come again",
		Text: "get3w has never sent a webhook, as far as the view remembers; 3 predictions were completed by polling; " +
			"check the webhook_url that they are submitted with, and the secret",
		Details: map[string]any{"source": "get3w", "polled_since": 3},
	}}, s.judge("get3w"))

	s.webhook(at(122).Add(11 * time.Second))
	_, n := s.since()
	require.Zero(t, n)
	poll(123)
	poll(124)
	poll(119) // only its webhook is missing: others have come since
	require.Empty(t, s.judge("get3w"))
	poll(125)
	require.Equal(t, "webhooks from get3w stopped at 14:02 (2026-01-31T14:02:11Z); 4 predictions were completed by polling since then; "+
		"check the webhook_url that they are submitted with, and the secret", s.judge("get3w")[0].Text)
	require.False(t, s.unjudged())
	s.webhook(at(130))
	require.True(t, s.unjudged(), "the silence is over")
	require.Empty(t, s.judge("get3w"))
}

// A view that is made anew tells of the same ends again, which are not counted twice.
func TestSilenceCountsAnEndOnce(t *testing.T) {
	t.Parallel()
	at := foldtest.Noon.Add(time.Minute)
	s := &silence{began: foldtest.Noon}
	s.webhook(foldtest.Noon)
	for range silentAfter {
		s.poll(polledEnd{completed: at, received: at}, true)
	}
	require.Empty(t, s.judge("get3w"))
}

// A source is not silent when no webhooks were requested, or when the bridge was not there
// to hear them.
func TestSilenceIsNoFalseAlarm(t *testing.T) {
	t.Parallel()
	at := func(m int) time.Time { return foldtest.Noon.Add(time.Duration(m) * time.Minute) }
	s := &silence{}
	for m := range 10 {
		s.poll(polledEnd{completed: at(m), received: at(m + 4)}, true)
	}
	require.Empty(t, s.judge("get3w"), "it has never sent any")

	s = &silence{began: at(30)}
	s.webhook(at(1))
	for m := range 10 {
		s.poll(polledEnd{completed: at(m + 10), received: at(31)}, true)
	}
	require.Empty(t, s.judge("get3w"), "they ended while nobody listened")
	_, polled := s.since()
	require.Equal(t, 10, polled)
	for m := range 3 {
		s.poll(polledEnd{completed: at(m + 31), received: at(m + 35)}, true)
	}
	require.NotEmpty(t, s.judge("get3w"))
}

// The view is read in the order of changes, not of ends.
func TestSilenceCountsInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		s := &silence{}
		r := rand.New(rand.NewPCG(seed, 1))
		for _, n := range r.Perm(100) {
			at := foldtest.Noon.Add(time.Duration(n) * time.Second)
			if n%7 == 0 && n < 80 {
				s.webhook(at)
			} else {
				s.poll(polledEnd{completed: at, received: at}, false)
			}
		}
		last, polled := s.since()
		require.Equal(t, foldtest.Noon.Add(77*time.Second), last)
		require.Equal(t, 22, polled)
		require.False(t, s.unjudged(), "it was long ago")
	}
	s := &silence{}
	for n := range 5000 {
		at := foldtest.Noon.Add(time.Duration(n) * time.Second)
		s.poll(polledEnd{completed: at, received: at}, true)
	}
	_, polled := s.since()
	require.Equal(t, 5000, polled)
	require.Len(t, s.polled, silenceRemembers)
	s.webhook(foldtest.Noon.Add(4998 * time.Second))
	_, polled = s.since()
	require.Equal(t, 1, polled)
}
