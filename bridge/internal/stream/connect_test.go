package stream_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

func requireAlarm(t *testing.T, alarms *natstest.Alarms, kind, subject, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(alarms.Of(kind)) > 0 }, patience, patience/2000)
	require.Equal(t, subject, alarms.Of(kind)[0].Subject)
	require.Contains(t, alarms.Of(kind)[0].Text, text)
}

// Refused credentials, at the first connection or later, are tried again until they are
// accepted.
func TestConnectionWhoseCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	seed := func(t *testing.T, path string) (public string) {
		t.Helper()
		pair, err := nkeys.CreateUser()
		require.NoError(t, err)
		text, err := pair.Seed()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		public, err = pair.PublicKey()
		require.NoError(t, err)
		return public
	}
	for _, first := range []bool{false, true} {
		for _, kind := range []string{"password", "nkey"} {
			t.Run(map[bool]string{false: "later", true: "first"}[first]+" "+kind, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "seed")
				cfg, accepted := stream.ExternalConfig{}, func(*server.Options) {}
				var renew func()
				if kind == "nkey" {
					accepted = func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: seed(t, file)}} }
					cfg.NKeySeed = file
					renew = func() {} // the server gets the new key of the file
				} else {
					var password atomic.Value
					password.Store("old")
					cfg.User, cfg.Password = "u", func() string { return password.Load().(string) }
					accepted = func(o *server.Options) { o.Username, o.Password = "u", "old" }
					renew = func() {
						password.Store("new")
						accepted = func(o *server.Options) { o.Username, o.Password = "u", "new" }
					}
				}
				other := seed(t, filepath.Join(t.TempDir(), "other"))
				refuse := func(o *server.Options) {
					o.Username, o.Password, o.Nkeys = "u", "nobody has this one", nil
					if kind == "nkey" {
						o.Username, o.Password, o.Nkeys = "", "", []*server.NkeyUser{{Nkey: other}}
					}
				}
				admit := func(o *server.Options) { o.Username, o.Password, o.Nkeys = "", "", nil; accepted(o) }
				x := natstest.NewExternal(t, admit)
				x.Start()
				if first {
					x.Reload(refuse)
				}
				cfg.URL = x.URL()
				told := &natstest.Alarms{}
				js, err := stream.OpenExternal(cfg, "test", told, zap.NewNop())
				require.NoError(t, err)
				t.Cleanup(js.Close)
				if !first {
					require.True(t, js.Conn().IsConnected())
					x.Reload(refuse)
				}
				requireAlarm(t, told, bridge.AlarmCredentials, "test", "nats.creds")
				renew()
				x.Reload(admit)
				require.Eventually(t, func() bool { return js.Conn().IsConnected() }, patience, patience/2000)
			})
		}
	}
}

// NATS's max_payload is lowered while the bridge runs, and a larger webhook comes. It is set
// aside, and later ones go to NATS directly.
func TestGoesOnAfterMaxPayloadWasLowered(t *testing.T) {
	t.Parallel()
	const high, low = 1 << 20, 64 << 10
	x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = high })
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	proxy := natstest.NewProxy(t, x)
	r := startPath(t, t.TempDir(), proxy.URL(), setting{})
	r.requireConnected(t)
	require.Equal(t, bridge.Stored, r.publish(t, "before"))

	x.Reload(func(o *server.Options) { o.MaxPayload = low })
	large := natstest.Event("large")
	large.Body = make([]byte, 2*low)
	conn := r.js.Conn()
	receipt, err := r.Publish(context.Background(), large)
	if !errors.Is(err, bridge.ErrTooLarge) { // the server's error may be lost, or be known at once
		require.NoError(t, err)
		require.Equal(t, bridge.Spooled, receipt.Result)
	}
	require.Eventually(t, func() bool {
		state := r.journal.State()
		return state.SetAside == 1 && state.Records == 0 || errors.Is(err, bridge.ErrTooLarge)
	}, patience, patience/2000)
	if err == nil {
		require.Contains(t, r.alarms.Kinds(), bridge.AlarmSetAside)
	}

	if r.js.Conn() == conn { // the server closed it before its error was out
		require.Eventually(t, conn.IsConnected, patience, patience/2000)
		proxy.Refuse("Maximum Payload Violation")
	}
	requireAlarm(t, r.alarms, bridge.AlarmConnection, "test", "max_payload")
	require.Eventually(t, func() bool { return !r.forwarder.Stuck() && r.js.Conn() != conn }, patience, patience/2000)
	require.Equal(t, bridge.Stored, r.publish(t, "after"))
	require.Equal(t, []string{"before", "after"}, ids(stored(t, x.JetStream())))
}
