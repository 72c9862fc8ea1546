package archive

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

const delay = 10 * time.Minute

func delayed(c *Config) { c.Delay = func(string) time.Duration { return delay } }

// noon is where the clock of the tests stands.
var noon = eventTime.Add(12 * time.Hour)

// stopped is an archive whose clock stands.
func stopped(t *testing.T, change func(*Config)) *bundle {
	b := setup(t, change)
	b.now = func() time.Time { return noon }
	return b
}

// received is an event that was received that long before noon.
func received(id string, ago time.Duration, outputs ...any) *bridge.Event {
	ev := newEvent(id, outputs...)
	ev.ReceivedAt = noon.Add(-ago)
	return ev
}

// try makes a first attempt as a consumer does that would wait for long by itself.
func (b *bundle) try(ev *bridge.Event) consumers.Tried { return b.attempt(ev, consumers.Attempt{}) }

// tryAgain makes a second attempt, that long after the first one has failed.
func (b *bundle) tryAgain(ev *bridge.Event, after time.Duration) consumers.Tried {
	return b.attempt(ev, consumers.Attempt{Number: 2, FirstFailed: b.now().Add(-after)})
}

func (b *bundle) attempt(ev *bridge.Event, a consumers.Attempt) consumers.Tried {
	cfg := consumers.Config{Name: "archive", Retry: consumers.Retry{First: time.Hour, GiveUpAfter: week}}
	return consumers.Try(context.Background(), b.Archive, ev, cfg, a)
}

// An output that is not there yet is asked for again, soon and often, until it comes.
func TestLateOutputIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		var come atomic.Bool
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late.png" && !come.Load() {
				w.WriteHeader(status)
			}
		})
		b := stopped(t, delayed)
		ev := received("p", 0, srv.URL+"/late.png", srv.URL+"/here.png")
		for after, want := range map[time.Duration]time.Duration{
			0: time.Second, time.Second: time.Second, 10 * time.Second: 5 * time.Second, delay - time.Minute: time.Minute, delay - 1: time.Minute,
		} {
			tried := b.tryAgain(ev, after)
			require.Equal(t, consumers.ActionRetry, tried.Action, "%d: %v", status, tried.Err)
			require.Equal(t, want, tried.Delay)
			require.ErrorContains(t, tried.Err, fmt.Sprintf("127.0.0.1 answered %d: it may be late, so it is asked for again until %s",
				status, noon.Add(delay-after).UTC().Format(time.RFC3339)))
			require.Equal(t, fmt.Sprintf("1 of 2 outputs, 1 late (%d)", status), tried.Note)
			require.NoFileExists(t, filepath.Join(folder(b.dir, "p"), manifestName))
		}
		come.Store(true)
		require.NoError(t, b.tryAgain(ev, delay-time.Second).Err)
		require.False(t, readManifest(t, folder(b.dir, "p")).failed())
	}
}

// One answer never makes a dead letter, however long the event has waited before: it may be
// that of a host which is asked for a whole backlog and wants less.
func TestOneAnswerIsNeverFinal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		b := stopped(t, delayed)
		for name, a := range map[string]consumers.Attempt{
			"backlog": {}, "waited for room": {First: time.Now().Add(-time.Hour)}, "clock ahead": {First: time.Now().Add(time.Hour)},
		} {
			for _, ago := range []time.Duration{0, delay + time.Second, 24 * time.Hour, week, -week} {
				tried := b.attempt(received(name, ago, srv.URL), a)
				require.Equal(t, consumers.ActionRetry, tried.Action, "%s, %v ago: %v", name, ago, tried.Err)
				require.Equal(t, time.Second, tried.Delay)
				require.ErrorContains(t, tried.Err, "again until "+noon.Add(delay).UTC().Format(time.RFC3339))
			}
		}
		// Unless the provider deletes it before that.
		b = stopped(t, func(c *Config) { delayed(c); c.Life = func(string) time.Duration { return noon.Sub(eventTime) } })
		tried := b.try(received("over", time.Second, srv.URL))
		require.Equal(t, consumers.ActionDead, tried.Action)
		require.ErrorContains(t, tried.Err, fmt.Sprintf("gone: 127.0.0.1 answered %d", status))
	}
}

// Nobody waits for what has had its time: counted from the first attempt that failed,
// whichever process looks and however often it was started since.
func TestLateOutputIsGoneAfterItsTime(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for _, ev := range []*bridge.Event{
			received("again", delay+time.Second, srv.URL), newEvent("unknown", srv.URL), received("ahead", -week, srv.URL), // by the clock of another machine
		} {
			p := &told{}
			b := stopped(t, func(c *Config) { delayed(c); c.Publish = p.publish })
			tried := b.tryAgain(ev, delay)
			require.Equal(t, consumers.ActionDead, tried.Action, "%s: %v", ev.PredictionID, tried.Err)
			want := fmt.Sprintf("gone: 127.0.0.1 answered %d, which is final 10m0s after the first attempt", status)
			require.ErrorContains(t, tried.Err, want)
			require.Equal(t, fmt.Sprintf("0 of 1 output, 1 gone (%d)", status), tried.Note)
			require.Equal(t, want, archivedOf(t, p.events[0]).Missing[0].Error)
			require.Equal(t, want, readManifest(t, folder(b.dir, ev.PredictionID)).Outputs[0].Error)
		}
	}
}

// An output that is answered 410 is gone at once, and a late one does not hurry a host that
// wants to be left alone.
func TestOnlyLateOutputsAreHurried(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(map[string]int{"/gone": 410, "/late": 404, "/busy": 503, "/broken": 500}[r.URL.Path])
	})
	b := stopped(t, delayed)
	require.Equal(t, consumers.ActionDead, b.try(received("gone", 0, srv.URL+"/gone")).Action)
	require.Equal(t, time.Second, b.try(received("late", 0, srv.URL+"/gone", srv.URL+"/late")).Delay)
	require.Equal(t, 2*time.Minute, b.try(received("busy", 0, srv.URL+"/busy", srv.URL+"/late")).Delay)
	require.GreaterOrEqual(t, b.try(received("broken", 0, srv.URL+"/broken")).Delay, time.Minute)
}

// A sender that is late and then lies about length, encoding and type has its output stored as
// what it is; one that never sends the whole of it is given up when the provider has deleted it.
func TestLateAndLyingSender(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var short atomic.Bool
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n := asked.Add(1); {
		case n == 1:
			w.WriteHeader(http.StatusNotFound)
			return
		case n == 2 || short.Load():
			w.Header().Set("Content-Length", "1000")
		}
		w.Header().Set("Content-Encoding", "gzip, utf-8")
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
		_, _ = io.WriteString(w, png)
	})
	b := setup(t, func(c *Config) { delayed(c); weekly(c) })
	event := func(id string, left time.Duration) *bridge.Event {
		ev := aged(id, left, srv.URL+"/a.html")
		ev.ReceivedAt = ev.Time
		return ev
	}
	ev := event("p", week)
	for _, want := range []string{"may be late", "unexpected EOF"} {
		tried := b.try(ev)
		require.Equal(t, consumers.ActionRetry, tried.Action)
		require.ErrorContains(t, tried.Err, want)
	}
	require.NoError(t, b.handle(ev))
	require.Equal(t, png, readFile(t, b.dir, folderKey(ev), "0.png"))

	short.Store(true)
	require.Equal(t, consumers.ActionRetry, b.try(event("q", time.Hour)).Action)
	tried := b.try(event("q", -time.Second))
	require.Equal(t, consumers.ActionDead, tried.Action)
	require.ErrorContains(t, tried.Err, "unexpected EOF, and the provider has kept it until")
}
