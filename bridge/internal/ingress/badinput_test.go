package ingress

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func head(t testing.TB, path, body, more string) string {
	t.Helper()
	h := http.Header{}
	sign(t, h, body)
	return "POST " + path + " HTTP/1.1\r\nHost: x\r\nX-Get3W-Signature: " + h.Get("X-Get3w-Signature") + "\r\n" + more + "\r\n"
}

// A sender that waits for 100 Continue gets it only when the body will be read.
func TestExpectContinue(t *testing.T) {
	b := start(t, Config{})
	text := body("pred_1")
	ask := "Expect: 100-continue\r\nContent-Length: "

	conn := dial(t, b)
	in := bufio.NewReader(conn)
	send(t, conn, head(t, "/webhooks/get3w", text, ask+strconv.Itoa(len(text))+"\r\n"))
	res, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 100, res.StatusCode)
	send(t, conn, text)
	res, err = http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 200, read(t, res).status)

	// A body that does not come ends in bounded time, also that of the last request, which
	// net/http answers by itself.
	hasty := start(t, Config{Deadline: 100 * time.Millisecond, headerTimeout: 100 * time.Millisecond})
	for _, c := range []struct {
		path, more string
		status     int
	}{
		{"/webhooks/nobody", ask + "100\r\n", 404},
		{"/webhooks/guarded/wrong", ask + "100\r\n", 401},
		{"/webhooks/get3w", ask + "10000000\r\n", 413},
		{"/webhooks/get3w", "Content-Encoding: br\r\n" + ask + "100\r\n", 415},
		{"/webhooks/get3w", "Expect: miracle\r\nContent-Length: 100\r\n", 417},
	} {
		conn := dial(t, hasty)
		send(t, conn, head(t, c.path, "", c.more))
		said := ended(t, conn) // the server did not ask for the body, so the rest is no request
		require.True(t, strings.HasPrefix(said, "HTTP/1.1 "+strconv.Itoa(c.status)), "%s %s: %s", c.path, c.more, said)
	}
	require.Empty(t, hasty.pub.published())
	require.Len(t, b.pub.published(), 1)
	b.settled(t)
}

func TestChunkedBodies(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	b := start(t, Config{MaxBody: limit})
	text := body("pred_1")
	whole := fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
	for _, c := range []struct {
		name, sent string
		status     int
	}{
		{"chunks of a byte", regexp.MustCompile(".").ReplaceAllString(text, "1\r\n$0\r\n") + "0\r\n\r\n", 200},
		{"trailers", whole + "0\r\nX-Get3w-Signature: 00\r\nContent-Encoding: gzip\r\n\r\n", 200},
		{"extension", strings.Replace(whole, "\r\n", ";a=b\r\n", 1) + "0;c\r\n\r\n", 200},
		{"endless", strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 4*limit/1024), 413},
		{"flood of extensions", strings.Repeat("1;"+strings.Repeat("e", 4000)+"\r\nx\r\n", 64), 400},
		{"endless extension", "1;" + strings.Repeat("e", limit) + "\r\nx\r\n", 400},
		{"long trailer", whole + "0\r\nX: " + strings.Repeat("t", limit) + "\r\n\r\n", 400},
		{"no number", "zz\r\nx\r\n0\r\n\r\n", 400},
		{"huge number", "fffffffffffffffff\r\nx\r\n", 400},
		{"no line break", "5\r\nhelloxx0\r\n\r\n", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, b)
			send(t, conn, head(t, "/webhooks/get3w", text, "Transfer-Encoding: chunked\r\n"))
			go func() { _, _ = io.WriteString(conn, c.sent) }() // the server may close before the end
			require.Equal(t, c.status, answerOn(t, conn).status)
			b.settled(t)
		})
	}
	require.Len(t, b.pub.published(), 3)
}

// Signed garbage is quarantined with its cause: never our fault.
func TestSignedGarbage(t *testing.T) {
	t.Parallel()
	const quarantined = -200 // a 200 that is no event's
	b := start(t, Config{})
	var unicode []rune // every character that a JSON string holds unescaped
	for r := rune(' '); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) && r != '"' && r != '\\' {
			unicode = append(unicode, r)
		}
	}
	half := len(unicode) / 2
	keys := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, `"%x":0,`, i)
		}
		return s.String()
	}
	const tail = `"id":"a","status":"failed"}`
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"half of Unicode as an error", `{"error":"` + string(unicode[:half]) + `",` + tail, 200},
		{"its other half", `{"error":"` + string(unicode[half:]) + `",` + tail, 200},
		{"some of it as a model", `{"model":"` + string(unicode[:2000]) + `",` + tail, quarantined},
		{"some of it as an id", `{"status":"` + string(unicode[200:216]) + `","id":"` + string(unicode[half:half+64]) + `"}`, 200},
		{"every byte", string(everyByte()), quarantined},
		{"10 MB", strings.Repeat("x", 10_000_000), 413},
		{"nested arrays", `{"x":` + strings.Repeat("[", 1<<20), quarantined},
		{"nested objects", strings.Repeat(`{"a":`, 1<<19) + "1" + strings.Repeat("}", 1<<19), quarantined},
		{"huge number", `{"timings":` + strings.Repeat("9", 1<<20) + `,` + tail, 200},
		{"huge exponent", `{"timings":1e999999999,"outputs":[1e999999999],` + tail, 200},
		{"200,000 keys", `{` + keys(200_000) + tail, 200},
		{"1,000,000 keys", `{` + keys(1_000_000) + tail, 413},
		{"the same key", `{"k":` + strings.Repeat(`{"k":`, 60) + `{"a":1,"a":2}` + strings.Repeat("}", 61), quarantined},
		{"200,000 outputs", `{"outputs":[` + strings.Repeat(`"https://x/?y",`, 200_000) + `1],` + tail, 200},
		{"NUL", "\x00", quarantined},
		{"byte order mark", "\xef\xbb\xbf{" + tail, quarantined},
		{"lone surrogate", `{"error":"\ud800",` + tail, quarantined},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := do(t, request(t, b.url+"/webhooks/get3w", c.body))
			want := c.status
			if want == quarantined {
				want = 200
				require.Equal(t, "quarantined", res.json["result"])
			}
			require.Equal(t, want, res.status, res.text)
		})
	}
	require.Zero(t, b.logs.FilterMessage("panic in a request").Len())
	b.settled(t)
}

func everyByte() []byte {
	out := make([]byte, 256)
	for i := range out {
		out[i] = byte(i)
	}
	return out
}

// The server does not wait for the rest of a body that is too large.
func TestTooLargeIsAnsweredBeforeItsEnd(t *testing.T) {
	b := start(t, Config{MaxBody: 1000, Deadline: maxDeadline})
	conn := dial(t, b)
	send(t, conn, head(t, "/webhooks/get3w", "", "Transfer-Encoding: chunked\r\n")+"400\r\n"+strings.Repeat("x", 1024))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(maxDeadline/2-time.Second)))
	res := answerOn(t, conn)
	require.Equal(t, 413, res.status)
	require.True(t, res.close)
}
