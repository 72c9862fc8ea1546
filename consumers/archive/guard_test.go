package archive

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/freshconn"
)

// behindTLS is an archive with the rules of production for which every name leads
// to one TLS server. It returns the addresses that were dialled, too.
func behindTLS(t *testing.T, h http.HandlerFunc, hosts ...string) (*bundle, func() []string) {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	b := setup(t, func(c *Config) { c.Hosts, c.AllowPrivate = hosts, false })
	dialled := make(chan string, 100)
	transport := newTransport(Config{Stall: time.Minute}, false)
	transport.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled <- addr
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	b.downloader.secure = freshconn.New(transport, 0)
	return b, func() []string {
		var list []string
		for len(dialled) > 0 {
			list = append(list, <-dialled)
		}
		return list
	}
}

// requireRefused wants a retry, an alarm, and no way for the output to come in.
func requireRefused(t *testing.T, b *bundle, address, want string) {
	t.Helper()
	before := b.alarms(bridge.AlarmArchiveRefused)
	err := b.handle(newEvent("p", address))
	require.ErrorContains(t, err, want)
	require.False(t, consumers.IsPermanent(err), "an operator may allow it")
	require.Equal(t, []string{eventName, signatureName}, names(t, folder(b.dir, "p")))
	require.Equal(t, before+1, b.alarms(bridge.AlarmArchiveRefused))
}

func TestHosts(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	b, dialled := behindTLS(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) }, "Example.com")
	require.NoError(t, b.handle(newEvent("p", "https://EXAMPLE.com/a", "HTTPS://example.com:8443/a", "https://someone:secret@example.com/a")))
	require.EqualValues(t, 3, asked.Load())
	require.ElementsMatch(t, []string{"example.com:443", "example.com:8443", "example.com:443"}, dialled())
	for _, address := range []string{
		"https://evil.example/a", "https://www.example.com/a", "https://example.com.evil.example/a", "https://example.com@evil.example/a",
		"https://evil.example/https://example.com", "https://example.com./a", "https://[::1]/a", "https://127.0.0.1/a",
	} {
		b, dialled := behindTLS(t, nil, "example.com")
		requireRefused(t, b, address, "add it to consumers.<name>.hosts")
		require.Empty(t, dialled())
	}
	b, _ = behindTLS(t, nil, "example.com")
	requireRefused(t, b, "http://example.com/a", "allow_private permits http")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"https://evil.example/a":            `host is not allowed: "evil.example"`,
		"//evil.example/a":                  `host is not allowed: "evil.example"`,
		"https://169.254.169.254/latest":    `169.254.169.254 is never asked`,
		"http://example.com/a":              `scheme is not allowed: "http"`,
		"ftp://example.com/a":               `scheme is not allowed: "ftp"`,
		"file:///etc/passwd":                `host is not allowed: ""`,
		"https://example.com:x/?sig=secret": errLocation.Error(),
		"/again":                            errRedirects.Error(),
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			asked := 0
			b, _ := behindTLS(t, func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			}, "example.com")
			err := b.handle(newEvent("p", "https://example.com/a"))
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "secret")
			require.False(t, consumers.IsPermanent(err))
			require.Equal(t, []string{eventName, signatureName}, names(t, folder(b.dir, "p")))
			if location == "/again" {
				require.Equal(t, 1+maxRedirects, asked)
				continue
			}
			require.Equal(t, 1, asked)
			if want != errLocation.Error() {
				require.Equal(t, 1, b.alarms(bridge.AlarmArchiveRefused), location)
			}
		}
	}
}

func TestRedirectIsFollowedWithoutTraces(t *testing.T) {
	t.Parallel()
	var last http.Header
	b, _ := behindTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "example.com" {
			http.SetCookie(w, &http.Cookie{Name: "c", Value: "v", Domain: "example.com"})
			http.Redirect(w, r, "https://www.example.com/b.mp4", http.StatusFound)
			return
		}
		last = r.Header
		_, _ = io.WriteString(w, "moved")
	}, "example.com", "www.example.com")
	require.NoError(t, b.handle(newEvent("p", "https://someone:word@example.com/a.png?sig=secret")))
	require.Equal(t, "moved", readFile(t, folder(b.dir, "p"), "0.png"))
	require.Equal(t, http.Header{"User-Agent": {"hookspan"}, "Accept-Encoding": {"identity"}}, last)
}

// Being listed does not make a host's private address public, whether it is
// written down or comes from the DNS.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"localhost", "127.0.0.1", "[::1]", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "240.0.0.1",
		"[::ffff:127.0.0.1]", "[fd12::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
	} {
		b := setup(t, func(c *Config) { c.Hosts, c.AllowPrivate = []string{strings.Trim(host, "[]")}, false })
		requireRefused(t, b, "https://"+host+"/latest/meta-data", "set consumers.<name>.allow_private")
	}
	srv := refusing(t)
	b := setup(t, func(c *Config) { c.AllowPrivate = false })
	requireRefused(t, b, strings.Replace(srv.URL, "http:", "https:", 1), "is not a permitted port (443)")
}

// A proxy would dial in our place, where the guard does not see what it dials.
// The standard transport asks no proxy for loopback, hence the other name.
func TestProxyIsNotUsed(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://example.com/a": "example.com:80\n", "https://example.com/a": "example.com:443\n",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], childDial, t.TempDir(), address)
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
			cmd.Env = append(cmd.Env, name+"=http://proxy.example:3128")
		}
		dialled, err := cmd.Output()
		require.Error(t, err, "it connects to nothing")
		require.Equal(t, want, string(dialled))
	}
}

// The query of an address can be a signature that gives access to the output.
func TestSignaturesStayInTheManifest(t *testing.T) {
	t.Parallel()
	const secret = "X-Amz-Signature=c0ffee%2F"
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "https://evil.example/?"+secret, http.StatusFound)
			return
		}
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
			return
		}
		brokenServer(w, r)
	})
	down := refusing(t)
	down.Close()
	for _, address := range []string{
		srv.URL + "/redirect", srv.URL + "/gone", srv.URL + "/short", srv.URL + "/cut", srv.URL + "/nothing", srv.URL + "/garbage",
		srv.URL + "/%zz", down.URL, "https://evil.example/a", "http://127.0.0.1:99999/a", "http://127.0.0.1:x/a",
	} {
		b := setup(t, nil)
		err := b.handle(newEvent("p", address+"?"+secret))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "c0ffee")
		for _, alarm := range b.raised.All() {
			require.NotContains(t, fmt.Sprint(alarm), "c0ffee")
		}
		if consumers.IsPermanent(err) {
			m := readManifest(t, folder(b.dir, "p"))
			require.Equal(t, address+"?"+secret, m.Outputs[0].URL)
			require.NotContains(t, m.Outputs[0].Error, "c0ffee")
		}
	}
}
