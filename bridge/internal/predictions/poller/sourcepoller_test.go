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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const processing = `"status":"processing"`

// The oldest are polled first, at the rate, at most four at a time.
func TestPollsTheOldestFirstAtItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled polls
		var busy, most atomic.Int64
		p := polled.of(func(ctx context.Context, id string) ([]byte, error) {
			most.Store(max(most.Load(), busy.Add(1)))
			defer busy.Add(-1)
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			return says(processing)(ctx, id)
		})
		r := newRig(t, noStore{t}, nil, p)
		r.leadership.behind.Store(true)
		for n := range 12 {
			r.add(fmt.Sprint((n*5)%12), time.Hour+time.Duration((n*5)%12)*time.Minute)
		}
		stop := r.start()
		pass(time.Minute)
		require.Empty(t, polled.all(), "what seems to be missing may have come")
		r.leadership.behind.Store(false)
		pass(time.Minute)
		require.NoError(t, stop())
		require.Equal(t, "11 10 9 8 7 6 5 4 3 2 1 0", strings.Join(strings.Fields(polled.ids())[:12], " "))
		require.EqualValues(t, 4, most.Load())
		all := polled.all()
		for i := range all[:11] {
			require.GreaterOrEqual(t, all[i+1].at.Sub(all[i].at), 199*time.Millisecond)
		}
	})
}

// A provider that does not answer holds up no other one.
func TestSlowProviderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := fakeProvider(func(ctx context.Context, _ string) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		var polled polls
		r := newRig(t, noStore{t}, nil, hangs, polled.of(says(processing)))
		for n := range 10 {
			r.add(fmt.Sprint(n), time.Hour)
			r.leadership.add(r.Poller, Record{Source: "other", ID: fmt.Sprint(n), FirstSeen: time.Now().Add(-time.Hour)})
		}
		stop := r.start()
		pass(10 * time.Second)
		require.Len(t, polled.all(), 10)
		pass(5 * time.Minute)
		require.Positive(t, r.count(pollFailed), "and is not waited for endlessly")
		require.NoError(t, stop())
	})
}

// A poll is recorded before it is made: a new leader does not repeat it within the
// interval.
func TestWritesBeforeItAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		var polled polls
		p := polled.of(func(ctx context.Context, id string) ([]byte, error) {
			rec := r.leadership.record(id)
			require.Equal(t, 1, rec.Polls)
			require.True(t, rec.NotBefore.After(time.Now().Add(23*time.Second)))
			<-ctx.Done() // this process is killed
			return nil, ctx.Err()
		})
		r = newRig(t, noStore{t}, nil, p)
		r.add("a", time.Hour)
		stop := r.start()
		synctest.Wait()
		require.NoError(t, stop())
		require.Len(t, polled.all(), 1)
		rec := r.leadership.record("a")
		next := newRig(t, noStore{t}, nil, polled.of(says(processing)))
		next.leadership.add(next.Poller, rec)
		stop = next.start()
		pass(2 * time.Minute)
		require.NoError(t, stop())
		all := polled.all()
		require.Greater(t, len(all), 1)
		require.False(t, all[1].at.Before(rec.NotBefore))
		require.Equal(t, "processing", next.leadership.record("a").Said)
	})
}

// The poller sleeps while nothing is due, and overlooks neither an earlier due time nor a
// new source.
func TestSleepsUntilSomethingIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled, others polls
		r := newRig(t, noStore{t}, nil, polled.of(says(processing)), others.of(says(processing)))
		rec := r.add("a", 0)
		rec.ExpectedBy = time.Now().Add(10 * time.Hour)
		r.leadership.add(r.Poller, rec)
		stop := r.start()
		pass(time.Minute)
		before := r.leadership.looks.Load()
		pass(9 * time.Hour)
		require.Equal(t, before, r.leadership.looks.Load())
		require.Empty(t, polled.all())
		r.add("b", time.Hour)
		synctest.Wait()
		require.Equal(t, "b", polled.ids())
		r.leadership.add(r.Poller, Record{Source: "other", ID: "c", FirstSeen: time.Now().Add(-time.Hour)})
		synctest.Wait()
		require.Equal(t, "c", others.ids())
		require.NoError(t, stop())
		require.Equal(t, adminapi.SourceStatus{Polled: true}, r.Status(time.Now())["other"])
	})
}

// A source that says "later" is paused as a whole, and no other one is.
func TestPausesTheSourceThatIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled, others polls
		limited := fails(&provider.TryLaterError{After: 3 * time.Minute, Err: errors.New("too many requests")})
		r := newRig(t, noStore{t}, nil, polled.of(limited), others.of(says(processing)))
		for n := range 10 {
			r.add(fmt.Sprint(n), time.Hour)
			r.leadership.add(r.Poller, Record{Source: "other", ID: fmt.Sprint(n), FirstSeen: time.Now().Add(-time.Hour)})
		}
		stop := r.start()
		pass(179 * time.Second)
		require.Len(t, polled.all(), 1)
		require.Greater(t, len(others.all()), 10)
		require.InDelta(t, 1, time.Until(r.Status(time.Now())["get3w"].PausedUntil).Seconds(), 0.1)
		require.Equal(t, 2*(6+2+1+2), countMetrics(t, r.Collectors()))
		pass(2 * time.Second)
		require.Len(t, polled.all(), 2)
		require.NoError(t, stop())
		require.Equal(t, 2, r.count(pollLimited))
		require.Zero(t, r.leadership.record("0").NotFound)
	})
}

// With a wrong key nothing is given up, however long it lasts: few polls are made, an alarm
// is raised, and everything goes on with the right key.
func TestWrongKeyLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled polls
		var right atomic.Bool
		r := newRig(t, noStore{t}, nil, polled.of(func(ctx context.Context, id string) ([]byte, error) {
			if !right.Load() {
				return nil, errors.New("the provider answers 401: it does not know the key")
			}
			return says(processing)(ctx, id)
		}))
		for n := range 100 {
			r.add(fmt.Sprint(n), time.Hour)
		}
		stop := r.start()
		pass(72 * time.Hour)
		made := len(polled.all())
		require.Less(t, made, 72*12+20)
		told := r.alarms.Of(bridge.AlarmPolling)
		require.Contains(t, told[0].Text, "the last 5 questions failed: the provider answers 401: it does not know the key")
		require.Contains(t, told[0].Text, "check sources.get3w.api")
		right.Store(true)
		pass(2 * time.Hour)
		require.NoError(t, stop())
		require.True(t, r.alarms.Cleared(bridge.AlarmPolling))
		seen := map[string]bool{}
		for _, a := range polled.all()[made:] {
			seen[a.id] = true
		}
		require.Len(t, seen, 100)
		for n := range 100 {
			require.Zero(t, r.leadership.record(fmt.Sprint(n)).GivenUp)
		}
		require.Equal(t, made, r.count(pollFailed))
	})
}

// A provider that puts off every poll for hours raises an alarm.
func TestPutOffIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noStore{t}, nil, fails(&provider.TryLaterError{Err: errors.New("it answered 503")}))
		r.add("a", time.Hour)
		r.add("b", time.Hour)
		stop := r.start()
		pass(7 * time.Minute)
		require.Empty(t, r.alarms.Of(bridge.AlarmPolling), "that is what limits are for")
		pass(time.Hour)
		require.NoError(t, stop())
		require.Contains(t, r.alarms.Of(bridge.AlarmPolling)[0].Text, "the API of get3w does not let itself be asked, it put off the last 5 questions: it answered 503. Predictions whose")
		require.Equal(t, "get3w", r.alarms.Of(bridge.AlarmPolling)[0].Subject)
	})
}

// late is a provider that gets its key later.
type late struct {
	fakeProvider
	key *atomic.Bool
}

func (l late) HasKey() bool { return l.key.Load() }

// Without a key nothing is polled and nothing counts as a poll; polling starts soon after
// the key has come. Until then an alarm says so, and also about a source without an API.
func TestWithoutKeyNobodyIsPolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var polled polls
		var key atomic.Bool
		r := newRig(t, noStore{t}, nil, polled.of(says(processing)), polled.of(says(processing)))
		r.bySource["get3w"].source.Provider = late{polled.of(says(processing)), &key}
		r.bySource["other"].source.Provider = nil
		r.add("a", time.Hour)
		for _, source := range []string{"other", "removed"} {
			r.leadership.add(r.Poller, Record{Source: source, ID: "b", FirstSeen: time.Now().Add(-time.Hour)})
		}
		stop := r.start()
		pass(72 * time.Hour)
		require.Empty(t, polled.all())
		status := r.Status(time.Now())
		for _, name := range []string{"get3w", "other", "removed"} { // as the leader does
			s := status[name]
			require.False(t, s.Polled, name)
			var err error
			s.Open, s.Overdue, s.Oldest, err = r.leadership.Counts(t.Context(), name, time.Now())
			require.NoError(t, err)
			require.Equal(t, 1, s.Overdue, name)
			status[name] = s
		}
		r.TellUnpolled(status)
		told := map[string]string{}
		for _, a := range r.alarms.Of(bridge.AlarmPolling) {
			told[a.Subject] = a.Text
		}
		require.Len(t, told, 3)
		require.Equal(t, "1 predictions of removed are overdue, and nobody can be asked for them: they have no end until their webhooks come: "+
			"set sources.removed.api with a key that can be read", told["removed"])
		key.Store(true)
		pass(r.times.later + time.Second)
		require.NotEmpty(t, polled.all())
		require.Equal(t, "a", polled.all()[0].id)
		require.True(t, r.Status(time.Now())["get3w"].Polled)
		r.TellUnpolled(map[string]adminapi.SourceStatus{"get3w": {Polled: true, Overdue: 1}, "other": {Open: 1}})
		over := r.alarms.Of(bridge.AlarmPolling)[3:]
		require.Len(t, over, 3)
		for _, a := range over {
			require.True(t, a.Cleared)
		}
		require.NoError(t, stop())
	})
}

// 100,000 predictions that never end are polled no faster than the rate.
func TestManyThatNeverFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		var polled polls
		r := newRig(t, noStore{t}, nil, polled.of(func(ctx context.Context, id string) ([]byte, error) {
			n.Add(1)
			return says(processing)(ctx, id)
		}))
		for n := range 100_000 {
			r.add(fmt.Sprint(n), time.Hour)
		}
		stop := r.start()
		pass(10 * time.Minute)
		require.NoError(t, stop())
		require.InDelta(t, 10*60*5, n.Load(), 5)
		require.Empty(t, r.alarms.All())
		seen := map[string]bool{}
		for _, a := range polled.all() {
			seen[a.id] = true
		}
		require.Len(t, seen, int(n.Load()), "none comes again before each has had its turn")
		logs := r.logs.FilterMessageSnippet("overdue").All()
		require.InDelta(t, 20, len(logs), 1, "how far it is is told every 30 s")
		require.Equal(t, "100,000 predictions are overdue and are asked for, the oldest first", logs[0].Message)
		require.Regexp(t, `^99,8\d\d overdue, 1(49|50|51) asked, 0 ended, about 33\d minutes to go$`, logs[1].Message)
	})
}

// Catching up is logged once at its end, and not after it.
func TestSaysWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noStore{t}, nil, says(processing))
		for n := range 160 {
			r.leadership.add(r.Poller, Record{Source: "get3w", ID: fmt.Sprint(n), Polls: 10, FirstSeen: time.Now().Add(-time.Hour)})
		}
		stop := r.start()
		pass(20 * time.Minute)
		require.NoError(t, stop())
		logs := r.logs.FilterMessageSnippet("overdue").All()
		require.Len(t, logs, 2)
		require.Equal(t, "160 predictions are overdue and are asked for, the oldest first", logs[0].Message)
		require.Regexp(t, "^caught up with what was overdue: 1(49|50|51) asked, 0 ended$", logs[1].Message)
	})
}

// countMetrics returns the number of series, each with help and a good name.
func countMetrics(t *testing.T, collectors []prometheus.Collector) int {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collectors...)
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
	n, err := testutil.GatherAndCount(reg)
	require.NoError(t, err)
	return n
}
