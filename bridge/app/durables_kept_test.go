package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/natstest"
)

// The durable of a program that is not ours is kept: made again without a gap when
// somebody removes it, and changed back.
func TestDurableOfAnotherProgramIsKept(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	x := natstest.NewExternal(t, nil)
	x.Start()
	store := kept(t, x, `consumers: {archive: {enabled: false}, search: {kind: pull, filter: {status: completed}, start: all}}`)
	require.NoError(t, store.look(ctx))
	js := x.JetStream()
	ev := natstest.Event
	publish := func(id string) {
		_, err := store.publisher.Publish(ctx, ev(id))
		require.NoError(t, err)
	}
	publish("a")
	publish("b")
	c, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", "search")
	require.NoError(t, err)
	m, err := c.Next()
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(ctx))
	states, err := store.store.durables().List(ctx)
	require.NoError(t, err)
	require.NoError(t, store.record.Saw(states, time.Now()))

	require.NoError(t, js.DeleteConsumer(ctx, "HOOKSPAN_EVENTS", "search"))
	require.NoError(t, store.look(ctx))
	require.Equal(t, bridge.AlarmConsumerRemoved, store.raised()[0].Kind)
	info, err := c.Info(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, info.Config.OptStartSeq, "what was acknowledged does not come again")
	require.EqualValues(t, 1, info.NumPending)

	changed := info.Config
	changed.MaxDeliver, changed.HeadersOnly, changed.FilterSubjects = 1, true, []string{"hookspan.events.none.>"}
	_, err = js.UpdateConsumer(ctx, "HOOKSPAN_EVENTS", changed)
	require.NoError(t, err)
	require.NoError(t, store.look(ctx))
	alarm := store.raised()[0]
	require.Equal(t, bridge.AlarmConsumerChanged, alarm.Kind)
	require.Contains(t, alarm.Text, "headers only from true to false")
	info, err = c.Info(ctx)
	require.NoError(t, err)
	require.Len(t, info.Config.FilterSubjects, 2)
	require.EqualValues(t, 1, info.NumPending)
}

// Bridges with different configurations do not change a durable to and fro: one that runs no
// consumers changes none, and one that does changes those of its handlers when it starts.
func TestBridgesDoNotFightOverADurable(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	x := natstest.NewExternal(t, nil)
	x.Start()
	const text = `consumers: {archive: {enabled: false}, team: {kind: exec, command: [/bin/true], filter: {status: STATUS}}}`
	filter := func() string {
		c, err := x.JetStream().Consumer(ctx, "HOOKSPAN_EVENTS", "team")
		require.NoError(t, err)
		return c.CachedInfo().Config.FilterSubjects[0]
	}
	old := kept(t, x, strings.Replace(text, "STATUS", "completed", 1))
	require.NoError(t, old.look(ctx))
	next := kept(t, x, strings.Replace(text, "STATUS", "failed", 1))
	require.NoError(t, next.look(ctx))
	in := kept(t, x, "roles: [ingress]\n"+strings.Replace(text, "STATUS", "canceled", 1))
	require.NoError(t, in.look(ctx))
	old.raised()
	require.NoError(t, old.look(ctx))
	require.Equal(t, "hookspan.events.*.prediction.failed.>", filter())
	require.Contains(t, old.raised()[0].Text, "another bridge has another configuration")
	require.NoError(t, x.JetStream().DeleteConsumer(ctx, "HOOKSPAN_EVENTS", "team"))
	require.NoError(t, in.look(ctx))
	require.Equal(t, "hookspan.events.*.prediction.canceled.>", filter(), "one that is missing is made")
}

// A durable that does not answer, as one without a leader, holds up neither the others nor
// webhooks.
func TestSilentDurableHoldsUpNothing(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.a-silent"}},
		}}}
	})
	x.Start()
	k := kept(t, x, "consumers: {archive: {enabled: false}, a-silent: {kind: pull}, other: {kind: pull}}")
	failed, err := k.provision(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, failed, "consumers.a-silent")
	require.True(t, k.publisher.Fit())
	require.True(t, k.durables.wait(t.Context()))
	_, err = k.consume.Consumer(t.Context(), "HOOKSPAN_EVENTS", "other")
	require.NoError(t, err)
	require.Equal(t, bridge.AlarmConsumerUnusable, k.raised()[0].Kind)
}

// keptStore is a store without the rest of a bridge.
type keptStore struct {
	*provisioner

	logs *observer.ObservedLogs
}

// raised returns the alarms that were raised since it was last asked.
func (k *keptStore) raised() []bridge.Alarm {
	var out []bridge.Alarm
	for _, line := range k.logs.TakeAll() {
		if kind, ok := line.ContextMap()["alarm"].(string); ok {
			out = append(out, bridge.Alarm{Kind: kind, Text: line.Message})
		}
	}
	return out
}

func (k *keptStore) look(ctx context.Context) error {
	failed, err := k.provision(ctx)
	return errors.Join(failed, err)
}

func kept(t *testing.T, x *natstest.External, consumers string) *keptStore {
	t.Helper()
	cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+"\nnats: {url: \""+x.URL()+"\", user: u, password: \"env:P\"}\n"+consumers+"\n"))
	require.NoError(t, err)
	core, logs := observer.New(zap.WarnLevel)
	e := &env{cfg: cfg, log: zap.New(core), getenv: func(string) (string, bool) { return "p", true }} // one that wants no password takes any
	t.Cleanup(func() { require.NoError(t, e.onStop.run()) })
	s, err := connectStore(e)
	require.NoError(t, err)
	k := &keptStore{provisioner: newProvisioner(s), logs: logs}
	require.NoError(t, s.connected(t.Context()))
	return k
}

// configFile returns the path of a configuration with the text.
func configFile(t testing.TB, text string) string {
	path := filepath.Join(t.TempDir(), "hookspan.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// What an earlier version kept of predictions is removed at start, once: its durable would hold
// events back for ever.
func TestStoreOfAnEarlierVersionGoes(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	k := kept(t, x, "consumers: {archive: {enabled: false}}")
	require.NoError(t, k.look(t.Context()))
	old := func() {
		_, err := k.consume.CreateOrUpdateConsumer(t.Context(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{Durable: "predictions"})
		require.NoError(t, err)
		_, err = k.consume.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "KV_HOOKSPAN_PREDICTIONS", Subjects: []string{"$KV.HOOKSPAN_PREDICTIONS.>"}})
		require.NoError(t, err)
	}
	old()
	k.provisioner = newProvisioner(k.store)
	require.NoError(t, k.look(t.Context()))
	_, err := k.consume.Consumer(t.Context(), "HOOKSPAN_EVENTS", "predictions")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
	_, err = k.consume.Stream(t.Context(), "KV_HOOKSPAN_PREDICTIONS")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	old()
	require.NoError(t, k.look(t.Context()))
	_, err = k.consume.Stream(t.Context(), "KV_HOOKSPAN_PREDICTIONS")
	require.NoError(t, err, "it is looked for at start alone")
}
