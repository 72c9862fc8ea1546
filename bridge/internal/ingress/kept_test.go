package ingress

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// An unusable delivery is answered 200 only when it is kept: a retry could not help, and
// nothing is lost.
func TestQuarantined(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	const text = `{"status":"failed","n":1.0}` + "\n"
	r := request(t, b.url+"/webhooks/get3w?ref=order%207&other=x", text)
	r.Header.Set("User-Agent", "Get3W/3")
	before := time.Now()
	res := do(t, r)
	require.Equal(t, 200, res.status)
	require.Equal(t, map[string]any{"result": "quarantined", "cause": "no_id"}, res.json)
	require.Empty(t, b.pub.published())
	kept, refused := b.keep.all()
	require.Empty(t, refused)
	require.Len(t, kept, 1)
	w := kept[0]
	require.Equal(t, "get3w", w.Source)
	require.Equal(t, "no_id", w.Cause)
	require.Contains(t, w.Detail, "the id is missing")
	require.WithinRange(t, w.ReceivedAt, before, time.Now())
	require.Equal(t, "127.0.0.1", w.RemoteAddr)
	require.Equal(t, res.header.Get("X-Request-Id"), w.RequestID)
	require.Equal(t, "application/json", w.ContentType)
	require.Equal(t, bridge.Header{"X-Get3w-Signature": r.Header["X-Get3w-Signature"]}, w.Proof)
	require.Equal(t, []string{"Get3W/3"}, w.Header["User-Agent"])
	require.Equal(t, []string{strings.TrimPrefix(b.url, "http://")}, w.Header["Host"])
	require.Equal(t, map[string]string{"ref": "order 7"}, w.Query)
	require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`, w.TraceParent)
	require.Equal(t, text, string(w.Body)) //nolint:testifylint // byte for byte, not JSON for JSON
	require.EqualValues(t, len(text), w.BodyBytes)
	require.False(t, w.Truncated)
	line := b.logged(t, 1)
	require.Equal(t, "quarantined", line["result"])
	require.Equal(t, "no_id", line["cause"])
}

// The quarantine's error decides, also when it kept the delivery before it failed.
func TestWithoutQuarantineNothingIsAccepted(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{bridge.ErrFull, bridge.ErrUnavailable, bridge.ErrUnknown} {
		b := start(t, Config{})
		b.keep.answer = func(context.Context, *bridge.KeptDelivery) (bridge.Receipt, error) {
			return bridge.Receipt{Result: bridge.Quarantined}, fmt.Errorf("keeping: %w", failure)
		}
		res := do(t, request(t, b.url+"/webhooks/get3w", `{}`))
		require.Equal(t, 503, res.status)
		require.Equal(t, "10", res.header.Get("Retry-After"))
		require.NotContains(t, res.text, "quarantined")
	}
}

func TestKeepIsGivenTheDeadline(t *testing.T) {
	b := start(t, Config{Deadline: 200 * time.Millisecond})
	b.keep.answer = func(ctx context.Context, _ *bridge.KeptDelivery) (bridge.Receipt, error) {
		<-ctx.Done()
		return bridge.Receipt{}, fmt.Errorf("%w: %w", bridge.ErrUnknown, ctx.Err())
	}
	require.Equal(t, 503, do(t, request(t, b.url+"/webhooks/get3w", `{}`)).status)
}

func TestRefusedIsKeptWithItsDiagnosis(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	r := request(t, b.url+"/webhooks/get3w", body("pred_1"))
	r.Header.Set("X-Get3w-Signature", "sha256="+r.Header.Get("X-Get3w-Signature"))
	res := do(t, r)
	require.Equal(t, 401, res.status)
	require.NotContains(t, res.text, "sha256")
	require.NotContains(t, res.text, "signature_prefix")
	_, refused := b.keep.all()
	require.Len(t, refused, 1)
	require.Equal(t, "signature_prefix", refused[0].Cause)
	require.Equal(t, body("pred_1"), string(refused[0].Body))
	require.Equal(t, r.Header["X-Get3w-Signature"], refused[0].Proof["X-Get3w-Signature"])

	require.Equal(t, 401, do(t, request(t, b.url+"/webhooks/mute", body("pred_1"))).status)
	_, refused = b.keep.all()
	require.Equal(t, "no_secret", refused[1].Cause)
}

func TestWrongPathTokenIsKept(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	const mistyped = "path-token-that-is-nearly-right"
	for _, path := range []string{"", "/" + mistyped} {
		r := request(t, b.url+"/webhooks/guarded"+path, body("pred_1"))
		r.Header.Set("X-Original-Uri", "/webhooks/guarded/"+mistyped)
		require.Equal(t, 401, do(t, r).status)
		_, refused := b.keep.all()
		w := refused[len(refused)-1]
		require.Equal(t, bridge.CausePathToken, w.Cause)
		require.Equal(t, body("pred_1"), string(w.Body))
		if path != "" {
			require.Equal(t, []string{"[cut]"}, w.Header["X-Original-Uri"])
		}
	}
	require.Empty(t, b.pub.published(), "the signature alone is not enough")

	conn := dial(t, b)
	_, err := io.WriteString(conn, "POST /webhooks/guarded/wrong HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, 401, answerOn(t, conn).status)
	_, refused := b.keep.all()
	require.True(t, refused[2].Truncated)
	require.EqualValues(t, 20, refused[2].BodyBytes)
}

// The ring holds little of undiagnosed headers, however long they are.
func TestProofIsClippedUntilItIsDiagnosed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 60<<10)
	got := clipped(bridge.Header{"A": {long}, "B": {"1", "2", "3"}, "C": {"short"}})
	require.Equal(t, bridge.Header{"A": {long[:bridge.MaxSignature]}, "B": {"1", "2"}, "C": {"short"}}, got)
	b := start(t, Config{})
	r := request(t, b.url+"/webhooks/get3w", body("pred_1"))
	r.Header.Set("X-Get3w-Signature", long)
	require.Equal(t, 401, do(t, r).status)
	_, refused := b.keep.all()
	require.Equal(t, "wrong_length", refused[0].Cause)
	require.Less(t, refused[0].HeaderBytes(), bridge.MaxKeptHeaderBytes)
}

// No secret gets into kept deliveries, wherever a request has it: the end of every test
// here searches for them in kept deliveries and the log.
func TestSecretsAreCut(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	r := request(t, b.url+"/webhooks/guarded/"+token, `{}`)
	hidden := map[string]string{
		"Authorization": "Bearer x", "Proxy-Authorization": "Basic y", "Cookie": "a=b", "X-Api-Key": "k", "X-Functions-Key": "f", "X-Auth-Token": "t",
		"X-Original-Uri": "/webhooks/guarded/" + token, "Referer": "https://x/?s=" + secret, "X-Signature": secret,
	}
	for name, value := range hidden {
		r.Header.Set(name, value)
	}
	r.Header.Set("Accept", "text/plain")
	require.Equal(t, 200, do(t, r).status)
	kept, _ := b.keep.all()
	require.Len(t, kept, 1)
	for name := range hidden {
		require.Equal(t, []string{"[cut]"}, kept[0].Header[name], name)
	}
	require.Equal(t, []string{"text/plain"}, kept[0].Header["Accept"])

	// The secret instead of a signature, and in the query.
	r = request(t, b.url+"/webhooks/get3w?ref="+secret, `{}`)
	r.Header.Set("X-Get3w-Signature", secret)
	r.Header.Set("Content-Type", secret)
	require.Equal(t, 401, do(t, r).status)
	_, refused := b.keep.all()
	require.Equal(t, []string{"[cut]"}, refused[0].Proof["X-Get3w-Signature"])
	require.True(t, refused[0].Truncated, "its query is not what came")
}

func TestTooLargeIsKeptInPart(t *testing.T) {
	t.Parallel()
	b := start(t, Config{MaxBody: 200 << 10})
	text := body(strings.Repeat("x", 300<<10))
	for _, chunked := range []bool{false, true} {
		r := request(t, b.url+"/webhooks/get3w", text)
		if chunked {
			r.ContentLength = -1
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			continue // the server closed the connection before the rest was sent
		}
		require.Equal(t, 413, read(t, res).status)
	}
	require.NoError(t, b.stop())
	_, refused := b.keep.all()
	require.Len(t, refused, 2)
	for _, w := range refused {
		require.Equal(t, "too_large", w.Cause)
		require.Equal(t, text[:64<<10], string(w.Body))
		require.LessOrEqual(t, cap(w.Body), 80<<10)
		require.Greater(t, w.BodyBytes, int64(200<<10-1))
		require.True(t, w.Truncated)
	}
}

// A sender that waits for 100 Continue is refused before it sends too much.
func TestTooLargeIsNotAskedFor(t *testing.T) {
	t.Parallel()
	b := start(t, Config{MaxBody: 1000})
	conn := dial(t, b)
	_, err := io.WriteString(conn, "POST /webhooks/get3w HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, 413, answerOn(t, conn).status)
	_, refused := b.keep.all()
	require.Len(t, refused, 1)
	require.Empty(t, refused[0].Body)
	require.EqualValues(t, 2000, refused[0].BodyBytes)
}

// A body that is announced as too large is refused, however little of it comes.
func TestTooLargeAndSlow(t *testing.T) {
	b := start(t, Config{MaxBody: 1000, Deadline: 200 * time.Millisecond})
	conn := dial(t, b)
	_, err := io.WriteString(conn, "POST /webhooks/get3w HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\nabc")
	require.NoError(t, err)
	require.Equal(t, 413, answerOn(t, conn).status)
	_, refused := b.keep.all()
	require.Equal(t, "abc", string(refused[0].Body))
}

func TestUnknownSourceRaisesOneAlarm(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for i := range 30 {
		require.Equal(t, 404, do(t, request(t, fmt.Sprintf("%s/webhooks/getw-%d", b.url, i), `{}`)).status)
	}
	require.NoError(t, b.stop())
	require.Len(t, b.keep.alarms, 1)
	require.Equal(t, bridge.AlarmUnknownSource, b.keep.alarms[0].Kind)
	require.Contains(t, b.keep.alarms[0].Text, `"getw-0"`)
	require.Empty(t, b.keep.alarms[0].Subject, "whoever posts chooses the names")
}

// A flood of forgeries does not flood the log, which counts the suppressed lines.
func TestFloodWritesFewLines(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	for range 200 {
		r := request(t, b.url+"/webhooks/get3w", `{}`)
		r.Header.Del("X-Get3w-Signature")
		require.Equal(t, 401, do(t, r).status)
	}
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("pred_1"))).status)
	require.NoError(t, b.stop())
	lines := b.logs.FilterMessage("request").All()
	require.Less(t, len(lines), 100)
	require.Equal(t, "stored", lines[len(lines)-1].ContextMap()["result"], "what is accepted is always said")

	q := &quiet{}
	now := time.Now()
	written := 0
	for range 1000 {
		if _, ok := q.allow(401, "not_authentic", now); ok {
			written++
		}
	}
	require.Equal(t, linesAtOnce, written)
	for _, c := range []struct {
		status int
		cause  string
	}{{200, ""}, {500, "internal"}, {503, "unavailable"}, {404, "unknown_source"}, {503, "busy"}} {
		_, ok := q.allow(c.status, c.cause, now)
		require.True(t, ok, c)
	}
	leftOut, ok := q.allow(401, "not_authentic", now.Add(2*time.Second))
	require.True(t, ok)
	require.Equal(t, 1000-linesAtOnce, leftOut)
}

// With problems alone in the log, what was accepted and became an event has no line.
func TestOnlyProblemsAreLogged(t *testing.T) {
	t.Parallel()
	b := start(t, Config{LogProblemsOnly: true})
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", `{"id":"pred_1","status":"failed"}`)).status)
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", `{}`)).status)
	require.Equal(t, 404, do(t, request(t, b.url+"/webhooks/nobody", `{}`)).status)
	require.Equal(t, 404, int(b.logged(t, 2)["status"].(int64)))
	require.Equal(t, "quarantined", b.logs.FilterMessage("request").All()[0].ContextMap()["result"])
}
