package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// handledIDs is a service that counts how often it was given each prediction.
type handledIDs struct {
	*httptest.Server

	mu    sync.Mutex
	times map[string]int
}

func newHandledIDs(t *testing.T) *handledIDs {
	t.Helper()
	h := &handledIDs{times: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.times[r.Header.Get("ce-subject")]++
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *handledIDs) count() (ids, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.times {
		most = max(most, n)
	}
	return len(h.times), most
}

// A bridge moves from its embedded NATS to three external servers and back under a steady rate of
// webhooks: none is refused or lost, each is stored once, a dead letter comes along,
// and each is handled once by a consumer that acts once: a snapshot of a cluster does not have what
// is acknowledged behind an event that waits.
func TestMigrateThereAndBack(t *testing.T) {
	t.Parallel()
	service := newHandledIDs(t)
	external := natstest.StartCluster(t)[0]
	embeddedNATS := `nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}`
	externalNATS := `nats: {url: "` + external.URL() + `", replicas: 3, events: {max_bytes: 64MiB}}`
	of := func(nats string) string {
		return `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
` + nats + `
consumers:
  archive: {enabled: false}
  broken: {kind: exec, filter: {status: failed}, command: [/bin/sh, -c, "exit 65"]}
  service: {kind: forward, filter: {status: completed}, url: "` + service.URL + `", concurrency: 20, secret: "env:GET3W_WEBHOOK_SECRET", allow_private: true, once: true}
`
	}
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", of(embeddedNATS))
	webhooks := hold(t, "webhooks")
	keeps := &http.Transport{}
	defer keeps.CloseIdleConnections()
	s := &steady{
		t: t, clients: []*http.Client{{Transport: keeps, Timeout: patience}},
		oracle: &oracle{sent: map[string]bool{}, acked: map[string]bool{}, tick: make(chan struct{}, 1<<16)},
	}
	p := serveOn(t, dir, webhooks)
	s.url = p.url()
	status, text := p.post(`{"id":"dead","status":"failed","error":"no"}`)
	require.Equal(t, 200, status, text)
	require.Eventually(t, func() bool { return p.state("broken").Dead == 1 }, patience, 50*time.Millisecond, p.logs)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); s.run(end) }()
	stop := sync.OnceFunc(func() { close(end); <-ended })
	defer stop()
	answered := func(n int) {
		for range n {
			<-s.tick
		}
	}
	for _, nats := range []string{externalNATS, embeddedNATS} {
		answered(100)
		put(t, dir, "new.yaml", of(nats))
		code, stdout, stderr := verb(t, dir, "migrate", "--to", "new.yaml")
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stdout, "noted: the bridge moves from ")
		require.NoError(t, os.Rename(filepath.Join(dir, "new.yaml"), filepath.Join(dir, "hookspan.yaml")))
		require.Equal(t, 0, p.stop(), p.logs)
		p = serveOn(t, dir, webhooks)
		require.Contains(t, p.logs.String(), `"msg":"moved the streams"`)
		require.NoFileExists(t, filepath.Join(dir, "hookspan-data", "move.json"))
	}
	answered(100)
	stop()
	t.Logf("%d webhooks, %d answered 200, connections refused %d, second attempts %d, failed %d, longest wait %v",
		len(s.sent), len(s.acked), s.refused, len(s.again), len(s.failed), s.longest.Round(time.Millisecond))
	require.Zero(t, s.refused)
	require.Empty(t, s.failed)
	require.Len(t, s.acked, len(s.sent))

	stored := map[string]int{}
	for i, m := range p.events() {
		meta, err := m.Metadata()
		require.NoError(t, err)
		require.EqualValues(t, i+1, meta.Sequence.Stream)
		stored[m.Headers().Get("ce-subject")]++
	}
	require.Len(t, stored, len(s.acked)+1)
	require.Eventually(t, func() bool { ids, _ := service.count(); return ids == len(s.acked) }, patience, 50*time.Millisecond, p.logs)
	_, most := service.count()
	require.Equal(t, 1, most, "handled twice")
	var dead adminapi.DeadLetterList
	p.verb(&dead, "dead", "list")
	require.Len(t, dead.Letters, 1)
	require.Equal(t, "dead", dead.Letters[0].Prediction)
	var alarms adminapi.AlarmList
	p.verb(&alarms, "alarms")
	for _, a := range alarms.Alarms {
		// On a busy machine webhooks wait long enough in the journal to be told of.
		require.Contains(t, []string{"dead_letters", "journal_behind"}, a.Kind, fmt.Sprint(a))
	}
	require.Equal(t, 0, p.stop(), p.logs)
	left, err := external.JetStream().Consumer(t.Context(), "HOOKSPAN_EVENTS", "service")
	require.NoError(t, err)
	require.True(t, left.CachedInfo().Paused, "nobody goes on at the old place")
	moved, err := filepath.Glob(filepath.Join(dir, "hookspan-data", "nats-moved-*"))
	require.NoError(t, err)
	require.Len(t, moved, 1)
	require.NotContains(t, p.logs.String(), "waits for a start with that configuration")
}

// A move whose process was killed begins anew, without what it had made; nothing that others made
// is touched, and a note can be forgotten.
func TestMigrateThatWasCutOff(t *testing.T) {
	t.Parallel()
	external := natstest.NewExternal(t, nil)
	external.Start()
	js := external.JetStream()
	dir := t.TempDir()
	p := serve(t, dir, smallConfig)
	status, text := p.post(killBody("pred_1"))
	require.Equal(t, 200, status, text)
	require.Len(t, p.events(), 1)
	put(t, dir, "new.yaml", strings.Replace(smallConfig, `nats: {listen: "127.0.0.1:0"`, `nats: {url: "`+external.URL()+`"`, 1))
	migrate := func(args ...string) (int, string) {
		code, stdout, stderr := verb(t, dir, append([]string{"migrate"}, args...)...)
		return code, stdout + stderr
	}
	note := filepath.Join(dir, "hookspan-data", "move.json")

	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "HOOKSPAN_DEAD", Subjects: []string{"theirs"}})
	require.NoError(t, err)
	code, said := migrate("--to", "new.yaml")
	require.Equal(t, 1, code)
	require.Contains(t, said, "HOOKSPAN_DEAD already")
	require.NoFileExists(t, note)
	code, said = migrate("--forget")
	require.Equal(t, 1, code)
	require.Contains(t, said, "no move is noted")
	code, said = migrate("--to", "hookspan.yaml")
	require.Equal(t, 1, code)
	require.Contains(t, said, "the same NATS")
	require.NoError(t, js.DeleteStream(t.Context(), "HOOKSPAN_DEAD"))

	for range 2 {
		code, said = migrate("--to", "new.yaml")
		require.Equal(t, 0, code, said)
		require.FileExists(t, note)
		code, said = migrate("--forget")
		require.Equal(t, 0, code, said)
		require.NoFileExists(t, note)
	}
	code, said = migrate("--to", "new.yaml")
	require.Equal(t, 0, code, said)
	require.Equal(t, 0, p.stop(), p.logs)

	noted, err := os.ReadFile(note)
	require.NoError(t, err)
	var move struct{ ID string }
	require.NoError(t, json.Unmarshal(noted, &move))
	// A copy that is whole leaves no way back to the old place.
	put(t, dir, "hookspan-data/move.json", strings.Replace(string(noted), `"noted"`, `"copied"`, 1))
	code, _, said = verb(t, dir, "serve")
	require.Equal(t, 1, code)
	require.Contains(t, said, "the streams have moved to the external NATS at ")
	put(t, dir, "hookspan-data/move.json", strings.Replace(string(noted), `"noted"`, `"copying"`, 1))
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "HOOKSPAN_EVENTS", Subjects: []string{"half"}, Metadata: map[string]string{"hookspan-moving": move.ID}})
	require.NoError(t, err)
	code, said = migrate("--forget")
	require.Equal(t, 1, code)
	require.Contains(t, said, "has begun")

	require.NoError(t, os.Rename(filepath.Join(dir, "new.yaml"), filepath.Join(dir, "hookspan.yaml")))
	p = start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
	stream, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.EqualValues(t, 1, stream.CachedInfo().State.Msgs)
	require.NotContains(t, stream.CachedInfo().Config.Metadata, "hookspan-moving")
	require.NoFileExists(t, note)
	for _, id := range []string{"pred_1", "pred_2"} {
		status, text = p.post(killBody(id))
		require.Equal(t, 200, status, text)
	}
	require.Eventually(t, func() bool {
		stream, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
		return err == nil && stream.CachedInfo().State.LastSeq == 2
	}, patience, 20*time.Millisecond, p.logs)
	last, err := stream.GetMsg(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, "pred_2", last.Header.Get("ce-subject"), "the repeated one is stored once")
	require.Equal(t, 0, p.stop(), p.logs)
}
