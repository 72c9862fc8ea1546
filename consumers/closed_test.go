package consumers

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// faults are what nats.go closes a connection of another program for, for good, and how
// each is over.
func faults() map[string]func(*natstest.External, *natstest.Proxy) (over func()) {
	return map[string]func(*natstest.External, *natstest.Proxy) (over func()){
		"credentials refused": func(x *natstest.External, _ *natstest.Proxy) func() {
			x.Reload(func(o *server.Options) { o.Password = "other" })
			return func() { x.Reload(func(o *server.Options) { o.Password = "p" }) }
		},
		"error of the server": func(_ *natstest.External, p *natstest.Proxy) func() {
			p.Refuse("Maximum Payload Violation")
			return func() {}
		},
	}
}

// program is another program with a connection of its own, as nats.Connect makes it.
func program(t *testing.T) (x *natstest.External, p *natstest.Proxy, nc *nats.Conn, js jetstream.JetStream, closed <-chan struct{}) {
	t.Helper()
	x = natstest.NewExternal(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	x.Start()
	x.MakeStreams(nats.UserInfo("u", "p"))
	p = natstest.NewProxy(t, x)
	ended := make(chan struct{})
	nc, err := nats.Connect(p.URL(), nats.UserInfo("u", "p"), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err = jetstream.New(nc)
	require.NoError(t, err)
	return x, p, nc, js, ended
}

// A consumer goes on after its connection was closed by an error, and the attempt that
// was under way is not made again.
func TestConsumerOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			x, p, _, js, closed := program(t)
			own := x.JetStream(nats.UserInfo("u", "p"), nats.IgnoreAuthErrorAbort(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
			pub := natstest.Streams{JS: own}
			publish := func(id string) {
				_, err := pub.Publish(context.Background(), natstest.Event(id))
				require.NoError(t, err)
			}
			entered, finish := make(chan string, 10), make(chan struct{}, 10)
			c, err := New(js, HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
				entered <- ev.PredictionID
				<-finish
				return nil
			}), Config{Name: "team", Start: Start{All: true}})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- c.Run(ctx) }()

			publish("pred_1")
			require.Equal(t, "pred_1", next(t, entered))
			over := fault(x, p)
			next(t, closed)
			over()
			require.Eventually(t, func() bool { return c.js.Conn().IsConnected() && own.Conn().IsConnected() }, patience, 5*time.Millisecond)
			finish <- struct{}{}
			publish("pred_2")
			require.Equal(t, "pred_2", next(t, entered))
			finish <- struct{}{}
			require.Eventually(t, func() bool {
				durable, err := own.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
				return err == nil && durable.CachedInfo().AckFloor.Stream == 2
			}, patience, 5*time.Millisecond)
			cancel()
			require.NoError(t, next(t, done))
			require.Empty(t, entered, "no attempt is made again")
			require.True(t, c.js.Conn().IsClosed(), "Run closes what it has dialed")
		})
	}
}
