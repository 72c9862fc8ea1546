package stream

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// A trial names the rights that are missing, one by one, and leaves nothing behind.
func TestTry(t *testing.T) {
	t.Parallel()
	names := bridge.Names{}
	denied := []string{"hookspan.dead.>", "$KV.HOOKSPAN_POLLS.>", "$JS.API.CONSUMER.CREATE.>"}
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "p"},
			{Username: "some", Password: "p", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Deny: denied},
				Subscribe: &server.SubjectPermission{Deny: []string{"hookspan.watch.*"}},
			}},
		}
	})
	x.Start()
	cfg := ExternalConfig{URL: x.URL(), User: "all", Password: func() string { return "p" }}
	js := x.JetStream(nats.UserInfo("all", "p"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := streams.Config{Names: names, MaxBytes: 64 << 20, Duplicates: streams.MinDuplicates}
	require.NoError(t, Provision(ctx, js, all, zap.NewNop()))

	everything := rights.Of(names, DefaultInboxPrefix, rights.Ingress, rights.Consumers, rights.Reconciler, rights.Admin, rights.Provision, rights.Backup)
	for _, subject := range []string{"hookspan.events.a", "hookspan.dead.a.b", "hookspan.quarantine.a.b", names.PollsSubject("a"), names.ErasedSubject("a")} {
		_, err := js.Publish(ctx, subject, nil)
		require.NoError(t, err)
	}
	trial, err := Try(ctx, cfg, everything)
	require.NoError(t, err)
	require.Empty(t, trial.Missing)
	require.True(t, trial.Local)
	require.False(t, trial.TLS)
	require.Zero(t, trial.Servers)
	require.Nil(t, trial.Sync, "an account may not ask for it")
	cfg.User = "some"
	some, err := Try(ctx, cfg, everything)
	require.NoError(t, err)
	for _, missing := range []string{"hookspan.dead.hookspan-doctor", "$KV.HOOKSPAN_POLLS.hookspan-doctor", "$JS.API.CONSUMER.CREATE.HOOKSPAN_EVENTS.hookspan-doctor", "hookspan.watch.*"} {
		require.Contains(t, some.Missing, missing)
	}
	require.NotContains(t, some.Missing, "hookspan.events.hookspan-doctor")
	require.Equal(t, trial.Tried, some.Tried)
	cfg.User = "nobody"
	_, err = Try(ctx, cfg, everything)
	require.ErrorContains(t, err, "connecting to NATS")

	stored := map[string]uint64{names.EventsStream(): 1, names.DeadStream(): 1, names.QuarantineStream(): 1, names.PollsStream(): 1, names.ErasedStream(): 1}
	inspected, err := Inspect(ctx, js, all)
	require.NoError(t, err)
	for _, one := range inspected {
		require.NoError(t, one.Unfit)
		require.Equal(t, stored[one.Name], one.Info.State.Msgs, "%s: nothing is stored, and nothing is purged", one.Name)
		require.Zero(t, one.Info.State.Consumers)
		require.WithinDuration(t, time.Now(), one.Info.TimeStamp, time.Minute)
	}
}

// Where the account may ask, NATS tells of its syncs.
func TestTrySeesTheSyncPolicy(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{true, false} {
		x := natstest.NewExternal(t, func(o *server.Options) {
			o.SyncAlways, o.SyncInterval = always, 42*time.Second
			sys, own := server.NewAccount("SYS"), server.NewAccount("OWN")
			require.NoError(t, sys.AddServiceExport("$SYS.REQ.SERVER.PING.JSZ", nil))
			require.NoError(t, own.AddServiceImport(sys, "$SYS.REQ.SERVER.PING.JSZ", "$SYS.REQ.SERVER.PING.JSZ"))
			o.Accounts, o.SystemAccount = []*server.Account{sys, own}, "SYS"
			o.Users = []*server.User{{Username: "all", Password: "p", Account: own}}
		})
		x.Start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		trial, err := Try(ctx, ExternalConfig{URL: x.URL(), User: "all", Password: func() string { return "p" }}, rights.Of(bridge.Names{}, DefaultInboxPrefix, rights.Admin))
		cancel()
		require.NoError(t, err)
		require.NotNil(t, trial.Sync)
		require.Equal(t, always, trial.Sync.Always)
		if !always {
			require.Equal(t, 42*time.Second, trial.Sync.Interval)
		}
	}
}

// Inspect sees what is missing and what differs.
func TestInspect(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	js := x.JetStream()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := streams.Config{MaxBytes: 64 << 20, Duplicates: streams.MinDuplicates}
	names := bridge.Names{}
	require.NoError(t, Provision(ctx, js, all, zap.NewNop()))
	st, err := js.Stream(ctx, names.DeadStream())
	require.NoError(t, err)
	changed := st.CachedInfo().Config
	changed.Discard = jetstream.DiscardOld
	_, err = js.UpdateStream(ctx, changed)
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(ctx, names.QuarantineStream()))
	inspected, err := Inspect(ctx, js, all)
	require.NoError(t, err)
	for _, one := range inspected {
		require.Equal(t, one.Name == names.QuarantineStream(), one.Info == nil, one.Name)
		require.Equal(t, one.Name == names.DeadStream(), one.Unfit != nil, one.Name)
		require.Equal(t, one.Name == names.DeadStream(), len(one.Differences) > 0, "%s %v", one.Name, one.Differences)
	}
}
