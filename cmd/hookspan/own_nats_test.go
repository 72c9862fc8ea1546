package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// The streams of the default account come along when its folder has the name of another account,
// with messages and durables, as the page of one's own NATS says.
func TestStreamsOfTheDefaultAccountComeAlong(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	start := func(change func(*server.Options)) (jetstream.JetStream, func()) {
		opts := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: store, NoSigs: true, NoLog: true}
		change(opts)
		s, err := server.NewServer(opts)
		require.NoError(t, err)
		s.Start()
		require.True(t, s.ReadyForConnections(patience))
		nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("team", "p"))
		require.NoError(t, err)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		return js, func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() }
	}
	js, stop := start(func(o *server.Options) { o.Users = []*server.User{{Username: "team", Password: "p"}} })
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}})
	require.NoError(t, err)
	_, err = js.CreateConsumer(t.Context(), "ORDERS", jetstream.ConsumerConfig{Durable: "billing"})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "orders", []byte("an order"))
	require.NoError(t, err)
	stop()

	dir := t.TempDir()
	put(t, dir, "nats.conf", "accounts { TEAM {jetstream: enabled, users: [{user: team, password: p}]} }")
	accounts := func(o *server.Options) { require.NoError(t, o.ProcessConfigFile(filepath.Join(dir, "nats.conf"))) }
	js, stop = start(accounts)
	_, err = js.Stream(t.Context(), "ORDERS")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	stop()

	require.NoError(t, os.RemoveAll(filepath.Join(store, "jetstream", "TEAM")))
	require.NoError(t, os.Rename(filepath.Join(store, "jetstream", "$G"), filepath.Join(store, "jetstream", "TEAM")))
	js, stop = start(accounts)
	defer stop()
	durable, err := js.Consumer(t.Context(), "ORDERS", "billing")
	require.NoError(t, err)
	m, err := durable.Next()
	require.NoError(t, err)
	require.Equal(t, "an order", string(m.Data()))
}
