package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streamread"
)

// newConsumers are consumers that begin with what is new, of a kind that runs here and
// of one that another program reads.
const newConsumersText = `
  handled: {kind: exec, command: [/bin/true], start: new, filter: {status: "*"}}
  read: {kind: pull, start: new, filter: {status: "*"}}
`

// at writes the configuration of a bridge on an external NATS.
func at(x *natstest.External, roles, consumers string) string {
	return `
roles: [` + roles + `]
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "` + x.URL() + `"}
consumers:
  archive: {enabled: false}
` + consumers
}

// accepts posts webhooks and returns their predictions; each is answered 200.
func (p *program) accepts(prefix string, n int) []string {
	p.t.Helper()
	var ids []string
	for i := range n {
		id := fmt.Sprintf("%s_%d", prefix, i)
		status, text := p.post(killBody(id))
		require.Equal(p.t, 200, status, text)
		ids = append(ids, id)
	}
	return ids
}

// given waits until the durable has been given, or still has before it, these predictions.
func given(t *testing.T, js jetstream.JetStream, consumer string, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got map[string]bool
	require.Eventually(t, func() bool {
		stream, err := js.Stream(ctx, "HOOKSPAN_EVENTS")
		if err != nil {
			return false
		}
		c, err := stream.Consumer(ctx, consumer)
		if err != nil {
			return false
		}
		cfg := c.CachedInfo().Config
		got = map[string]bool{}
		for seq := max(1, cfg.OptStartSeq); seq <= stream.CachedInfo().State.LastSeq; seq++ {
			m, err := stream.GetMsg(ctx, seq)
			if err != nil {
				return false
			}
			for _, filter := range cfg.FilterSubjects {
				if streamread.SubjectMatches(filter, m.Subject) {
					got[m.Header.Get("ce-subject")] = true
				}
			}
		}
		return cfg.DeliverPolicy != jetstream.DeliverNewPolicy && !slices.ContainsFunc(want, func(id string) bool { return !got[id] })
	}, patience, 20*time.Millisecond, "%s: of %v only %v", consumer, want, got)
	require.Eventually(t, func() bool { // and it is settled, where somebody handles it
		c, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", consumer)
		return err == nil && (consumer != "handled" || c.CachedInfo().NumPending+uint64(c.CachedInfo().NumAckPending) == 0)
	}, patience, 20*time.Millisecond)
}

// Whatever was accepted since a consumer was first served reaches it, although its
// durable could be made later.
func TestNewConsumersMissNothingOfAFirstStart(t *testing.T) {
	t.Parallel()
	t.Run("NATS is away", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, nil)
		p := serveHere(t, at(x, "ingress, consumers, admin", newConsumersText))
		ids := p.accepts("away", 5)
		x.Start()
		for _, name := range []string{"handled", "read"} {
			given(t, x.JetStream(), name, ids)
		}
		require.Equal(t, 0, p.stop(), p.logs)
	})
	t.Run("the ingress starts first", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, nil)
		x.Start()
		in := serveHere(t, at(x, "ingress", newConsumersText))
		ids := in.accepts("before", 3)
		out := serveHere(t, at(x, "consumers, admin", newConsumersText))
		ids = append(ids, in.accepts("after", 3)...)
		for _, name := range []string{"handled", "read"} {
			given(t, x.JetStream(), name, ids)
		}
		require.Equal(t, 0, in.stop(), in.logs)
		require.Equal(t, 0, out.stop(), out.logs)
	})
	t.Run("the consumers start first", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, nil)
		x.Start()
		out := serveHere(t, at(x, "consumers, admin", newConsumersText))
		in := serveHere(t, at(x, "ingress", ""))
		ids := in.accepts("after", 3)
		for _, name := range []string{"handled", "read"} {
			given(t, x.JetStream(), name, ids)
		}
		require.Equal(t, 0, in.stop(), in.logs)
		require.Equal(t, 0, out.stop(), out.logs)
	})
	t.Run("the consumers start last, NATS is away, and the ingress knows of none", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, nil)
		in := serveHere(t, at(x, "ingress", ""))
		in.accepts("unknown", 2)
		x.Start()
		require.Eventually(t, func() bool {
			stream, err := x.JetStream().Stream(t.Context(), "HOOKSPAN_EVENTS")
			return err == nil && stream.CachedInfo().State.Msgs == 2
		}, patience, 20*time.Millisecond)
		x.Stop()
		out := serveHere(t, at(x, "consumers, admin", newConsumersText)) // from here on
		ids := in.accepts("known", 3)
		x.Start()
		for _, name := range []string{"handled", "read"} {
			given(t, x.JetStream(), name, ids)
		}
		require.Equal(t, 0, in.stop(), in.logs)
		require.Equal(t, 0, out.stop(), out.logs)
	})
	t.Run("a second ingress has a newer configuration", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, nil)
		x.Start()
		old := serveHere(t, at(x, "ingress, consumers, admin", "  read: {kind: pull, filter: {status: \"*\"}}\n"))
		first := old.accepts("old", 2)
		next := serveHere(t, at(x, "ingress, consumers, admin", newConsumersText))
		ids := append(next.accepts("new", 2), old.accepts("both", 2)...)
		given(t, x.JetStream(), "handled", ids)
		given(t, x.JetStream(), "read", append(first, ids...))
		require.Equal(t, 0, old.stop(), old.logs)
		require.Equal(t, 0, next.stop(), next.logs)
	})
	t.Run("under load", func(t *testing.T) {
		t.Parallel()
		p := serveHere(t, strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers:\n  archive: {enabled: false}"+newConsumersText, 1))
		var mu sync.Mutex
		var ids []string
		var senders sync.WaitGroup
		for s := range 16 {
			senders.Go(func() {
				more := p.accepts(fmt.Sprint("load_", s), 10)
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, more...)
			})
		}
		senders.Wait()
		for _, name := range []string{"handled", "read"} {
			given(t, p.natsEnv(), name, ids)
		}
		require.Equal(t, 0, p.stop(), p.logs)
	})
}

// A configuration that is edited while NATS is away loses no accepted event: each is with its
// consumer, or reported as orphaned.
func TestConfigurationEditedWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	dir := t.TempDir()
	p := serve(t, dir, at(x, "ingress, consumers, admin", "  app: {kind: pull, filter: {status: \"*\"}}\n  kept: {kind: pull, filter: {status: completed}}\n"))
	first := p.accepts("first", 3)
	require.Equal(t, 0, p.stop(), p.logs)
	p = serve(t, dir, at(x, "ingress, consumers, admin", "  billing: {kind: pull, filter: {status: \"*\"}}\n  kept: {kind: pull, filter: {status: failed}}\n"))
	second := p.accepts("second", 2)
	require.Equal(t, 0, p.stop(), p.logs)
	p = serve(t, dir, at(x, "ingress, consumers, admin", "  billing: {kind: pull, filter: {status: \"*\"}}\n  kept: {kind: pull, filter: {status: failed}}\n"))
	second = append(second, p.accepts("third", 1)...)
	x.Start()
	all := append(first, second...)
	given(t, x.JetStream(), "app", all)
	given(t, x.JetStream(), "billing", all) // spooled events are as new as their way into the stream
	p.logged("consumer app is not in the configuration any more")
	require.Eventually(t, func() bool { return p.state("app").Pending == 6 }, patience, 50*time.Millisecond)
	p.logged("consumer kept: its filter has changed while NATS could not be reached, and of the 6 events in the spool")
	require.True(t, p.state("app").Orphaned)
	require.Equal(t, 0, p.stop(), p.logs)
}

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

// A record of another bridge's folder, cut or of zeros, is reported as lost and the bridge
// starts.
func TestDamagedRecordOfConsumers(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{"", "{", "null", string(bytes.Repeat([]byte{0}, 100)), `{"consumers":[]}`} {
		dir := t.TempDir()
		p := serve(t, dir, smallConfig)
		require.Equal(t, 0, p.stop(), p.logs)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan-data", "consumers.json"), []byte(damage), 0o600))
		p = serve(t, dir, smallConfig)
		if damage != "" && damage != "null" {
			p.logged("what was remembered of the consumers is lost")
		}
		p.accepts("pred", 1)
		require.Equal(t, 0, p.stop(), p.logs)
	}
}

// A NATS that is reached at the first start and cannot be used takes nothing from the consumers:
// what is accepted waits, the log says why, and all of it reaches them once NATS can.
func TestFirstStartOnANATSThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	t.Run("without JetStream", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, func(o *server.Options) { o.JetStream = false })
		x.Start()
		p := serveHere(t, at(x, "ingress, consumers, admin", newConsumersText))
		ids := p.accepts("pred", 3)
		p.logged("NATS has no JetStream, and keeps no event: start nats-server with --jetstream")
		x.Stop()
		x.Change(func(o *server.Options) { o.JetStream = true })
		x.Start()
		for _, name := range []string{"handled", "read"} {
			given(t, x.JetStream(), name, ids)
		}
		require.Equal(t, 0, p.stop(), p.logs)
	})
	t.Run("with another stream of that name", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, nil)
		x.Start()
		js := x.JetStream()
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "HOOKSPAN_EVENTS", Subjects: []string{"hookspan.events.>"}, Storage: jetstream.MemoryStorage})
		require.NoError(t, err)
		p := serveHere(t, at(x, "ingress, consumers, admin", newConsumersText))
		ids := p.accepts("pred", 3)
		p.logged("it keeps messages in Memory, not in files")
		require.NoError(t, js.DeleteStream(t.Context(), "HOOKSPAN_EVENTS"))
		for _, name := range []string{"handled", "read"} {
			given(t, js, name, ids)
		}
		require.Equal(t, 0, p.stop(), p.logs)
	})
	t.Run("half open", func(t *testing.T) {
		t.Parallel()
		x := natstest.NewExternal(t, nil)
		x.Start()
		proxy := natstest.NewProxy(t, x)
		proxy.Silence(true)
		p := serveHere(t, strings.Replace(at(x, "ingress, consumers, admin", newConsumersText), x.URL(), proxy.URL(), 1))
		ids := p.accepts("pred", 3)
		proxy.Silence(false)
		for _, name := range []string{"handled", "read"} {
			given(t, x.JetStream(), name, ids)
		}
		require.Equal(t, 0, p.stop(), p.logs)
	})
}

// Adding, renaming, removing consumers or changing their kind while webhooks come takes effect
// only after a restart, and the log says so; then each event is with the consumer that was to
// have it when it was accepted.
func TestConsumersEditedUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := func(consumers string) string {
		return strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers:\n  archive: {enabled: false}\n"+consumers, 1)
	}
	p := serve(t, dir, config(`
  kind: {kind: pull, filter: {status: "*"}}
  renamed: {kind: pull, filter: {status: "*"}}
  removed: {kind: pull, filter: {status: "*"}}
`))
	load := func(p *program, prefix string) (ids func() []string) {
		stop, done := make(chan struct{}), make(chan []string, 1)
		go func() {
			var all []string
			for i := 0; ; i++ {
				select {
				case <-stop:
					done <- all
					return
				default:
					all = append(all, p.accepts(fmt.Sprint(prefix, i), 1)...)
				}
			}
		}()
		return func() []string { close(stop); return <-done }
	}
	ids := load(p, "before")
	writeIn(t, dir, config(`
  kind: {kind: exec, command: [/bin/true], filter: {status: "*"}}
  renewed: {kind: pull, filter: {status: "*"}}
  added: {kind: pull, filter: {status: "*"}}
`))
	p.logged("needs a restart")
	for _, key := range []string{"consumers.kind", "consumers.renamed", "consumers.removed", "consumers.renewed", "consumers.added"} {
		require.Contains(t, p.logs.String(), key)
	}
	before := ids()
	require.Equal(t, 0, p.stop(), p.logs)

	p = start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
	after := p.accepts("after", 5)
	for _, name := range []string{"renamed", "removed"} {
		p.logged(fmt.Sprintf("consumer %s is not in the configuration any more", name))
		require.True(t, p.state(name).Orphaned)
		require.GreaterOrEqual(t, p.state(name).Pending, uint64(len(before)))
		given(t, p.natsEnv(), name, append(before, after...))
	}
	for _, name := range []string{"renewed", "added"} {
		given(t, p.natsEnv(), name, after)
	}
	given(t, p.natsEnv(), "kind", append(before, after...))
	require.Eventually(t, func() bool { return p.state("kind").Outstanding() == 0 }, patience, 50*time.Millisecond)
	require.Equal(t, "exec", p.state("kind").Kind)
	require.Equal(t, 0, p.stop(), p.logs)
}
