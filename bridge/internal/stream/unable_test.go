package stream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

var wanted = streams.Config{MaxBytes: 64 << 20, Duplicates: streams.MinDuplicates}

// A server that is too old, and an account that is too small, are named with what to do.
func TestNATSThatCannotServe(t *testing.T) {
	t.Parallel()
	limits := func(name, value string) string {
		return "accounts {A {jetstream {max_file: 10GB, max_mem: 10MB, max_streams: -1, max_consumers: -1, " + name + ": " + value + "}, users: [{user: u, password: p}]}}"
	}
	for name, c := range map[string]struct{ what, config, words string }{
		"storage":           {stream.UnableLimits, "accounts {A {jetstream {max_file: 10MB, max_mem: 10MB}, users: [{user: u, password: p}]}}", "Raise the max_file of the account"},
		"number of streams": {stream.UnableLimits, limits("max_streams", "3"), "raise its max_streams, Hookspan has 11"},
		"max bytes":         {stream.UnableLimits, limits("max_bytes", "true"), "take max_bytes_required from the account"},
		"consumers":         {stream.UnableLimits, limits("max_consumers", "10"), "raise its max_consumers to that"},
		"replicas":          {stream.UnableReplicas, limits("max_streams", "-1"), "set it to 1 or auto"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := t.TempDir() + "/nats.conf"
			require.NoError(t, os.WriteFile(file, []byte(c.config), 0o600))
			configured, err := server.ProcessConfigFile(file)
			require.NoError(t, err)
			x := natstest.NewExternal(t, func(o *server.Options) { o.Accounts, o.Users = configured.Accounts, configured.Users })
			x.Start()
			js := x.JetStream(nats.UserInfo("u", "p"))
			want := wanted
			if c.what == stream.UnableReplicas {
				want.Replicas = 3
			}
			err = stream.Provision(t.Context(), js, want, zap.NewNop())
			requireUnable(t, err, c.what, c.words)
		})
	}
	for _, version := range []string{"2.10.9", "2.11.9"} {
		x := natstest.NewExternal(t, nil)
		x.Start()
		proxy := natstest.NewProxy(t, x)
		proxy.Pretend(version)
		js, err := stream.OpenExternal(stream.ExternalConfig{URL: proxy.URL()}, "test", &natstest.Alarms{}, zap.NewNop())
		require.NoError(t, err)
		t.Cleanup(js.Close)
		require.Equal(t, version, js.Conn().ConnectedServerVersion())
		for range 2 {
			requireUnable(t, stream.Provision(t.Context(), js, wanted, zap.NewNop()), stream.UnableVersion, "has version "+version+", and Hookspan needs 2.12 or newer")
			_, err = stream.Verify(t.Context(), js, wanted)
			requireUnable(t, err, stream.UnableVersion, "upgrade nats-server")
		}
	}
}

// A stream that serves goes on serving when NATS cannot change it to what the configuration says.
func TestStreamThatCannotBeChangedServes(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	js := x.JetStream()
	require.NoError(t, stream.Provision(t.Context(), js, wanted, zap.NewNop()))
	more := wanted
	more.Replicas = 3
	err := stream.Provision(t.Context(), js, more, zap.NewNop())
	var unable *stream.Unable
	require.ErrorAs(t, err, &unable)
	require.Equal(t, stream.UnableReplicas, unable.What)
	require.NotErrorIs(t, err, stream.ErrUnfit)
}

func requireUnable(t *testing.T, err error, what, words string) {
	t.Helper()
	var unable *stream.Unable
	require.ErrorAs(t, err, &unable)
	require.Equal(t, what, unable.What)
	require.ErrorIs(t, err, stream.ErrUnfit)
	require.ErrorContains(t, err, words)
	require.NotContains(t, err.Error(), "\n")
}

// Each way in which certificates do not fit is an alarm that says what to do, at the first
// connection, and is over once they fit.
func TestCertificatesThatDoNotFit(t *testing.T) {
	t.Parallel()
	good, goodKey := certificatetest.Issue(t, t.TempDir(), 1)
	expired, expiredKey := certificatetest.IssueAs(t, t.TempDir(), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	named, namedKey := certificatetest.IssueAs(t, t.TempDir(), func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"nats.example"} })
	for name, c := range map[string]struct {
		cert, key, ca, words string
		verify               bool
	}{
		"expired":     {cert: expired, key: expiredKey, ca: expired, words: "renew it"},
		"authority":   {cert: good, key: goodKey, ca: expired, words: "nats.tls.ca"},
		"name":        {cert: named, key: namedKey, ca: named, words: "is for another name"},
		"certificate": {cert: good, key: goodKey, ca: good, verify: true, words: "nats.tls.cert and nats.tls.key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secured := func(o *server.Options, cert, key string, verify bool) {
				pair, err := tls.LoadX509KeyPair(cert, key)
				require.NoError(t, err)
				o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
				if o.TLSVerify = verify; verify {
					o.TLSConfig.ClientAuth, o.TLSConfig.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
				}
				o.TLSTimeout = 5
			}
			x := natstest.NewExternal(t, func(o *server.Options) { secured(o, c.cert, c.key, c.verify) })
			x.Start()
			cfg := stream.ExternalConfig{URL: x.URL(), CA: c.ca}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := stream.Try(ctx, cfg, rights.Rights{})
			requireUnable(t, err, stream.UnableTLS, c.words)
			told := &natstest.Alarms{}
			js, err := stream.OpenExternal(cfg, "test", told, zap.NewNop())
			require.NoError(t, err)
			t.Cleanup(js.Close)
			requireAlarm(t, told, bridge.AlarmNATSUnfit, stream.UnableTLS, c.words)
			if c.ca != good {
				return
			}
			x.Stop()
			x.Change(func(o *server.Options) { secured(o, good, goodKey, false) })
			x.Start()
			require.Eventually(t, func() bool { return told.Cleared(bridge.AlarmNATSUnfit) }, patience, patience/2000)
		})
	}
}
