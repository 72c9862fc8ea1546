// Package streamtest runs the real embedded server for tests.
package streamtest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/gateway"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// Bench is an embedded server with its streams, in a folder of its own.
type Bench struct {
	Folder *datafolder.Folder
	Server *stream.Embedded
	NC     *nats.Conn
	JS     jetstream.JetStream
	Names  bridge.Names
	// Alarms are those caused by other programs.
	Alarms *natstest.Alarms

	t testing.TB
}

// Config returns settings for tests: small streams.
func Config() stream.EmbeddedConfig {
	return stream.EmbeddedConfig{
		Streams: streams.Config{MaxBytes: 64 << 20, MaxAge: 14 * 24 * time.Hour},
	}
}

// Listening is [Config] for a server that other programs can connect to. Consumer archive
// belongs to the bridge.
func Listening() stream.EmbeddedConfig {
	cfg := Config()
	cfg.Listen = "127.0.0.1:0"
	cfg.Consumers = []string{"archive"}
	return cfg
}

// Start starts a server and ends it with the test.
func Start(t testing.TB, cfg stream.EmbeddedConfig) *Bench {
	t.Helper()
	return StartIn(t, t.TempDir(), cfg)
}

// StartIn is [Start] on the caller's folder, for tests that start a second server on the data
// of a first one.
func StartIn(t testing.TB, dir string, cfg stream.EmbeddedConfig) *Bench {
	t.Helper()
	log := zap.NewNop() // the server logs after the end of its test
	b := &Bench{Names: cfg.Names, Alarms: &natstest.Alarms{}, t: t}
	var err error
	b.Folder, err = datafolder.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Folder.Close() })
	b.Server, err = stream.StartEmbedded(b.Folder, cfg, log)
	require.NoError(t, err)
	t.Cleanup(b.Server.Close)
	b.NC, err = b.Server.Connect("test", log)
	require.NoError(t, err)
	t.Cleanup(b.NC.Close)
	b.JS, err = jetstream.New(b.NC)
	require.NoError(t, err)
	require.NoError(t, stream.Provision(context.Background(), b.JS, cfg.Streams, log))
	if cfg.Listen != "" {
		b.servePrograms(t)
	}
	return b
}

// servePrograms does what the bridge does for user app, until the test ends.
func (b *Bench) servePrograms(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	// Both return only when ctx ends, without an error.
	running.Go(func() {
		_ = gateway.NewCreator(b.JS, gateway.Config{Names: b.Names, Alarms: b.Alarms}).Run(ctx)
	})
	running.Go(func() {
		_ = gateway.NewCaller(b.JS, gateway.Config{Names: b.Names, Alarms: b.Alarms}).Run(ctx)
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, subject := range []string{b.Names.AllCreates(), b.Names.AllCalls(), b.Names.AllGets()} {
		require.Eventually(t, func() bool {
			_, err := b.NC.Request(strings.TrimSuffix(subject, ">")+"x", []byte("?"), time.Second)
			return err == nil
		}, 10*time.Second, time.Millisecond)
	}
}

// Stop ends the server before the test does.
func (b *Bench) Stop() {
	b.NC.Close()
	b.Server.Close()
	_ = b.Folder.Close()
}

// Messages returns how many messages a stream holds.
func (b *Bench) Messages(t testing.TB, stream string) uint64 {
	t.Helper()
	s, err := b.JS.Stream(context.Background(), stream)
	require.NoError(t, err)
	return s.CachedInfo().State.Msgs
}

// Publisher returns a publisher to the provisioned streams that ends with the
// test.
func (b *Bench) Publisher() *stream.Publisher {
	p := stream.NewPublisher(b.JS, b.Names)
	b.t.Cleanup(p.Close)
	p.SetFit(true)
	return p
}

// FailingPublisher wraps a publisher and can fail after the event was stored, as a connection
// that breaks before the answer.
type FailingPublisher struct {
	Next *stream.Publisher
	// Answer turns Next's results into the results of Publish.
	Answer func(bridge.Receipt, error) (bridge.Receipt, error)
}

// Publish publishes, and returns the results of Answer.
func (p *FailingPublisher) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return p.Answer(p.Next.Publish(ctx, e))
}

// Kept returns a delivery that did not become an event.
func Kept(body string) *bridge.KeptDelivery {
	kept := &bridge.KeptDelivery{
		Source: "get3w", Cause: "no_id", Detail: `"id" is missing`, ReceivedAt: time.Now().UTC(),
		RemoteAddr: "192.0.2.1", Body: []byte(body), BodyBytes: int64(len(body)),
	}
	kept.AddProof("X-Get3w-Signature", []string{"aa"})
	return kept
}
