package bridge

import (
	"net/textproto"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

func testEvent() *Event {
	return &Event{
		ID:           NewEventID("pred_1", StatusCompleted, []byte(`["completed",["https://cdn/x.png"],null]`)),
		Source:       "get3w",
		Type:         "com.get3w.prediction.completed.v1",
		PredictionID: "pred_1",
		Model:        "get3w/flux-dev",
		Status:       StatusCompleted,
		RawStatus:    "completed",
		Origin:       OriginWebhook,
		Time:         time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC),
		ReceivedAt:   time.Date(2026, 1, 2, 3, 4, 6, 7, time.UTC),
		ContentType:  "application/json; charset=utf-8",
		Signature:    "00ff",
		TraceParent:  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Query:        map[string]string{"ref": "order 7 \"x\"\r\nNats-Rollup: all", "tenant": "é%"},
		Body:         []byte(`{"id":"pred_1"}`),
	}
}

func TestEventHeader(t *testing.T) {
	t.Parallel()
	e := testEvent()
	require.Equal(t, "pred_1/completed/80220a90bd2adbcf", e.ID)
	require.Equal(t, "get3w:pred_1/completed/80220a90bd2adbcf", e.MsgID())
	require.Equal(t, Header{
		"ce-specversion":        {"1.0"},
		"ce-id":                 {"pred_1/completed/80220a90bd2adbcf"},
		"ce-source":             {"/sources/get3w"},
		"ce-type":               {"com.get3w.prediction.completed.v1"},
		"ce-subject":            {"pred_1"},
		"ce-time":               {"2026-01-02T03:04:05.006Z"},
		"ce-datacontenttype":    {"application/json;%20charset=utf-8"},
		"ce-model":              {"get3w/flux-dev"},
		"ce-status":             {"completed"},
		"ce-rawstatus":          {"completed"},
		"ce-origin":             {"webhook"},
		"ce-receivedat":         {"2026-01-02T03:04:06.000000007Z"},
		"ce-signature":          {"00ff"},
		"traceparent":           {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"hookspan-query-ref":    {"order%207%20%22x%22%0D%0ANats-Rollup:%20all"},
		"hookspan-query-tenant": {"%C3%A9%25"},
	}, e.Header())

	got, err := DecodeEvent(e.Header(), e.Body)
	require.NoError(t, err)
	require.Equal(t, e, got)
}

// The CloudEvents SDK must be able to read the attributes.
func TestEventIsCloudEvent(t *testing.T) {
	t.Parallel()
	h := testEvent().Header()
	ce := event.New(h.Get("ce-specversion"))
	ce.SetID(h.Get("ce-id"))
	ce.SetSource(h.Get("ce-source"))
	ce.SetType(h.Get("ce-type"))
	ce.SetSubject(h.Get("ce-subject"))
	at, err := time.Parse(time.RFC3339, h.Get("ce-time"))
	require.NoError(t, err)
	ce.SetTime(at)
	ct, err := h.Value("ce-datacontenttype")
	require.NoError(t, err)
	require.NoError(t, ce.SetData(ct, testEvent().Body))
	for _, name := range []string{"model", "status", "rawstatus", "origin", "receivedat", "signature"} {
		ce.SetExtension(name, h.Get("ce-"+name))
	}
	require.NoError(t, ce.Validate())
}

func TestDecodeEventRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(Header){
		"no id":              func(h Header) { delete(h, "ce-id") },
		"no status":          func(h Header) { delete(h, "ce-status") },
		"foreign source":     func(h Header) { h["ce-source"] = []string{"/other/get3w"} },
		"other spec version": func(h Header) { h["ce-specversion"] = []string{"0.3"} },
		"bad time":           func(h Header) { h["ce-time"] = []string{"yesterday"} },
		"bad escape":         func(h Header) { h["ce-model"] = []string{"%zz"} },
		"cut escape":         func(h Header) { h["ce-model"] = []string{"a%2"} },
		"bad query escape":   func(h Header) { h["hookspan-query-ref"] = []string{"%"} },
		"canonicalised":      func(h Header) { h["Ce-Id"] = h["ce-id"]; delete(h, "ce-id") },
	} {
		h := testEvent().Header()
		change(h)
		_, err := DecodeEvent(h, nil)
		require.ErrorIs(t, err, ErrNotEvent, name)
	}
}

func TestRepublishKeepsAllowedHeadersOnly(t *testing.T) {
	t.Parallel()
	h := testEvent().Header()
	want := len(h)
	for _, key := range []string{
		"Nats-Msg-Id", "Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit", "Nats-Scheduler",
		"Nats-Schedule-Next", "Nats-Expected-Stream", "Nats-Rollup", "Nats-TTL", "Traceparent", "x",
	} {
		h[key] = []string{"1"}
	}
	require.Len(t, h.Republish(), want)
	require.Equal(t, testEvent().Header(), h.Republish())
}

func FuzzHeader(f *testing.F) {
	f.Add("pred_1", "a/b", "ref", "v")
	f.Add("a\nb", "a b", "ref", "\xff%00\"")
	f.Fuzz(func(t *testing.T, id, model, key, value string) {
		e := testEvent()
		e.ID, e.PredictionID, e.Model = id, id, model
		e.Query = map[string]string{textproto.TrimString(key): value}
		h := e.Header()
		for _, values := range h {
			for i := range len(values[0]) {
				if c := values[0][i]; c <= ' ' || c >= 0x7f || c == '"' {
					t.Fatalf("value %q is not printable ASCII", values[0])
				}
			}
		}
		got, err := DecodeEvent(h, e.Body)
		if id == "" {
			if err == nil {
				t.Fatal("an event without id is accepted")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != id || got.PredictionID != id || got.Model != model || got.Query[textproto.TrimString(key)] != value {
			t.Fatalf("%+v comes back as %+v", e, got)
		}
		if MsgID("a", id) == MsgID("a", id+"x") {
			t.Fatal("two ids give one message id")
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add("ce-model", "%41%4")
	f.Add("ce-time", "2026-01-02T03:04:05Z")
	f.Fuzz(func(t *testing.T, key, value string) {
		h := testEvent().Header()
		h[key] = []string{value}
		e, err := DecodeEvent(h, nil)
		if (e == nil) == (err == nil) {
			t.Fatalf("event %v with error %v", e, err)
		}
	})
}
