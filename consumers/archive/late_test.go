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

// received is an event that was received that long ago.
func received(id string, ago time.Duration, outputs ...any) *bridge.Event {
	ev := newEvent(id, outputs...)
	ev.ReceivedAt = time.Now().Add(-ago)
	return ev
}

// try makes an attempt as a consumer does that would wait for long by itself.
func (b *bundle) try(ev *bridge.Event, first time.Time) consumers.Tried {
	cfg := consumers.Config{Name: "archive", Retry: consumers.Retry{First: time.Hour, GiveUpAfter: week}}
	return consumers.Try(context.Background(), b.Archive, ev, cfg, consumers.Attempt{First: first})
}

// An output that is not there yet is asked for again, soon and often, until it comes.
func TestLateOutputIsAskedForAgain(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		var come atomic.Bool
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late.png" && !come.Load() {
				w.WriteHeader(status)
			}
		})
		b := setup(t, delayed)
		for ago, most := range map[time.Duration]time.Duration{0: time.Second, 10 * time.Second: 6 * time.Second, delay - time.Minute: time.Minute} {
			ev := received("p", ago, srv.URL+"/late.png", srv.URL+"/here.png")
			tried := b.try(ev, time.Now())
			require.Equal(t, consumers.ActionRetry, tried.Action, "%d: %v", status, tried.Err)
			require.LessOrEqual(t, tried.Delay, most)
			require.Positive(t, tried.Delay)
			require.ErrorContains(t, tried.Err, fmt.Sprintf("127.0.0.1 answered %d: it may be late, so it is asked for again until %s",
				status, ev.ReceivedAt.Add(delay).UTC().Format(time.RFC3339)))
			require.Equal(t, fmt.Sprintf("1 of 2 outputs, 1 late (%d)", status), tried.Note)
			require.NoFileExists(t, filepath.Join(folder(b.dir, "p"), manifestName))
		}
		come.Store(true)
		require.NoError(t, b.handle(received("p", delay-time.Second, srv.URL+"/late.png", srv.URL+"/here.png")))
		require.False(t, readManifest(t, folder(b.dir, "p")).failed())
	}
}

// Nobody waits for what has had its time: counted from when the event was received, or
// first handled, whichever process looks and however often it was started since.
func TestLateOutputIsGoneAfterItsTime(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		now, long := time.Now(), delay+time.Second
		unknown := newEvent("unknown", srv.URL)
		ahead := received("ahead", -week, srv.URL) // by the clock of another machine
		for ev, first := range map[*bridge.Event]time.Time{
			received("backlog", long, srv.URL): now, received("again", long, srv.URL): now.Add(-long), unknown: now.Add(-long), ahead: now.Add(-long),
		} {
			p := &told{}
			b := setup(t, func(c *Config) { delayed(c); c.Publish = p.publish })
			tried := b.try(ev, first)
			require.Equal(t, consumers.ActionDead, tried.Action, "%s: %v", ev.PredictionID, tried.Err)
			want := fmt.Sprintf("gone: 127.0.0.1 answered %d, which is final 10m0s after the event was received", status)
			require.ErrorContains(t, tried.Err, want)
			require.Equal(t, fmt.Sprintf("0 of 1 output, 1 gone (%d)", status), tried.Note)
			require.Equal(t, want, archivedOf(t, p.events[0]).Missing[0].Error)
			require.Equal(t, want, readManifest(t, folder(b.dir, ev.PredictionID)).Outputs[0].Error)
		}
		b := setup(t, delayed)
		require.Equal(t, consumers.ActionRetry, b.try(unknown, now).Action)
		require.Equal(t, consumers.ActionRetry, b.try(ahead, now).Action)

		// The provider deletes it before that.
		b = setup(t, func(c *Config) { delayed(c); weekly(c) })
		over := received("over", time.Second, srv.URL)
		over.Time = now.Add(-week)
		require.Equal(t, consumers.ActionDead, b.try(over, now).Action)
	}
}

// An output that is said to be gone is gone, and one that is late does not hurry a host
// that wants to be left alone.
func TestOnlyLateOutputsAreHurried(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(map[string]int{"/gone": 410, "/late": 404, "/busy": 503, "/broken": 500}[r.URL.Path])
	})
	b := setup(t, delayed)
	require.Equal(t, consumers.ActionDead, b.try(received("gone", 0, srv.URL+"/gone"), time.Now()).Action)
	require.LessOrEqual(t, b.try(received("late", 0, srv.URL+"/gone", srv.URL+"/late"), time.Now()).Delay, time.Second)
	require.Equal(t, 2*time.Minute, b.try(received("busy", 0, srv.URL+"/busy", srv.URL+"/late"), time.Now()).Delay)
	require.GreaterOrEqual(t, b.try(received("broken", 0, srv.URL+"/broken"), time.Now()).Delay, time.Minute)
}

// A sender that is late and then lies about length, encoding and type has its output
// stored as what it is; one that never sends the whole of it is given up when the
// provider has deleted it.
func TestLateAndLyingSender(t *testing.T) {
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
		tried := b.try(ev, ev.ReceivedAt)
		require.Equal(t, consumers.ActionRetry, tried.Action)
		require.ErrorContains(t, tried.Err, want)
	}
	require.NoError(t, b.handle(ev))
	require.Equal(t, png, readFile(t, b.dir, folderKey(ev), "0.png"))

	short.Store(true)
	require.Equal(t, consumers.ActionRetry, b.try(event("q", time.Hour), time.Now()).Action)
	tried := b.try(event("q", -time.Second), time.Now())
	require.Equal(t, consumers.ActionDead, tried.Action)
	require.ErrorContains(t, tried.Err, "unexpected EOF, and the provider has kept it until")
}
