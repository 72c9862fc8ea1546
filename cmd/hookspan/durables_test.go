package main

import (
	"bytes"
	"context"
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
	given(t, x.JetStream(), "billing", all) // events of the journal are as new as their way into the stream
	p.logged("consumer app is not in the configuration any more")
	require.Eventually(t, func() bool { return p.state("app").Pending == 6 }, patience, 50*time.Millisecond)
	p.logged("consumer kept: its filter has changed, and of the 6 events that wait in the journal for NATS")
	require.True(t, p.state("app").Orphaned)
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
