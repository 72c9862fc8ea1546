package ingress

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/clientaddr"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("10.0.0.1,", maxHops)
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"untrusted peer says what it likes", "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"private is not trusted by itself", "192.168.1.1:1", []string{"198.51.100.1"}, "192.168.1.1"},
		{"loopback is not trusted by itself", "127.0.0.1:1", []string{"198.51.100.1"}, "127.0.0.1"},
		{"one proxy", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"what the client wrote is left of it", "10.0.0.1:1", []string{"6.6.6.6, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", []string{"6.6.6.6, 198.51.100.1 ,10.9.9.9"}, "198.51.100.1"},
		{"two headers", "10.0.0.1:1", []string{"6.6.6.6", "198.51.100.1", "10.9.9.9"}, "198.51.100.1"},
		{"proxies alone", "10.0.0.1:1", []string{"10.7.7.7, 10.9.9.9"}, "10.7.7.7"},
		{"silent proxy", "10.0.0.1:1", nil, "10.0.0.1"},
		{"garbage", "10.0.0.1:1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"garbage behind a proxy", "10.0.0.1:1", []string{"198.51.100.1, , 10.2.2.2"}, "10.2.2.2"},
		{"more hops than are read", "10.0.0.1:1", []string{"6.6.6.6," + long + "10.0.0.1"}, "10.0.0.1"},
		{"with a port", "10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "[fd00::1]:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv6 in brackets", "[fd00::1]:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv4 as IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"zone", "[fe80::1%eth0]:1", nil, "fe80::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/128")}
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
			require.Equal(t, c.want, p.client(r).String())
		})
	}
	require.Equal(t, "2001:db8:1:2::/64", clientaddr.Network(netip.MustParseAddr("2001:db8:1:2:3::4")).String())
	require.Equal(t, "192.0.2.7/32", clientaddr.Network(netip.MustParseAddr("192.0.2.7")).String())
}

// from is a transport whose connections come from a local address.
func from(t testing.TB, address string) *http.Transport {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// deliver posts an acceptable delivery and returns the status.
func deliver(t testing.TB, rt http.RoundTripper, b *bench, id string, forwarded ...string) response {
	t.Helper()
	r := request(t, b.url+"/webhooks/get3w", body(id))
	if len(forwarded) > 0 {
		r.Header["X-Forwarded-For"] = forwarded
	}
	res, err := rt.RoundTrip(r)
	require.NoError(t, err)
	return read(t, res)
}

// slowRate allows the burst and then nothing for the length of a test.
const slowRate = 1.0 / 3600

func TestRateOfOneAddress(t *testing.T) {
	b := start(t, Config{RatePerAddress: slowRate, BurstPerAddress: 2})
	noisy, other := from(t, "127.0.0.1"), from(t, "127.0.0.2")
	for i := range 2 {
		require.Equal(t, 200, deliver(t, noisy, b, fmt.Sprint(i)).status)
	}
	for _, forwarded := range [][]string{nil, {"198.51.100.1"}, {"127.0.0.2"}} {
		res := deliver(t, noisy, b, "more", forwarded...)
		require.Equal(t, 429, res.status, "an untrusted peer does not choose its address")
		require.Equal(t, "10", res.header.Get("Retry-After"))
	}
	require.Equal(t, 200, deliver(t, other, b, "other").status)
	r, err := http.NewRequest(http.MethodGet, b.url+"/", nil)
	require.NoError(t, err)
	require.Equal(t, 200, do(t, r).status, "load balancers are not counted")
	require.Len(t, b.pub.published(), 3)
	line := b.logged(t, 7)
	require.Equal(t, "127.0.0.1", line["remote"])
}

func TestRateBehindATrustedProxy(t *testing.T) {
	b := start(t, Config{RatePerAddress: slowRate, BurstPerAddress: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	proxy := from(t, "127.0.0.1")
	require.Equal(t, 200, deliver(t, proxy, b, "1", "198.51.100.1").status)
	require.Equal(t, 429, deliver(t, proxy, b, "2", "203.0.113.5, 198.51.100.1").status)
	require.Equal(t, 200, deliver(t, proxy, b, "3", "198.51.100.1, 198.51.100.2").status)
	require.Equal(t, 200, deliver(t, proxy, b, "4", "2001:db8::1").status)
	require.Equal(t, 429, deliver(t, proxy, b, "5", "2001:db8::2").status, "one /64 is one address")
	for range 3 {
		require.Equal(t, 200, deliver(t, proxy, b, "6").status, "a proxy that hides its clients is not limited")
	}
}

func TestRatesForgetTheLeastLatelySeen(t *testing.T) {
	t.Parallel()
	r := newRates(1, 1, 2)
	now := time.Now()
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	require.True(t, r.allow(addr(1), now))
	require.True(t, r.allow(addr(2), now))
	require.False(t, r.allow(addr(1), now))
	require.True(t, r.allow(addr(3), now)) // instead of 2
	require.Equal(t, 2, r.buckets.Len())
	require.False(t, r.allow(addr(1), now))
	require.True(t, r.allow(addr(2), now))
	require.True(t, r.allow(addr(2), now.Add(time.Second)))
	require.False(t, r.allow(addr(2), now.Add(time.Second)))
}
