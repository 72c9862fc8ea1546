package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// target counts the events that a forward consumer has posted.
func target(t *testing.T) (url string, distinct func() int) {
	var mu sync.Mutex
	got := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Header.Get("ce-id")] = true
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { mu.Lock(); defer mu.Unlock(); return len(got) }
}

// postAll posts n webhooks; each is accepted.
func (p *program) postAll(prefix string, n int) {
	p.t.Helper()
	for i := range n {
		status, text := p.post(killBody(fmt.Sprint(prefix, i)))
		require.Equal(p.t, 200, status, text)
	}
}

// direct waits until a webhook goes to NATS at once, and does not wait in the journal.
func (p *program) direct(prefix string) (sent int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		sent++
		status, text := p.post(killBody(fmt.Sprint(prefix, sent)))
		require.Equal(p.t, 200, status, text)
		return strings.Contains(text, `"result":"stored"`)
	}, patience, patience/300, p.logs)
	return sent
}

// password is the one that a server admits. A reload of its options would do too, but
// nats-server 2.15.2 reads them without a lock when a message is asked for.
type password struct{ atomic.Value }

// Check implements [server.Authentication].
func (p *password) Check(c server.ClientAuthentication) bool {
	return c.GetOpts().Password == p.Load()
}

// The password of the bridge is changed in NATS first and a while later in the file of
// the bridge, or NATS refuses it at the first start. Every webhook is accepted, reaches
// the stream and its consumer, and nothing is restarted.
func TestCredentialsThatAreRefusedForAWhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, roles string
		first       bool // refused from the beginning
	}{
		{"all roles", "[ingress, consumers, reconciler, admin]", false},
		{"all roles, at the first start", "[ingress, consumers, reconciler, admin]", true},
		{"ingress alone", "[ingress]", false},
		{"ingress alone, at the first start", "[ingress]", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			admitted := &password{}
			admitted.Store("old")
			x := natstest.NewExternal(t, func(o *server.Options) { o.CustomClientAuthentication = admitted })
			x.Start()
			x.MakeStreams(nats.UserInfo("u", "old"))
			rotate := func() { admitted.Store("new"); x.Disconnect() }
			if c.first {
				rotate()
			}
			dir := t.TempDir()
			put(t, dir, "password", "old")
			url, forwarded := target(t)
			p := serve(t, dir, `
roles: `+c.roles+`
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "`+x.URL()+`", user: u, password: "file:`+dir+`/password", events: {max_bytes: 64MiB}}
consumers:
  team: {kind: forward, url: "`+url+`", allow_networks: [127.0.0.1], secret: env:GET3W_WEBHOOK_SECRET, start: all}
`)
			sent := 0
			if !c.first {
				sent += p.direct("before-")
				rotate()
			}
			require.Eventually(t, func() bool {
				p.postAll(fmt.Sprint("refused-", sent, "-"), 5)
				sent += 5
				// Twice is too often for nats.go, unless it is told otherwise.
				return strings.Contains(p.logs.String(), `"alarm":"credentials"`) && x.Refused() >= 8
			}, patience, patience/300, p.logs)
			p.postAll("refused-", 5)
			sent += 5
			put(t, dir, "password", "new")
			sent += p.direct("after-")

			js := x.JetStream(nats.UserInfo("u", "new"))
			require.Eventually(t, func() bool {
				stream, err := js.Stream(context.Background(), "HOOKSPAN_EVENTS")
				return err == nil && prediction(stream) == sent
			}, patience, patience/300, p.logs)
			if strings.Contains(c.roles, "consumers") {
				require.Eventually(t, func() bool { return forwarded() == sent }, patience, patience/300, p.logs)
			}
			require.Equal(t, 0, p.stop(), p.logs)
			require.NotContains(t, p.logs.String(), "has ended")
		})
	}
}

// prediction is how many events of predictions are stored.
func prediction(stream jetstream.Stream) int {
	info, err := stream.Info(context.Background(), jetstream.WithSubjectFilter("hookspan.events.*.prediction.>"))
	if err != nil {
		return -1
	}
	n := 0
	for _, messages := range info.State.Subjects {
		n += int(messages)
	}
	return n
}

// An error of NATS that closes connections for good, as a max_payload that was lowered
// by a reload brings it about, leaves nothing behind: no connection, consumer or answer
// to a request needs a restart.
func TestErrorOfNATSThatClosesConnections(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	proxy := natstest.NewProxy(t, x)
	url, forwarded := target(t)
	p := serveHere(t, `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "`+proxy.URL()+`", events: {max_bytes: 64MiB}}
consumers:
  team: {kind: forward, url: "`+url+`", allow_networks: [127.0.0.1], secret: env:GET3W_WEBHOOK_SECRET, start: all}
`)
	sent := p.direct("before-")
	js := x.JetStream()
	require.Eventually(t, func() bool { return forwarded() == sent }, patience, patience/300, p.logs)
	// The view must have its subscriptions too.
	announced := func(id string) bool {
		m, err := js.Conn().Request("hookspan.watch.get3w", []byte(`{"prediction":"`+id+`"}`), patience/30)
		return err == nil && strings.Contains(string(m.Data), `"result"`)
	}
	require.Eventually(t, func() bool { return announced("a") }, patience, patience/300, p.logs)

	proxy.Refuse("Maximum Payload Violation")
	p.logged(`"alarm":"connection"`)
	sent += p.direct("after-")
	require.Eventually(t, func() bool { return forwarded() == sent }, patience, patience/300, p.logs)
	require.Eventually(t, func() bool { return announced("b") }, patience, patience/300, p.logs)
	require.Eventually(t, func() bool {
		return len(p.states()) == sent+2
	}, patience, patience/300, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), "has ended")
}
