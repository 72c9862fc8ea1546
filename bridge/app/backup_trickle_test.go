package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/natstest"
)

// handling is a service that handles events, and knows which.
type handling struct {
	*httptest.Server

	mu  sync.Mutex
	had []string // ids of predictions
}

func newHandling(t *testing.T) *handling {
	t.Helper()
	s := &handling{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			ID string `json:"id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			panic(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.had = append(s.had, body.ID)
	}))
	t.Cleanup(s.Close)
	return s
}

// take returns what came since the last call.
func (s *handling) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := s.had
	s.had = nil
	return had
}

// idsIn are those of the predictions whose events a stream has.
func idsIn(t *testing.T, js jetstream.JetStream) (ids []string) {
	t.Helper()
	for _, m := range look(t, js, bridge.Names{}.EventsStream())[bridge.Names{}.EventsStream()].Messages {
		_, rest, _ := strings.Cut(m, `{"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		ids = append(ids, id)
	}
	return ids
}

func settledAll(t *testing.T, a *App) bool {
	t.Helper()
	c, err := a.store.consume.Consumer(t.Context(), bridge.Names{}.EventsStream(), "handle")
	if err != nil {
		return false
	}
	info := c.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0 && a.store.journal.State().Records == 0
}

// Webhooks come all the time while a bridge is saved. What was answered before is restored, with a
// quarantined delivery; the restored bridge handles each event once, and again only what was not
// acknowledged when it was saved.
func TestBackupUnderATrickle(t *testing.T) {
	t.Parallel()
	service := newHandling(t)
	text := strings.Replace(saved, "handle: {kind: exec, command: [/bin/true]}", `handle: {kind: forward, url: "`+service.URL+`", allow_private: true, secret: env:GET3W_WEBHOOK_SECRET}`, 1)
	require.NotEqual(t, saved, text)
	a, err := newTestApp(t, t.TempDir(), text)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	var answered []string
	send := func() {
		t.Helper()
		id := fmt.Sprint("pred_", len(answered))
		require.True(t, accepts(t, a, id))
		answered = append(answered, id)
	}
	for range 30 {
		send()
	}
	require.True(t, takes(t, a, "not decodable"))
	require.Eventually(t, func() bool { return settledAll(t, a) }, time.Minute, 5*time.Millisecond)
	acknowledged := slices.Clone(answered)
	for range 10 {
		send()
	}

	before, dir := len(answered), filepath.Join(t.TempDir(), "backup")
	type outcome struct {
		report BackupReport
		err    error
	}
	over := make(chan outcome, 1)
	go func() {
		report, err := takeRunning(a, dir)
		over <- outcome{report, err}
	}()
	var is outcome
	for done := false; !done; {
		send()
		select {
		case is = <-over:
			done = true
		default:
			require.Less(t, len(answered), 5000)
		}
	}
	require.NoError(t, is.err)
	require.NoError(t, a.Stop())
	first := service.take()

	again := t.TempDir()
	require.NoError(t, restoreInto(t, text, again, dir))
	b, err := newTestApp(t, again, text)
	require.NoError(t, err)
	require.NoError(t, b.Start(t.Context()))
	require.Eventually(t, func() bool { return settledAll(t, b) }, time.Minute, 5*time.Millisecond)
	there := idsIn(t, b.store.consume)
	require.Subset(t, there, answered[:before], "answered before the backup began")
	require.Subset(t, answered, there)
	require.Len(t, look(t, b.store.consume, bridge.Names{}.QuarantineStream())[bridge.Names{}.QuarantineStream()].Messages, 1)
	require.NoError(t, b.Stop())
	second := service.take()
	for _, id := range acknowledged {
		require.NotContains(t, second, id, "it was acknowledged when the bridge was saved")
	}
	require.Subset(t, append(first, second...), there, "each is handled")
	slices.Sort(second)
	require.Len(t, slices.Compact(slices.Clone(second)), len(second), "none comes twice")
	repeats := 0
	for _, id := range second {
		if slices.Contains(first, id) {
			repeats++
		}
	}
	t.Logf("%d answered, %d of them before, %d restored (%d in the journal); %d handled after the restore, %d of them also before", len(answered), before, len(there), is.report.Journal, len(second), repeats)
}

// Webhooks and a delivery for the quarantine that came while NATS was away are in the journal, come
// back with it, and go to their streams.
func TestJournalComesBack(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	outside := strings.Replace(saved, `nats: {listen: "127.0.0.1:0"`, `nats: {url: "`+x.URL()+`"`, 1)
	outside = strings.Replace(outside, "ingress: {", "ingress: {ack: local, ", 1)
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	a, err := newTestApp(t, dir, outside)
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	require.True(t, accepts(t, a, "pred_0"))
	require.Eventually(t, func() bool { return settledAll(t, a) }, time.Minute, 5*time.Millisecond)
	x.Stop()
	for i := range 5 {
		require.True(t, accepts(t, a, fmt.Sprint("pred_", i+1)))
	}
	require.True(t, takes(t, a, "not decodable"))
	require.NoError(t, a.Stop())
	x.Start()
	file := configFile(t, "data_dir: "+dir+"\n"+outside)
	cfg, err := config.Load(file)
	require.NoError(t, err)
	report, err := Backup(t.Context(), cfg, Options{File: file}, backup, func(int64) {})
	require.NoError(t, err)
	require.EqualValues(t, 6, report.Journal)
	require.EqualValues(t, 1, report.Events())

	again := t.TempDir()
	require.NoError(t, restoreInto(t, saved, again, backup))
	b, err := newTestApp(t, again, saved)
	require.NoError(t, err)
	require.NoError(t, b.Start(t.Context()))
	require.Eventually(t, func() bool { return settledAll(t, b) }, time.Minute, 5*time.Millisecond)
	require.Equal(t, []string{"pred_0", "pred_1", "pred_2", "pred_3", "pred_4", "pred_5"}, idsIn(t, b.store.consume))
	require.Len(t, look(t, b.store.consume, bridge.Names{}.QuarantineStream())[bridge.Names{}.QuarantineStream()].Messages, 1)
	require.NoError(t, b.Stop())
}
