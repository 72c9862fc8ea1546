package stream_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A context of the nats command says how NATS is reached, by its name or its path: here with a
// user, an inbox prefix and a JetStream domain, which every call honours.
func TestContext(t *testing.T) {
	x := natstest.NewExternal(t, func(o *server.Options) {
		o.JetStreamDomain = "hub"
		o.Users = []*server.User{{Username: "u", Password: "the-password", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"$JS.API.>", "hookspan.>"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_own.>"}},
		}}}
	})
	x.Start()
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	folder := filepath.Join(home, "nats", "context")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	write := func(name, more string) string {
		path := filepath.Join(folder, name+".json")
		text := `{"description": "ours", "url": "` + x.URL() + `", "user": "u", "password": "the-password", "socks_proxy": "", ` + more + `}`
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	path := write("prod", `"inbox_prefix": "_INBOX_own", "jetstream_domain": "hub"`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, name := range []string{"prod", path} {
		cfg, err := stream.ReadContext(name)
		require.NoError(t, err)
		require.NoError(t, stream.CheckExternal(cfg))
		js, err := stream.OpenExternal(cfg, "test", &natstest.Alarms{}, zap.NewNop())
		require.NoError(t, err)
		t.Cleanup(js.Close)
		require.NoError(t, stream.Provision(t.Context(), js, wanted, zap.NewNop()))
		_, err = js.Publish(t.Context(), "hookspan.events.a", nil)
		require.NoError(t, err)
		require.Equal(t, "hub", js.Options().Domain)
		trial, err := stream.Try(ctx, cfg, rights.Rights{Publish: []string{"$JS.API.INFO", "$JS.API.STREAM.INFO.A", "$KV.HOOKSPAN_POLLS.a"}})
		require.NoError(t, err)
		require.Equal(t, []string{"$KV.HOOKSPAN_POLLS.a"}, trial.Missing)
	}
	for more, words := range map[string]string{
		`"socks_proxy": "socks5://p", "password": "x"`: `sets "socks_proxy", which Hookspan cannot honour`,
		`"jetstream_api_prefix": "api"`:                `sets "jetstream_api_prefix"`,
		`"windows_cert_store": "user"`:                 `sets "windows_cert_store"`,
		`"of_a_later_version": 1`:                      `sets "of_a_later_version"`,
		`"nkey": "/n"`:                                 "too many types of credentials",
		`"user": "", "user_jwt": "eyJ"`:                "user_jwt without a user_seed",
		`"url": 1`:                                     "nats.context",
	} {
		write("odd", more)
		_, err := stream.ReadContext("odd")
		require.ErrorContains(t, err, words)
		require.NotContains(t, err.Error(), "the-password")
	}
	for _, name := range []string{"nobody", "../etc/passwd", filepath.Join(home, "none")} {
		_, err := stream.ReadContext(name)
		require.ErrorContains(t, err, "nats.context")
	}
}
