package poller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
	"github.com/hookspan/hookspan/internal/backoff"
)

// A prediction that has ended meanwhile is not polled, and polling ends when another
// process leads.
func TestPollsOnlyOpenPredictionsAndOnlyWhileItLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled polls
		r := newRig(t, noStore{t}, nil, polled.of(says(processing)))
		ended := r.add("ended", 3*time.Hour)
		r.add("elsewhere", 2*time.Hour)
		r.add("never", time.Hour)
		r.leadership.fail = func(rec Record) error {
			if rec.ID == "ended" {
				go r.leadership.remove(&bridge.Event{Source: ended.Source, PredictionID: ended.ID})
			}
			return map[string]error{"ended": ErrNotOpen, "elsewhere": fmt.Errorf("writing: %w", ErrNotLeader)}[rec.ID]
		}
		require.ErrorIs(t, r.Run(t.Context(), r.leadership), ErrNotLeader)
		require.NotContains(t, polled.ids(), "ended")
		require.NotContains(t, polled.ids(), "elsewhere")
	})
}

// Nothing is polled while the record of the poll cannot be written.
func TestPollsOnceTheStoreIsWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled polls
		r := newRig(t, noStore{t}, nil, polled.of(says(processing)))
		r.add("a", time.Hour)
		var tries atomic.Int64
		r.leadership.fail = func(Record) error {
			if tries.Add(1) <= 10 {
				return errors.New("no answer")
			}
			return nil
		}
		stop := r.start()
		pass(time.Second)
		require.Empty(t, polled.all())
		pass(10 * time.Second)
		require.Len(t, polled.all(), 1)
		require.NoError(t, stop())
		require.Equal(t, 1, r.leadership.record("a").Polls)
	})
}

// Durations of the model that became known after queueing count.
func TestDueIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled polls
		r := newRig(t, noStore{t}, nil, polled.of(says(processing)))
		r.add("a", 10*time.Minute-time.Second)
		for range modelEnough {
			r.models.add("get3w", model, 20*time.Minute)
		}
		stop := r.start()
		pass(49 * time.Minute)
		require.Empty(t, polled.all())
		pass(2 * time.Minute)
		require.NotEmpty(t, polled.all())
		require.NoError(t, stop())
	})
}

// An answer about another prediction, or without an end, is no event. The prediction is
// polled again at growing intervals.
func TestOnlyItsOwnEndIsTaken(t *testing.T) {
	t.Parallel()
	end := `"status":"completed","outputs":["https://cdn.get3w.com/a.png"]`
	for name, c := range map[string]struct {
		body   string
		result string
		said   string
	}{
		"another prediction": {`{"id":"pred_2",` + end + `}`, pollRefused, `the answer is about prediction "pred_2"`},
		"no id":              {`{` + end + `}`, pollRefused, "no_id"},
		"two ids":            {`{"id":"pred_2","id":"pred_1",` + end + `}`, pollRefused, "duplicate_key"},
		"HTML":               {`<html>Bad gateway</html>`, pollRefused, "syntax"},
		"null":               {`null`, pollRefused, "syntax"},
		"no status":          {`{"id":"pred_1"}`, pollRefused, "no_status"},
		"backwards":          {`{"id":"pred_1","status":"created"}`, pollOpen, "created"},
		"unknown status":     {`{"id":"pred_1","status":"Completed?"}`, pollOpen, "Completed?"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var polled polls
				r := newRig(t, noStore{t}, nil, polled.of(func(context.Context, string) ([]byte, error) { return []byte(c.body), nil }))
				r.add("pred_1", time.Hour)
				stop := r.start()
				pass(6 * time.Hour)
				require.NoError(t, stop())
				rec := r.leadership.record("pred_1")
				require.Contains(t, rec.Said, c.said)
				require.Equal(t, c.result == pollRefused, rec.Failed)
				require.Zero(t, rec.GivenUp)
				all := polled.all()
				require.InDelta(t, 11, len(all), 3)
				require.Equal(t, len(all), r.count(c.result))
				for i := range all[1:] {
					want := backoff.Doubled(30*time.Second, i, time.Hour)
					require.GreaterOrEqual(t, all[i+1].at.Sub(all[i].at), want*8/10)
					require.LessOrEqual(t, all[i+1].at.Sub(all[i].at), want*12/10+5*time.Minute) // spaced out
				}
			})
		})
	}
}

func TestSilenceIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noStore{t}, nil, says(processing))
		ended := func(origin string, live bool) {
			now := time.Now()
			r.Ended(&bridge.PredictionState{
				Source: "get3w", Model: model, Origin: origin, CreatedAt: now.Add(-time.Second), CompletedAt: now, ReceivedAt: now,
			}, live)
			pass(time.Minute)
		}
		ended(bridge.OriginWebhook, false)
		r.leadership.add(r.Poller, Record{Source: "get3w", ID: "a", FirstSeen: time.Now(), ExpectedBy: time.Now().Add(time.Hour)})
		stop := r.start()
		ended(bridge.OriginPoll, true)
		ended(bridge.OriginPoll, true)
		r.leadership.behind.Store(true)
		ended(bridge.OriginPoll, true)
		require.Empty(t, r.alarms.Of(bridge.AlarmSilence), "a webhook may have come that the view does not have yet")
		r.leadership.behind.Store(false)
		pass(time.Second)
		require.Len(t, r.alarms.Of(bridge.AlarmSilence), 1)
		require.Equal(t, "webhooks from get3w stopped at 00:00 (2000-01-01T00:00:00Z); 3 predictions were completed by polling since then; "+
			"check the webhook_url that they are submitted with, and the secret", r.alarms.Of(bridge.AlarmSilence)[0].Text)
		s := r.Status(time.Now())["get3w"]
		require.Equal(t, 3, s.PolledSince)
		require.True(t, s.Polled)
		ended(bridge.OriginWebhook, true)
		ended(bridge.OriginPoll, true)
		pass(time.Second)
		require.Len(t, r.alarms.Of(bridge.AlarmSilence), 2)
		require.True(t, r.alarms.Cleared(bridge.AlarmSilence))
		require.Equal(t, 1, r.Status(time.Now())["get3w"].PolledSince)
		require.NoError(t, stop())
		usual, known := r.models.p99("get3w", model)
		require.True(t, known)
		require.Equal(t, time.Second, usual)
	})
}

func TestConflictSaysWhichEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, noStore{t}, nil, says(processing))
	var s bridge.PredictionState
	first := foldtest.Told(t, bridge.OriginPoll, foldtest.Done)
	foldtest.Next(&s, first)
	second := foldtest.Told(t, bridge.OriginWebhook, `"status":"failed","error":"no"`)
	require.True(t, foldtest.Next(&s, second).Conflict)
	r.Conflict(&s, second, 7)
	require.Equal(t, foldtest.Noon, r.Status(foldtest.Noon)["get3w"].LastWebhook)
	a := r.alarms.Of(bridge.AlarmPredictionConflict)[0]
	require.Equal(t, "get3w/pred_1", a.Subject)
	require.Contains(t, a.Text, fmt.Sprintf("first as completed by poll (event %q, number 1), then as failed by webhook (event %q, number 7)", first.ID, second.ID))
	require.Equal(t, second.ID, a.Details["second_event"])
}

func TestQueryIsWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	a := &bridge.Announced{
		Reference: "r", Tenant: "t",
		Metadata: map[string]string{"order": "7", "tenant": "u", "secret": "s", "empty": "", "long": strings.Repeat("%", bridge.MaxQueryValue)},
	}
	require.Equal(t, map[string]string{"ref": "r", "tenant": "u", "order": "7"}, queryOf([]string{"ref", "tenant", "order", "empty", "long", "absent"}, a))
	require.Equal(t, map[string]string{"reference": "r"}, queryOf([]string{"reference"}, a))
	require.Nil(t, queryOf([]string{"absent"}, a))
	require.Nil(t, queryOf([]string{"ref"}, nil))
}

// For any answer, an event is the end of the polled prediction.
func FuzzReadAnswer(f *testing.F) {
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(f, err)
	for _, body := range []string{
		`{"id":"pred_1","status":"completed","outputs":[]}`, `{"id":"pred_1","status":"processing"}`, `{"id":"a","status":"failed"}`,
		`{"id":"pred_1","id":"a","status":"failed"}`, `null`, ``, `[]`, "\xff", `{"id":"pred\u005f1","status":"canceled","completed_at":"9999-99-99T00:00:00Z"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a := readReply(src, "pred_1", body, foldtest.Noon)
		require.LessOrEqual(t, len(a.said), maxSaid)
		require.Equal(t, a.result == pollRefused, a.err != nil)
		require.Equal(t, a.result == pollEnded, a.event != nil)
		if e := a.event; e != nil {
			require.Equal(t, "pred_1", e.PredictionID)
			require.True(t, bridge.Terminal(e.Status))
			require.Equal(t, bridge.OriginPoll, e.Origin)
		}
	})
}
