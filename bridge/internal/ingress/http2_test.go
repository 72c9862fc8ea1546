package ingress

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/headers"
)

// h2conn writes HTTP/2 frame by frame.
type h2conn struct {
	conn    *tls.Conn
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	stream  uint32
	ended   chan struct{} // closed when the server has closed the connection

	mu       sync.Mutex
	statuses map[uint32]string
	settings map[http2.SettingID]uint32
}

func dialH2(t testing.TB, b *bench) *h2conn {
	t.Helper()
	conn, err := tls.Dial("tcp", b.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	c := &h2conn{conn: conn, framer: http2.NewFramer(conn, conn), stream: 1, ended: make(chan struct{}), statuses: map[uint32]string{}, settings: map[http2.SettingID]uint32{}}
	c.encoder = hpack.NewEncoder(&c.block)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	send(t, conn, http2.ClientPreface)
	require.NoError(t, c.framer.WriteSettings())
	go c.read()
	t.Cleanup(func() { _ = conn.Close(); <-c.ended })
	return c
}

func (c *h2conn) read() {
	defer close(c.ended)
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		c.mu.Lock()
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			c.statuses[f.StreamID] = f.PseudoValue("status")
		case *http2.SettingsFrame:
			_ = f.ForeachSetting(func(s http2.Setting) error { c.settings[s.ID] = s.Val; return nil })
		}
		c.mu.Unlock()
	}
}

// request opens a stream with the headers of a delivery.
func (c *h2conn) request(t testing.TB, h http.Header) (stream uint32, err error) {
	t.Helper()
	c.block.Reset()
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/webhooks/get3w"}} {
		require.NoError(t, c.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	for name, values := range h {
		require.NoError(t, c.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: values[0]}))
	}
	stream = c.stream
	c.stream += 2
	return stream, c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true})
}

func (c *h2conn) status(stream uint32) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statuses[stream]
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	b, client := encrypted(t, Config{})
	var group errgroup.Group
	for i := range 300 { // more than the streams of one connection
		r := request(t, b.url+"/webhooks/get3w", body(strconv.Itoa(i)))
		group.Go(func() error {
			res, err := client.RoundTrip(r)
			if err != nil {
				return err
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
				return fmt.Errorf("%s %s", res.Proto, res.Status)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Len(t, b.pub.published(), 300)

	r := request(t, b.url+"/webhooks/get3w", body("big header"))
	r.Header.Set("X-Big", strings.Repeat("x", 2*headers.MaxBytes))
	res, err := client.RoundTrip(r)
	if err == nil { // the server may also close the connection
		require.Equal(t, 431, read(t, res).status)
	}
	require.Equal(t, 200, deliver(t, client, b, "good").status)
	require.Len(t, b.pub.published(), 301)
	b.settled(t)
}

// Streams that are reset, before or in the middle of their body, leave nothing behind: the
// server has only four places.
func TestHTTP2Resets(t *testing.T) {
	b, client := encrypted(t, Config{MaxInFlight: 4, MaxBody: 64 << 10, MaxInFlightBytes: 128 << 10, Deadline: maxDeadline})
	for range 20 {
		c := dialH2(t, b)
		for i := range 100 {
			stream, err := c.request(t, http.Header{"Content-Length": {"1000"}})
			if err == nil && i%2 == 0 {
				err = c.framer.WriteData(stream, false, make([]byte, 500))
			}
			if err == nil {
				err = c.framer.WriteRSTStream(stream, http2.ErrCodeCancel)
			}
			if err != nil {
				break // the server may close the connection
			}
		}
		_ = c.conn.Close()
	}
	b.settled(t)
	b.opened(t, 0)
	for i := range 4 {
		require.Equal(t, 200, deliver(t, client, b, strconv.Itoa(i)).status)
	}
	require.Len(t, b.pub.published(), 4)
}

// A connection with many open streams and no bodies holds no more than one of them takes,
// and another sender is served.
func TestHTTP2ManyOpenStreams(t *testing.T) {
	b, client := encrypted(t, Config{MaxInFlight: 16, Deadline: maxDeadline})
	c := dialH2(t, b)
	var last uint32
	for i := range maxStreams {
		stream, err := c.request(t, http.Header{"Content-Length": {"1000"}})
		require.NoError(t, err)
		last = stream
		if i == 0 {
			b.begun(t, 1) // the first to give way, whatever the order in which the server takes the others
		}
	}
	b.begun(t, maxStreams)
	b.arriving(t, 16)
	require.Eventually(t, func() bool { // they come on their own time
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.settings[http2.SettingMaxConcurrentStreams] == maxStreams && c.settings[http2.SettingMaxFrameSize] == maxFrameSize
	}, patience, glance)
	require.Eventually(t, func() bool { return c.status(1) == "503" }, patience, glance)
	require.Equal(t, 200, deliver(t, client, b, "good").status)
	require.NoError(t, c.framer.WriteRSTStream(last, http2.ErrCodeCancel))
	require.NoError(t, c.conn.Close())
	b.settled(t)
}

func TestHTTP2OversizedHeadersInContinuations(t *testing.T) {
	t.Parallel()
	b, client := encrypted(t, Config{})
	c := dialH2(t, b)
	require.NoError(t, c.conn.SetWriteDeadline(time.Now().Add(patience)))
	stream := c.stream
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x82}})
	for range 10_000 {
		if err != nil {
			break
		}
		c.block.Reset()
		require.NoError(t, c.encoder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 8000), Sensitive: true}))
		err = c.framer.WriteContinuation(stream, false, c.block.Bytes())
	}
	require.Error(t, err, "the connection ends before 80 MB of headers were taken")
	<-c.ended
	require.Equal(t, 200, deliver(t, client, b, "good").status)
}
