package console

import (
	"bufio"
	"context"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/eventstream"
)

// streaming serves a stream of the pages as they do, and returns its address.
func streaming(t *testing.T, api http.HandlerFunc, within time.Duration) string {
	t.Helper()
	c, _ := answering(t, api)
	c.writeTime = within
	s := stream{path: "/events/live", params: []string{"model"}, rows: func() func(eventstream.Event) (template.HTML, error) {
		return func(e eventstream.Event) (template.HTML, error) {
			if e.Name == "" {
				return "", nil
			}
			return template.HTML("<tr>\n<td>" + template.HTMLEscapeString(e.Data) + "</td></tr>"), nil
		}
	}}
	srv := httptest.NewServer(secured(compressed(c.stream(s))))
	t.Cleanup(srv.Close)
	return srv.URL
}

func tellEvent(w http.ResponseWriter, id uint64, data string) error {
	_, err := w.Write(eventstream.Append(nil, "event", &id, []byte(data)))
	return err
}

// A row comes as soon as the API tells of its event, uncompressed, and the browser goes on behind
// the last one.
func TestStream(t *testing.T) {
	t.Parallel()
	more, left := make(chan struct{}), make(chan struct{})
	url := streaming(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		control := http.NewResponseController(w)
		if err := control.SetReadDeadline(time.Time{}); err != nil {
			t.Errorf("a stream cannot last: %v", err)
		}
		if got := r.URL.RequestURI() + " " + r.Header.Get("Last-Event-ID"); got != apiPrefix+"/events/live?model=a%2Fb 41" {
			t.Errorf("the API is asked for %s", got)
		}
		_ = tellEvent(w, 42, "<first>")
		select {
		case <-more:
		case <-r.Context().Done():
		}
		_ = tellEvent(w, 43, "second")
		<-r.Context().Done()
	}, time.Minute)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/?model=a/b&other=x", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Last-Event-ID", "41")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() }) // also when the test fails
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Equal(t, "no-store, no-transform", res.Header.Get("Cache-Control"))
	require.Equal(t, policy, res.Header.Get("Content-Security-Policy"))
	require.Empty(t, res.Header.Get("Content-Encoding"))
	lines := bufio.NewScanner(res.Body)
	next := func() string {
		all := []string{}
		for lines.Scan() && (lines.Text() != "" || len(all) < 2) {
			if lines.Text() == "" { // a comment, by which the stream shows that it is alive
				all = all[:0]
				continue
			}
			all = append(all, lines.Text())
		}
		return strings.Join(all, "\n")
	}
	require.Equal(t, ":\nid: 42\ndata: <tr> <td>&lt;first&gt;</td></tr>", next())
	close(more)
	require.Equal(t, ":\nid: 43\ndata: <tr> <td>second</td></tr>", next())
	require.NoError(t, res.Body.Close())
	<-left
}

// A browser that does not read is dropped: the API's stream ends, and has room for another one.
func TestStalledBrowserIsDropped(t *testing.T) {
	t.Parallel()
	left := make(chan error, 1)
	url := streaming(t, func(w http.ResponseWriter, _ *http.Request) {
		for id := uint64(1); ; id++ {
			if err := tellEvent(w, id, strings.Repeat("a", 64<<10)); err != nil {
				left <- err
				return
			}
		}
	}, 20*time.Millisecond)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	require.ErrorIs(t, <-left, io.ErrClosedPipe)
}

// What the API refuses is answered as it answers, and a stream that cannot be read ends.
func TestStreamThatIsRefused(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	head, err := client.Head(streaming(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") }, time.Minute))
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, head.StatusCode)
	for _, status := range []int{401, 403, 503} {
		res, err := client.Get(streaming(t, refusing(status, "Not <now>."), time.Minute))
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode)
		require.Equal(t, "7", res.Header.Get("Retry-After"))
		require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
		require.Equal(t, "Not <now>.\n", string(text))
	}
	res, err := client.Get(streaming(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = tellEvent(w, 1, "good")
		_ = tellEvent(w, 2, strings.Repeat("a", maxLine))
	}, time.Minute))
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 1, strings.Count(string(text), "data: "))
}
