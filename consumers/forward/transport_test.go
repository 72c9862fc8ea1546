package forward

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/dialguard"
	"github.com/hookspan/hookspan/internal/natstest"
)

func networks(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"10.1.2.3/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "fd00::1": "fd00::1/128", "fd00::/8": "fd00::/8"} {
		network, err := ParseNetwork(text)
		require.NoError(t, err)
		require.Equal(t, want, network.String())
	}
	for _, text := range []string{"", "10.0.0.0/33", "host", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		_, err := ParseNetwork(text)
		require.ErrorContains(t, err, "is no network")
	}
}

// A blocked target is a fault of the configuration: nothing is sent, the event stays, and an
// alarm is raised.
func TestBlockedTargetIsTriedAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	plain := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(secure.Close)
	for _, c := range []struct {
		url     string
		private bool
		allow   []netip.Prefix
	}{
		{secure.URL, false, nil},
		{plain.URL, false, networks("10.0.0.0/8")},
		{"http://169.254.169.254/latest/meta-data/", true, networks("0.0.0.0/0")},
		{"http://[::ffff:169.254.169.254]/latest/meta-data/", true, networks("0.0.0.0/0")},
		{"http://[fd00:ec2::254]/latest/meta-data/", true, networks("::/0")},
		{"http://metadata.example/latest/meta-data/", true, networks("0.0.0.0/0")},
	} {
		b := setup(t, c.url, func(cfg *Config) {
			cfg.AllowPrivate, cfg.AllowNetworks = c.private, c.allow
			cfg.Resolver = resolver(t, "169.254.169.254")
			oneFailureOpens(cfg)
		})
		err := b.handle()
		require.ErrorIs(t, err, dialguard.ErrBlocked, c.url)
		remedy := strings.Contains(err.Error(), "use https, or name its network in allow_networks")
		require.Equal(t, !errors.Is(err, dialguard.ErrNever), remedy, "no setting permits an address that is never asked")
		require.False(t, consumers.IsPermanent(err))
		require.Equal(t, []string{bridge.AlarmTargetBlocked}, natstest.KindsOf(b.alarms.All()))
		require.ErrorIs(t, b.handle(), errPaused, "no attempt is wasted on the other events")
	}
	require.Zero(t, asked.Load())
}

// A target with a certificate of an unknown authority gets nothing.
func TestUnknownCertificate(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	t.Cleanup(srv.Close)
	err := setup(t, srv.URL, nil).handle()
	require.ErrorContains(t, err, "certificate")
	require.False(t, consumers.IsPermanent(err))
}

// resolver answers every question for an address of IPv4 with the next of answers,
// the last one again and again, by DNS as it is on the wire.
func resolver(t *testing.T, answers ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for asked := 0; ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				a := netip.MustParseAddr(answers[min(asked, len(answers)-1)])
				asked++
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: a.As4()},
				}}
			}
			out, err := m.Pack()
			if err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A name is looked up for each connection, and each time what it leads to is checked.
func TestNameThatLeadsElsewhereTheSecondTime(t *testing.T) {
	t.Parallel()
	var asked, victim atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	good := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Connection", "close")
	}))
	require.NoError(t, good.Listener.Close())
	good.Listener = l
	good.Start()
	t.Cleanup(good.Close)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	l, err = net.Listen("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	bad := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { victim.Add(1) }))
	require.NoError(t, bad.Listener.Close())
	bad.Listener = l
	bad.Start()
	t.Cleanup(bad.Close)

	b := setup(t, "http://rebound.example:"+port, func(c *Config) {
		c.AllowPrivate, c.AllowNetworks = false, networks("127.0.0.2/32")
		c.Resolver = resolver(t, "127.0.0.2", "127.0.0.1")
	})
	require.NoError(t, b.handle())
	require.ErrorIs(t, b.handle(), dialguard.ErrBlocked)
	require.EqualValues(t, 1, asked.Load())
	require.Zero(t, victim.Load())
	require.Equal(t, []string{bridge.AlarmTargetBlocked}, natstest.KindsOf(b.alarms.All()))
}
