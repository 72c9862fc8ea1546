package archive

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/freshconn"
)

// Addresses as browsers read them, from the URL standard and its tests. A redirect to such an
// address leads to the same place.
func TestAddressesAsBrowsersTakeThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{ // host, and what is asked for there
		"https://h/a b.png?x= y z":           {"h", "/a%20b.png?x=%20y%20z"},
		"https://h/100%.png":                 {"h", "/100%.png"},
		"https://h/%zz/%4?100%&%":            {"h", "/%zz/%4?100%&%"},
		"https://h//100%.png?x":              {"h", "https://h//100%.png?x"},
		"https://h//a//b.png":                {"h", "//a//b.png"},
		"https://h/a|b.png?a|b":              {"h", "/a|b.png?a|b"},
		`https://h/a"b<c>d` + "`{}" + `?"<>`: {"h", "/a%22b%3Cc%3Ed%60%7B%7D?%22%3C%3E"},
		`https://h/a\b\..\c.png?\`:           {"h", `/a/c.png?\`},
		`https://h\a.png`:                    {"h", "/a.png"},
		"https://h/[a]^b'c?d'e":              {"h", "/[a]^b'c?d%27e"},
		"https://h/\x01a\x7f.png?\x02y":      {"h", "/%01a%7F.png?%02y"},
		"\x00 https://h/a\r\n\tb.png \x1f":   {"h", "/ab.png"},
		"ht\ntps:\t//h\r/a.png":              {"h", "/a.png"},
		"https://h/é.png?ü":                  {"h", "/%C3%A9.png?%C3%BC"},
		"https://h/a%2Fb%2fc%41?%41+b":       {"h", "/a%2Fb%2fc%41?%41+b"},
		"https://h/a/./b/../c/%2e%2E/d.png":  {"h", "/a/d.png"},
		"https://h/a.png#part":               {"h", "/a.png"},
		"https://h/a.png?":                   {"h", "/a.png?"},
		"https://h?x":                        {"h", "/?x"},
		"https://h":                          {"h", "/"},
		"HTTPS://EXAMPLE.Com:443/a":          {"example.com", "/a"},
		"https://h:8443/a":                   {"h:8443", "/a"},
		"https://user:word@h/a":              {"h", "/a"},
		"https://bücher.example/a":           {"xn--bcher-kva.example", "/a"},
		"https://EXAMPLE。com/a":              {"example.com", "/a"},
		"https://ex%61mple.com/a":            {"example.com", "/a"},
		"https://0x7f.1/a":                   {"127.0.0.1", "/a"},
		"https://2130706433/a":               {"127.0.0.1", "/a"},
		"https://[0:0::1]:443/a":             {"[::1]", "/a"},
		"https://[::FFFF:1.2.3.4]/a":         {"[::ffff:102:304]", "/a"},
		`https://other.example\@h/a`:         {"other.example", "/@h/a"},
	} {
		u, err := readAddress(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, [2]string{u.Host, u.RequestURI()}, "%q", text)
		require.Equal(t, "https", u.Scheme)

		base, err := readAddress("https://base.example/100%/|/x.png?y")
		require.NoError(t, err)
		to, err := resolve(base, text)
		require.NoError(t, err)
		require.Equal(t, u, to, "%q", text)
	}
	base, err := readAddress("https://base.example//100%/|/x.png?y")
	require.NoError(t, err)
	for location, want := range map[string]string{"a b": "https://base.example//100%/|/a%20b", "?\xe9": "https://base.example//100%/|/x.png?%E9", "/|": "/|"} {
		to, err := resolve(base, location)
		require.NoError(t, err)
		require.Equal(t, want, to.RequestURI())
	}
}

// Whatever can never be asked is a dead letter at once, and the manifest says why.
func TestAddressesThatNeverWorkAreFinal(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https:///www.example.com/a.png?sig=secret": "has no host",
		"https://":                                 "has no host",
		"https://?sig=secret":                      "has no host",
		"https://#a":                               "has no host",
		`https://\\h/a`:                            "has no host",
		"https://\n/\th/a":                         "has no host",
		"https://:443/a":                           "cannot be read",
		"https://someone:secret@/a":                "cannot be read",
		"https://h:99999/?sig=secret":              "cannot be read",
		"https://h:x/?sig=secret":                  "cannot be read",
		"https://a b/?sig=secret":                  "cannot be read",
		"https://a<b/":                             "cannot be read",
		"https://%00/":                             "cannot be read",
		"https://[::1/":                            "cannot be read",
		"https://[fe80::1%25eth0]/":                "cannot be read",
		"https://1.2.3.4.5/":                       "cannot be read",
		"https://256.256.256.256/":                 "cannot be read",
		"https://xn--/":                            "cannot be read",
		"https://h/" + strings.Repeat("a", maxURL): "longer than 8 KiB",
	} {
		b := setup(t, nil)
		err := b.handle(newEvent("p", address, "text"))
		require.True(t, consumers.IsPermanent(err), "%q: %v", address, err)
		require.ErrorContains(t, err, want, "%q", address)
		require.NotContains(t, err.Error(), "secret")
		m := readManifest(t, folder(b.dir, "p"))
		require.Contains(t, m.Outputs[0].Error, want)
		require.Equal(t, "text", readFile(t, folder(b.dir, "p"), "1.txt"))
	}
}

// rawServer answers every request with its first line, valid or not.
func rawServer(t *testing.T) (address string, lines func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var seen []string
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			first, err := r.ReadString('\n')
			for line := first; err == nil && line != "\r\n"; {
				line, err = r.ReadString('\n')
			}
			mu.Lock()
			seen = append(seen, strings.TrimSpace(first))
			mu.Unlock()
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(first), first)
			_ = conn.Close()
		}
	}()
	return "http://" + l.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// The bytes on the wire are those that a browser sends.
func TestRequestLineIsThatOfABrowser(t *testing.T) {
	t.Parallel()
	address, lines := rawServer(t)
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p", address+"/100%.png?name=a b&x=100%")))
	require.NoError(t, b.handle(newEvent("q", address+`/a|b"ü\c.png?a|b`)))
	require.NoError(t, b.handle(newEvent("r", strings.Replace(address, "127.0.0.1", "0x7f.1", 1)+"//%.png")))
	require.Equal(t, []string{
		"GET /100%.png?name=a%20b&x=100% HTTP/1.1", "GET /a|b%22%C3%BC/c.png?a|b HTTP/1.1", "GET " + address + "//%.png HTTP/1.1",
	}, lines())
	require.FileExists(t, folder(b.dir, "p")+"/0.png")
	require.Equal(t, address+"/100%.png?name=a b&x=100%", readManifest(t, folder(b.dir, "p")).Outputs[0].URL, "as it was told")
}

// The host that is judged is the one that is dialled and named in the request, in every spelling
// of the address and the configuration.
func TestOneHostIsJudgedAndAsked(t *testing.T) {
	t.Parallel()
	var hosts []string
	b, dialled := behindTLS(t, func(_ http.ResponseWriter, r *http.Request) { hosts = append(hosts, r.Host) }, "Bücher.example.com", "example.com")
	for _, address := range []string{"https://bücher.EXAMPLE.com/a", "https://xn--bcher-kva.example.com:443/a", "https://b%C3%BCcher.example.com/a", `https://example.com\@evil.example/a`} {
		require.NoError(t, b.handle(newEvent(address, address)))
	}
	const ours = "xn--bcher-kva.example.com"
	require.Equal(t, []string{ours, ours, ours, "example.com"}, hosts)
	require.Subset(t, []string{ours + ":443", "example.com:443"}, dialled())
	for _, address := range []string{`https://evil.example\@example.com/a`, "https://evil.example\t/@example.com/", "https://evil.example%23@example.com:1@evil.example/"} {
		b, dialled := behindTLS(t, nil, "example.com")
		requireRefused(t, b, address, `host is not allowed: "evil.example"`)
		require.Empty(t, dialled())
	}
}

// No setting opens the way to the metadata of a cloud, in any spelling of the address and from
// any place: the event, a redirect, or the DNS.
func TestMetadataIsNeverAsked(t *testing.T) {
	t.Parallel()
	hosts := []string{
		"169.254.169.254", "169.254.170.2", "169.254.0.1", "[fe80::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0",
		"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "169。254。169。254", "%31%36%39.254.169.254", "169.254.169.254.",
		"[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[64:ff9b:1:a9fe:a9:fe00::]", "[2002:a9fe:a9fe::1]",
		"[::ffff:100.100.100.200]", "[64:ff9b::168.63.129.16]",
	}
	var to string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(srv.Close)
	for _, host := range hosts {
		everything := func(c *Config) {
			name, err := canonicalHost(strings.Trim(host, "[]"))
			require.NoError(t, err, host)
			c.AllowPrivate, c.Hosts = true, []string{"127.0.0.1", strings.Trim(name, "[]")}
		}
		for _, scheme := range []string{"http://", "https://"} {
			b := setup(t, everything)
			err := b.handle(newEvent("p", scheme+host+"/latest/meta-data"))
			require.ErrorContains(t, err, "is never asked, whatever is allowed", host)
			require.True(t, consumers.IsPermanent(err), host)
			require.Equal(t, 1, b.alarms(bridge.AlarmArchiveRefused))

			to = scheme + host + "/latest/meta-data"
			err = b.handle(newEvent("q", srv.URL))
			require.ErrorContains(t, err, "is never asked, whatever is allowed", host)
			require.False(t, consumers.IsPermanent(err), "it may redirect elsewhere the next time")
		}
	}
	// A name that leads there may lead elsewhere the next time.
	b := setup(t, func(c *Config) { c.Hosts = []string{"metadata.example"} })
	transport := newTransport(Config{AllowPrivate: true}, true)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, "169.254.169.254:80")
	}
	b.downloader.plain = freshconn.New(transport, 0)
	requireRefused(t, b, "http://metadata.example/latest/meta-data", "169.254.169.254 is never asked, whatever is allowed")
}

// Whatever an address is, what is made of it can be written in a request line, and says
// the same when it is read again.
func FuzzAddress(f *testing.F) {
	f.Add("https://h/100%.png?a b#c", "../x|y?\xe9")
	f.Add("https://[::1]:8443//\\a\x00", "//other.example/%")
	f.Fuzz(func(t *testing.T, text, location string) {
		u, err := readAddress(text)
		if err != nil {
			return
		}
		list := []*url.URL{u}
		if to, err := resolve(u, location); err == nil && (to.Scheme == "https" || to.Scheme == "http") {
			list = append(list, to)
		}
		for _, u := range list {
			if line := u.RequestURI(); u.Hostname() == "" || strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Fatalf("%q of %q asks %q for %q", location, text, u.Host, line)
			}
			again, err := readAddress(href(u))
			if err != nil || again.Host != u.Host || again.RequestURI() != u.RequestURI() {
				t.Fatalf("%q is read as %v, %v", href(u), again, err)
			}
		}
	})
}
