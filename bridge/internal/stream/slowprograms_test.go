package stream_test

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// deaf is a program of user app that subscribes and sends requests, and never reads.
func deaf(t *testing.T, b *streamtest.Bench, requests string) net.Conn {
	t.Helper()
	password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.AppUser)
	require.NoError(t, err)
	c, err := net.Dial("tcp", strings.TrimPrefix(b.Server.URL(), "nats://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	in := bufio.NewReader(c)
	_, err = in.ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"headers\":true,\"user\":%q,\"pass\":%q}\r\nPING\r\n", stream.AppUser, password)
	require.NoError(t, err)
	pong, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "PONG\r\n", pong)
	_, err = fmt.Fprint(c, "SUB _INBOX.deaf 1\r\n"+requests)
	require.NoError(t, err)
	return c
}

// Requests of programs that do not read take a bounded part of the memory, however many there
// are: the slowest readers are disconnected, and others go on.
func TestProgramsThatDoNotReadAreDisconnected(t *testing.T) {
	t.Parallel()
	alarms := &natstest.Alarms{}
	cfg := streamtest.Listening()
	cfg.Alarms = alarms
	b := streamtest.Start(t, cfg)
	b.Server.BoundPending(8 << 20) // so that a slow machine gets there too
	large := natstest.Event("pred_1")
	large.Body = []byte(`{"id":"pred_1","pad":"` + strings.Repeat("x", 3<<20) + `"}`)
	_, err := b.Publisher().Publish(t.Context(), large)
	require.NoError(t, err)
	const get = `{"seq":1}`
	ask := strings.Repeat(fmt.Sprintf("PUB $JS.API.DIRECT.GET.HOOKSPAN_EVENTS _INBOX.deaf %d\r\n%s\r\n", len(get), get), 5)
	var programs []net.Conn
	for range 3 {
		programs = append(programs, deaf(t, b, ""))
	}
	nc, js := app(t, b)
	require.Eventually(t, func() bool {
		for _, c := range programs { // again and again, since some are refused for asking too much
			_, _ = fmt.Fprint(c, ask)
		}
		return len(alarms.Kinds()) == 1
	}, 4*patience, 100*time.Millisecond)
	require.Equal(t, []string{bridge.AlarmQuota}, alarms.Kinds())
	var st jetstream.Stream
	require.Eventually(t, func() bool {
		st, err = js.Stream(t.Context(), "HOOKSPAN_EVENTS")
		return err == nil
	}, 4*patience, time.Millisecond)
	require.Eventually(t, func() bool { // after the requests of the others
		m, err := st.GetMsg(t.Context(), 1)
		return err == nil && len(m.Data) == len(large.Body)
	}, 4*patience, time.Millisecond)
	require.Zero(t, nc.Reconnects)
}

// The connections of other programs have a limit, and the bridge can still connect.
func TestProgramsHaveAShareOfConnections(t *testing.T) {
	t.Parallel()
	b := pulling(t)
	require.Equal(t, 256, b.Server.ConnectionLimit("APP"))
	require.Equal(t, 64, b.Server.ConnectionLimit("PULL_other"))
	password, err := datafolder.ReadSecret(b.Folder.Dir(), stream.PullUser("other"))
	require.NoError(t, err)
	open := 0
	for ; err == nil; open++ {
		var nc *nats.Conn
		if nc, err = nats.Connect(b.Server.URL(), nats.UserInfo(stream.PullUser("other"), password), nats.NoReconnect(), nats.Timeout(patience)); err == nil {
			t.Cleanup(nc.Close)
		}
		require.Less(t, open, 100)
	}
	require.ErrorIs(t, err, nats.ErrMaxAccountConnectionsExceeded)
	require.Equal(t, 65, open)
	nc, err := b.Server.Connect("ours", zap.NewNop())
	require.NoError(t, err)
	nc.Close()
}

// An event is delivered to every matching subscription before the next webhook is served, so
// other programs may have a limited number of them.
func TestSubscriptionsOfOthersHaveALimit(t *testing.T) {
	t.Parallel()
	alarms := &natstest.Alarms{}
	cfg := streamtest.Listening()
	cfg.Alarms = alarms
	b := streamtest.Start(t, cfg)
	left := make(chan *nats.Conn, 10)
	for range 5 {
		nc, _ := app(t, b)
		nc.SetDisconnectErrHandler(func(nc *nats.Conn, _ error) { nc.Close(); left <- nc })
		for range 500 {
			_, err := nc.SubscribeSync("hookspan.events.>")
			require.NoError(t, err)
		}
		require.NoError(t, nc.Flush())
	}
	<-left
	require.Eventually(t, func() bool { return slices.Equal(alarms.Kinds(), []string{bridge.AlarmQuota}) }, patience, time.Millisecond)
	_, js := app(t, b)
	_, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err, "a program with few goes on")
}
