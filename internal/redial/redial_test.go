package redial_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/redial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func eventually(t *testing.T, is func() bool, what string) {
	t.Helper()
	require.Eventually(t, is, patience, 5*time.Millisecond, what)
}

func noAccess(o *server.Options) { o.Password = "other" }
func access(o *server.Options)   { o.Password = "p" }

// Run replaces a borrowed connection that an error has closed, and ends when the owner has
// closed it.
func TestBorrowedConnectionThatIsClosed(t *testing.T) {
	t.Parallel()
	var proxy *natstest.Proxy
	for name, c := range map[string]struct {
		opts []nats.Option
		end  func(t *testing.T, x *natstest.External, nc *nats.Conn)
		mend func(x *natstest.External) // nil: the owner has closed it
	}{
		"refused twice": {
			end:  func(_ *testing.T, x *natstest.External, _ *nats.Conn) { x.Reload(noAccess) },
			mend: func(x *natstest.External) { x.Reload(access) },
		},
		"too large a message": {
			end:  func(*testing.T, *natstest.External, *nats.Conn) { proxy.Refuse("Maximum Payload Violation") },
			mend: func(*natstest.External) {},
		},
		"last attempt": {
			opts: []nats.Option{nats.MaxReconnects(1)},
			end:  func(_ *testing.T, x *natstest.External, _ *nats.Conn) { x.Stop() },
			mend: func(x *natstest.External) { x.Start() },
		},
		"no reconnect": {
			opts: []nats.Option{nats.NoReconnect()},
			end:  func(_ *testing.T, x *natstest.External, _ *nats.Conn) { x.Stop() },
			mend: func(x *natstest.External) { x.Start() },
		},
		"closed by its owner": {
			end: func(_ *testing.T, _ *natstest.External, nc *nats.Conn) { nc.Close() },
		},
		"closed by its owner after an error that closes nothing": {
			end: func(t *testing.T, _ *natstest.External, nc *nats.Conn) {
				_, err := nc.SubscribeSync("forbidden")
				require.NoError(t, err)
				eventually(t, func() bool { return nc.LastError() != nil }, "the server refuses the subscription")
				nc.Close()
			},
		},
		"closed by its owner while NATS is away": {
			opts: []nats.Option{nats.MaxReconnects(-1)},
			end: func(t *testing.T, x *natstest.External, nc *nats.Conn) {
				x.Stop()
				eventually(t, nc.IsReconnecting, "it is lost")
				nc.Close()
			},
		},
		"closed by its owner while NATS refuses it": {
			opts: []nats.Option{nats.IgnoreAuthErrorAbort()},
			end: func(t *testing.T, x *natstest.External, nc *nats.Conn) {
				x.Reload(noAccess)
				eventually(t, func() bool { return nc.IsReconnecting() && nc.LastError() != nil }, "it is refused")
				nc.Close()
			},
		},
		"drained by its owner": {
			end: func(t *testing.T, _ *natstest.External, nc *nats.Conn) { require.NoError(t, nc.Drain()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := natstest.NewExternal(t, func(o *server.Options) {
				o.Username = "u"
				access(o)
				if name == "closed by its owner after an error that closes nothing" {
					o.Username, o.Password = "", ""
					o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
						Subscribe: &server.SubjectPermission{Deny: []string{"forbidden"}},
					}}}
				}
			})
			x.Start()
			proxy = natstest.NewProxy(t, x)
			closed := make(chan struct{})
			opts := append([]nats.Option{
				nats.UserInfo("u", "p"), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0),
				nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
				nats.ClosedHandler(func(*nats.Conn) { close(closed) }), // panics the second time
			}, c.opts...)
			nc, err := nats.Connect(proxy.URL(), opts...)
			require.NoError(t, err)
			t.Cleanup(nc.Close)
			js, err := jetstream.NewWithAPIPrefix(nc, "$JS.API", jetstream.WithDefaultTimeout(7*time.Second))
			require.NoError(t, err)
			j := redial.Borrow(js, func(string, ...any) {})
			listening := make(chan struct{}, 1)
			j.SetHeard(func(*nats.Conn, nats.Status) {
				select {
				case listening <- struct{}{}:
				default:
				}
			})
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			done := make(chan error, 1)
			go func() { done <- j.Run(ctx) }()

			<-listening
			c.end(t, x, nc)
			select {
			case <-closed:
			case <-time.After(patience):
				t.Fatal("the connection is not closed: ", nc.Status(), nc.LastError())
			}
			if c.mend == nil {
				require.ErrorIs(t, <-done, nats.ErrConnectionClosed)
				return
			}
			c.mend(x)
			eventually(t, func() bool { return j.Conn() != nc && j.Conn().IsConnected() }, "another connection is there")
			require.Equal(t, js.Options().APIPrefix, j.Options().APIPrefix)
			require.Equal(t, 7*time.Second, j.Options().DefaultTimeout)
			_, err = j.AccountInfo(ctx)
			require.NoError(t, err)
			stop()
			require.NoError(t, <-done)
			require.True(t, j.Conn().IsClosed(), "what it has dialed it closes")
		})
	}
}
