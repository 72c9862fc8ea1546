package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A consumer that the configuration names no more is reported: in the log, in the list, by the
// check before the change takes effect, and by an alarm as long as it lasts.
func TestRenamedConsumerIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := func(name string) string {
		return strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {archive: {enabled: false}, "+name+": {kind: pull, filter: {status: completed}}}", 1)
	}
	p := serve(t, dir, config("app"))
	p.accepts("pred", 3)
	require.Eventually(t, func() bool { return p.state("app").Pending == 3 }, patience, 20*time.Millisecond)

	writeIn(t, dir, config("billing"))
	for _, running := range []bool{true, false} {
		if !running {
			require.Equal(t, 0, p.stop(), p.logs)
		}
		code, stdout, stderr := verb(t, dir, "config", "check")
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stdout, "changes: consumer app is not in the configuration any more, and 3 events wait for it", running)
	}
	p = start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
	p.logged("consumer app is not in the configuration any more, and 3 events wait for it")
	require.True(t, p.state("app").Orphaned)
	require.EqualValues(t, 3, p.state("app").Pending)
	require.False(t, p.state("billing").Orphaned)
	var removed adminapi.RemovedConsumer
	p.verb(&removed, "consumers", "remove", "app", "--yes")
	require.EqualValues(t, 3, removed.Unsettled)
	require.Equal(t, 0, p.stop(), p.logs)
}

func TestNarrowedFilterIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := func(status string) string {
		return strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {archive: {enabled: false}, app: {kind: pull, filter: {status: "+status+"}}}", 1)
	}
	p := serve(t, dir, config("[completed, failed]"))
	p.accepts("pred", 3)
	require.Eventually(t, func() bool { return p.state("app").Pending == 3 }, patience, 20*time.Millisecond)
	writeIn(t, dir, config("[failed]"))
	code, stdout, stderr := verb(t, dir, "config", "check")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "consumer app: its filter will not pick 3 of the events that wait for it")
	require.Equal(t, 0, p.stop(), p.logs)
	code, stdout, stderr = verb(t, dir, "--json", "config", "check")
	require.Equal(t, 0, code, stderr)
	var checked struct{ Changes []app.Change }
	require.NoError(t, json.Unmarshal([]byte(stdout), &checked))
	require.Equal(t, app.ChangeNarrowed, checked.Changes[0].Kind)
	require.EqualValues(t, 3, checked.Changes[0].Waiting)
	p = start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
	p.logged("its filter does not pick 3 of the events that were waiting for it any more")
	require.Equal(t, 0, p.stop(), p.logs)
}

// Events that wait where nats.url or nats.prefix were before are reported as long as they wait.
func TestEventsLeftBehindAreNamed(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	embedded := strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {archive: {enabled: false}, app: {kind: pull, filter: {status: completed}}}", 1)
	for name, next := range map[string]string{
		"prefix": strings.Replace(embedded, "nats: {", "nats: {prefix: other, ", 1),
		"url":    at(x, "ingress, consumers, admin", "  app: {kind: pull, filter: {status: completed}}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := serve(t, dir, embedded)
			p.accepts("left", 5)
			require.Eventually(t, func() bool { return p.state("app").Pending == 5 }, patience, 20*time.Millisecond)
			writeIn(t, dir, next)
			code, stdout, stderr := verb(t, dir, "config", "check")
			require.Equal(t, 0, code, stderr)
			require.Contains(t, stdout, "at least 5 events wait where the configuration does not look any more (the embedded NATS, without nats.url, nats.prefix hookspan)")
			p.kill() // it need not have had the time to remember them

			p = start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
			p.logged("at least 5 events wait where the configuration does not look any more")
			p.accepts("on", 1)                  // it accepts on
			require.Eventually(t, func() bool { // the streams of an external NATS are made beside what is ready
				code, _, _ := runVerb("consumers", "list", "--api", p.ready.Admin)
				return code == exitDone
			}, patience, 20*time.Millisecond)
			var list adminapi.ConsumerList
			p.verb(&list, "consumers", "list")
			require.Len(t, list.LeftBehind, 1)
			require.EqualValues(t, 5, list.LeftBehind[0].Waiting)
			require.Contains(t, p.says("consumers", "list"), "left behind: at least 5 events")
			require.Equal(t, 0, p.stop(), p.logs)

			// With the old values the events are handled, and no longer reported.
			writeIn(t, dir, embedded)
			p = start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
			js := p.natsEnv("--consumer", "app")
			c, err := js.Consumer(t.Context(), "HOOKSPAN_EVENTS", "app")
			require.NoError(t, err)
			for range 5 {
				m, err := c.Next(jetstream.FetchMaxWait(patience))
				require.NoError(t, err)
				require.NoError(t, m.DoubleAck(t.Context()))
			}
			p.verb(&list, "consumers", "list")
			for _, left := range list.LeftBehind {
				require.NotEqual(t, "hookspan", left.Prefix+left.Store)
			}
			require.Equal(t, 0, p.stop(), p.logs)
		})
	}
}

// A durable of another program's making is made what it is to be, or refused; neither is
// silent, and neither stops the others.
func TestForeignDurablesAreNamed(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	p := serveHere(t, at(x, "ingress, consumers, admin", ""))
	p.accepts("before", 1)
	js, ctx := x.JetStream(), t.Context()
	require.Eventually(t, func() bool {
		stream, err := js.Stream(ctx, "HOOKSPAN_EVENTS")
		return err == nil && stream.CachedInfo().State.Msgs == 1
	}, patience, 20*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
	_, err := js.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "read", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 1_000_000,
	})
	require.NoError(t, err)
	_, err = js.CreatePushConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "pushed", AckPolicy: jetstream.AckExplicitPolicy, DeliverSubject: "somewhere",
	})
	require.NoError(t, err)
	p = serveHere(t, at(x, "ingress, consumers, admin", newConsumersText+"  pushed: {kind: pull}\n"))
	ids := p.accepts("pred", 4)
	for _, name := range []string{"handled", "read"} {
		given(t, js, name, ids)
	}
	p.logged("consumer read: the durable was not what the configuration says and was made anew")
	p.logged("consumer pushed: its durable is not what it is to be")
	require.NoError(t, js.DeleteConsumer(ctx, "HOOKSPAN_EVENTS", "pushed"))
	require.Eventually(t, func() bool { // it heals by itself
		_, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", "pushed")
		return err == nil
	}, patience, 50*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
}
