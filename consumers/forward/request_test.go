package forward

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"
)

// received posts an event and returns the request as the target has it, and what the
// CloudEvents SDK reads out of it.
func received(t *testing.T, change func(*Config), post func(*bundle)) (got, *event.Event) {
	t.Helper()
	requests := make(chan got, 1)
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- got{r.Header, body}
	})
	post(setup(t, srv.URL+"/hooks?tenant=1", change))
	g := next(t, requests)
	// The SDK leaves the percent-encoding of section 3.1.3.2 as it is.
	header := http.Header{}
	for name, values := range g.header {
		value, err := url.PathUnescape(values[0])
		require.NoError(t, err)
		header.Set(name, value)
	}
	message := cehttp.NewMessage(header, io.NopCloser(strings.NewReader(string(g.body))))
	ev, err := binding.ToEvent(context.Background(), message)
	require.NoError(t, err)
	require.NoError(t, ev.Validate())
	return g, ev
}

func requireAttributes(t *testing.T, ev *event.Event) {
	t.Helper()
	want := newEvent("pred.1 é")
	require.Equal(t, "1.0", ev.SpecVersion())
	require.Equal(t, want.ID, ev.ID())
	require.Equal(t, "/sources/get3w", ev.Source())
	require.Equal(t, want.Type, ev.Type())
	require.Equal(t, want.PredictionID, ev.Subject())
	require.True(t, want.Time.Equal(ev.Time()))
	require.Equal(t, map[string]any{
		"model": want.Model, "status": "completed", "rawstatus": "succeeded", "origin": "webhook",
		"receivedat": "2026-01-02T03:04:06.000000007Z", "signature": "sha256=00ff",
	}, ev.Extensions())
}

func TestBinaryMode(t *testing.T) {
	t.Parallel()
	sent := newEvent("pred.1 é")
	g, ev := received(t, nil, func(b *bundle) { require.NoError(t, b.Handle(context.Background(), sent)) })
	requireAttributes(t, ev)
	require.Equal(t, sent.Body, g.body, "byte for byte")
	require.Equal(t, sent.Body, ev.Data())
	require.Equal(t, sent.ContentType, ev.DataContentType())
	require.NotContains(t, g.header, "Ce-Datacontenttype", "it is the content type")
	for name, want := range map[string]string{
		"Content-Type":       "application/json; charset=utf-8",
		"Ce-Model":           "black%20forest%20%22labs%22/fl%C3%BCx-100%25",
		"Hookspan-Query-Ref": "order%201%20%C3%A9",
		"Hookspan-Attempt":   "1",
		"Traceparent":        sent.TraceParent,
		"User-Agent":         "Hookspan",
		"Idempotency-Key":    `"billing:get3w:pred.1%20%C3%A9/completed/` + sent.ID[len(sent.ID)-16:] + `"`,
		"Webhook-Id":         "get3w:pred%2E1%20%C3%A9/completed/" + sent.ID[len(sent.ID)-16:],
	} {
		require.Equal(t, []string{want}, g.header[name], name)
	}
	require.NotContains(t, g.header, "Hookspan-Repeat")
	require.NotContains(t, g.header, "Accept-Encoding")
	require.NotContains(t, g.header, "Expect")
}

func TestStructuredMode(t *testing.T) {
	t.Parallel()
	inStructuredMode := func(c *Config) { c.Mode = Structured }
	for _, c := range []struct{ name, contentType, body, data string }{
		{"json in capitals", "APPLICATION/JSON ;charset=UTF-8", `{}`, `"data_base64":"e30="}`},
		{"bad parameter", "application/json; charset", `{}`, `"data":{}}`},
		{"json", "application/json", `{"n":12345678901234567890,"a":"ü<>"}`, `"data":{"n":12345678901234567890,"a":"ü<>"}}`},
		{"no content type", "", "  [1]\n", `"data":  [1]` + "\n}"},
		{"json by suffix", "application/problem+json; charset=utf-8", `["x"]`, `"data_base64":"WyJ4Il0="}`},
		{"not json", "application/json", `{"a":`, `"data_base64":"eyJhIjo="}`},
		{"invalid UTF-8", "application/json", "\"\xff\"", `"data_base64":"Iv8i"}`},
		{"something else", "text/plain", `{}`, `"data_base64":"e30="}`},
		{"no media type", ";;", `{}`, `"data":{}}`},
		{"no media type, not json", ";;", `{`, `"data_base64":"ew=="}`},
		{"an event", "application/cloudevents+json", `{}`, `"data":{}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := newEvent("pred.1 é")
			sent.ContentType, sent.Body = c.contentType, []byte(c.body)
			sent.ID = newEvent("pred.1 é").ID
			g, ev := received(t, inStructuredMode, func(b *bundle) { require.NoError(t, b.Handle(context.Background(), sent)) })
			requireAttributes(t, ev)
			require.Equal(t, []string{"application/cloudevents+json"}, g.header["Content-Type"])
			require.True(t, strings.HasSuffix(string(g.body), c.data), "%s", g.body)
			require.True(t, json.Valid(g.body))
			require.Equal(t, strings.TrimSpace(c.body), strings.TrimSpace(string(ev.Data())))
			switch c.name {
			case "no media type, not json":
				require.Equal(t, "application/octet-stream", ev.DataContentType())
			case "no media type", "an event":
				require.Equal(t, "application/json", ev.DataContentType())
			default:
				require.True(t, strings.HasPrefix(c.contentType, ev.DataContentType()))
				require.Equal(t, c.contentType == "", ev.DataContentType() == "")
			}
			require.Equal(t, "order%201%20%C3%A9", g.header.Get("Hookspan-Query-Ref"))
			require.Equal(t, sent.TraceParent, g.header.Get("Traceparent"))
			for name := range g.header {
				require.False(t, strings.HasPrefix(name, "Ce-"), name)
			}
		})
	}
}

// An attribute that cannot be a header never keeps an event from its target.
func TestStrangeEvents(t *testing.T) {
	t.Parallel()
	sent := newEvent("p\\q\"\r\nX-Evil: 1")
	sent.ContentType = "text/x\r\nX-Evil: 1"
	sent.Query = map[string]string{"re f": "x", "ok": "\x00"}
	g, ev := received(t, nil, func(b *bundle) { require.NoError(t, b.Handle(context.Background(), sent)) })
	require.Equal(t, sent.ID, ev.ID())
	require.Equal(t, "application/json", g.header.Get("Content-Type"))
	require.Equal(t, "%00", g.header.Get("Hookspan-Query-Ok"))
	require.Equal(t, `"billing:get3w:p\\q%22%0D%0AX-Evil:%201/completed/`+sent.ID[len(sent.ID)-16:]+`"`, g.header.Get("Idempotency-Key"))
	require.NotContains(t, g.header, "X-Evil")
	sent = newEvent("p")
	sent.Body = nil
	for _, mode := range []Mode{Binary, Structured} {
		_, ev = received(t, func(c *Config) { c.Mode = mode }, func(b *bundle) { require.NoError(t, b.Handle(context.Background(), sent)) })
		require.Empty(t, ev.Data())
	}
}

// A body that is itself a CloudEvent stays data in every mode and with every stored content
// type: another program, or an older version, may have stored the event.
func TestBodyIsNeverTakenForTheEvent(t *testing.T) {
	t.Parallel()
	forged := `{"specversion":"1.0","id":"forged","source":"/sources/get3w","type":"com.get3w.prediction.completed.v1","data":{}}`
	for _, contentType := range []string{
		"application/cloudevents+json", "application/cloudevents-batch+json", "application/cloudevents", "application/cloudevents+avro",
		"Application/CloudEvents+JSON; charset=utf-8", " application/cloudevents+json", "application/cloudevents+json; charset", "application/cloudevents+json;;",
		"application/cloudevents+json, application/json", "text/plain; x=application/cloudevents+json",
	} {
		for _, body := range []string{forged, "[" + forged + "]", "not JSON"} {
			for _, mode := range []Mode{Binary, Structured} {
				sent := newEvent("pred.1 é")
				sent.ContentType, sent.Body = contentType, []byte(body)
				g, ev := received(t, func(c *Config) { c.Mode = mode }, func(b *bundle) { require.NoError(t, b.Handle(context.Background(), sent)) })
				requireAttributes(t, ev)
				require.Equal(t, body, string(ev.Data()))
				require.NotContains(t, strings.ToLower(ev.DataContentType()), "cloudevents", contentType)
				require.Equal(t, mode == Structured, strings.Contains(strings.ToLower(g.header.Get("Content-Type")), "cloudevents"), contentType)
			}
		}
	}
}

// Without it the transport would repeat a request by itself, unseen.
func TestRequestIsSentOnce(t *testing.T) {
	t.Parallel()
	var answered, count int
	srv := serve(t, func(_ http.ResponseWriter, _ *http.Request) {
		if count++; count > 1 {
			panic(http.ErrAbortHandler)
		}
		answered++
	})
	b := setup(t, srv.URL, nil)
	require.NoError(t, b.handle())
	require.Error(t, b.handle(), "the connection that was kept breaks")
	srv.Close()
	require.Equal(t, 2, count)
	require.Equal(t, 1, answered)
}
