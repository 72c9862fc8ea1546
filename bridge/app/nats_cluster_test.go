package app

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/natstest"
)

// deployed starts three servers as deploy/nats/cluster.conf says.
func deployed(t *testing.T) (servers []*natstest.External) {
	t.Helper()
	for _, role := range []string{"BRIDGE", "INGRESS", "CONSUMERS", "RECONCILER", "ADMIN", "PROVISION", "BACKUP", "SEARCH", "MONITOR"} {
		t.Setenv("HOOKSPAN_"+role+"_PASSWORD", "p")
	}
	t.Setenv("NATS_ROUTE_PASSWORD", "between")
	t.Setenv("NATS_MAX_STORE", "10GB")
	ports, routes := []int{natstest.FreePort(t), natstest.FreePort(t), natstest.FreePort(t)}, []string{}
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf(`"nats://route:between@127.0.0.1:%d"`, port))
	}
	t.Setenv("NATS_ROUTES", "[ "+strings.Join(routes, ", ")+" ]")
	for n, port := range ports {
		t.Setenv("NATS_SERVER_NAME", fmt.Sprintf("nats-%d", n+1))
		t.Setenv("NATS_LISTEN", fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t)))
		t.Setenv("NATS_CLUSTER_LISTEN", fmt.Sprintf("127.0.0.1:%d", port))
		t.Setenv("NATS_MONITOR", fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t)))
		t.Setenv("NATS_STORE_DIR", t.TempDir())
		o, err := server.ProcessConfigFile("../../deploy/nats/cluster.conf")
		require.NoError(t, err)
		require.True(t, o.SyncAlways)
		o.NoSigs, o.NoLog = true, true
		x := natstest.NewExternal(t, func(into *server.Options) { *into = *o })
		x.Start()
		servers = append(servers, x)
	}
	return servers
}

// Three servers run the files that operators deploy, and one of them is away. A webhook waits in the
// journal until the streams are made, with three copies, of which one comes later. Streams that no
// servers can keep are refused, and never made with fewer copies. That a server is away is an alarm
// until it has its copies.
func TestClusterOfTheDeployedFiles(t *testing.T) {
	servers := deployed(t)
	first, second, third := servers[0], servers[1], servers[2]
	natstest.WaitForPeers(t, servers...)
	third.Stop()
	natstest.WaitForPeers(t, first, second)
	getenv := func(name string) (string, bool) {
		v, ok := map[string]string{"P": "p", "GET3W_WEBHOOK_SECRET": sampleSecret}[name]
		return v, ok
	}
	load := func(user, more string) *config.Config {
		cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+"\ningress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nconsumers: {archive: {enabled: false}}\nnats: {url: \""+
			first.URL()+"\", user: "+user+", password: env:P, inbox_prefix: _INBOX_hookspan_"+user+", events: {max_bytes: 64MiB}, provision: verify}\n"+more))
		require.NoError(t, err)
		return cfg
	}
	a, err := New(load("ingress", "roles: [ingress]\n"), Options{Getenv: getenv, Log: io.Discard})
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, a.Start(t.Context()))
	require.True(t, accepts(t, a, "pred_1"), "it waits in the journal")
	nowhere := load("provision", "")
	nowhere.NATS.Placement.Tags = []string{"nowhere"}
	_, err = Provision(t.Context(), nowhere, Options{Getenv: getenv, Log: io.Discard})
	var unable *stream.Unable
	require.ErrorAs(t, err, &unable)
	require.Equal(t, stream.UnableReplicas, unable.What)
	require.ErrorContains(t, err, "start those that are away, or set nats.replicas and nats.placement")
	_, err = Provision(t.Context(), load("provision", ""), Options{Getenv: getenv, Log: io.Discard})
	require.NoError(t, err)
	nc, err := nats.Connect(first.URL(), nats.UserInfo("admin", "p"), nats.CustomInboxPrefix("_INBOX_hookspan_admin"))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	for _, want := range a.store.streams.All() {
		s, err := js.Stream(t.Context(), want.Name)
		require.NoError(t, err)
		require.Equal(t, 3, s.CachedInfo().Config.Replicas, want.Name)
	}
	require.Eventually(t, func() bool {
		s, err := js.Stream(t.Context(), bridge.Names{}.EventsStream())
		return err == nil && s.CachedInfo().State.Msgs == 1
	}, time.Minute, 10*time.Millisecond, "the journal is forwarded")

	looks := newProvisioner(a.store)
	require.Empty(t, looks.replicasAway(t.Context()), "it may be behind for a moment")
	told := looks.replicasAway(t.Context())
	require.Len(t, told, 1)
	require.Equal(t, bridge.AlarmReplicasAway, told[0].Kind)
	require.Equal(t, "nats-3", told[0].Subject)
	require.Contains(t, told[0].Text, "of 11 streams")
	third.Start()
	require.Eventually(t, func() bool { return len(looks.replicasAway(t.Context())) == 0 }, time.Minute, 10*time.Millisecond, "it has caught up")
}
