package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func kept() *KeptDelivery {
	w := &KeptDelivery{
		Source: "get3w", Cause: "no_id", Detail: "\"id\" is missing\nor empty — é", ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		RemoteAddr: "2001:db8::1", RequestID: "ABC", ContentType: "application/json; charset=utf-8", TraceParent: "00-a-b-01",
		Body: []byte("{}\x00\xff"), BodyBytes: 4,
	}
	w.AddProof("X-Get3w-Signature", []string{"aa", "b b"})
	w.AddHeader("User-Agent", []string{"curl 8\r\nEvil: yes", "%41"})
	w.AddHeader("Nats-Msg-Id", []string{"mine"})
	w.AddQuery("ref", "a b")
	return w
}

func TestKeptRoundTrip(t *testing.T) {
	t.Parallel()
	w := kept()
	h := w.Message()
	for key, values := range h {
		require.True(t, strings.HasPrefix(key, "hookspan-") || strings.HasPrefix(key, "ce-") || key == "traceparent", key)
		require.NotContains(t, strings.Join(values, ""), "\n")
	}
	got, err := DecodeKept(h, w.Body)
	require.NoError(t, err)
	require.Equal(t, w, got)
	require.Equal(t, w.MsgID(), got.MsgID())
}

// A retry is the same delivery; another proof or body makes another one.
func TestKeptMsgID(t *testing.T) {
	t.Parallel()
	base := kept().MsgID()
	same := kept()
	same.ReceivedAt, same.RequestID, same.RemoteAddr, same.Cause, same.Detail = time.Now(), "other", "192.0.2.1", "stale", "x"
	same.Header = Header{"Date": {"now"}}
	require.Equal(t, base, same.MsgID())
	for name, change := range map[string]func(*KeptDelivery){
		"source":       func(w *KeptDelivery) { w.Source = "other" },
		"body":         func(w *KeptDelivery) { w.Body = []byte("{}") },
		"signature":    func(w *KeptDelivery) { w.Proof["X-Get3w-Signature"][0] = "ab" },
		"values":       func(w *KeptDelivery) { w.Proof["X-Get3w-Signature"] = []string{"aab b"} },
		"no signature": func(w *KeptDelivery) { w.Proof = nil },
		"query":        func(w *KeptDelivery) { w.Query["ref"] = "b" },
	} {
		w := kept()
		change(w)
		require.NotEqual(t, base, w.MsgID(), name)
	}
}

// The header of any kept request stays under the server's limit of 64 KiB.
func TestKeptIsBounded(t *testing.T) {
	t.Parallel()
	w := kept()
	w.Detail = strings.Repeat("\xff\n", 1<<20)
	w.ContentType = strings.Repeat("é", 1<<20)
	w.RemoteAddr, w.RequestID = strings.Repeat("x", 1<<20), strings.Repeat(" ", 1<<20)
	for i := range 200 {
		w.AddHeader(fmt.Sprintf("X-%d", i), []string{strings.Repeat("\n", 100), ""})
	}
	w.AddHeader("X-Huge", []string{strings.Repeat("a", 1<<20)})
	require.LessOrEqual(t, len(w.Header), maxKeptHeaders)
	require.Equal(t, 203-len(w.Header), w.HeadersCut)
	require.False(t, w.Truncated)
	for i := range 20 {
		w.AddProof(fmt.Sprintf("P-%d", i), []string{strings.Repeat("\n", 200)})
		w.AddQuery(fmt.Sprintf("q%d", i), strings.Repeat("v", 1000))
	}
	w.AddQuery("long", strings.Repeat(" ", 1000))
	require.True(t, w.Truncated)
	size := 0
	h := w.Message()
	for key, values := range h {
		for _, v := range values {
			size += len(key) + len(v) + 4
		}
	}
	require.Less(t, size, 48<<10)
	got, err := DecodeKept(h, w.Body)
	require.NoError(t, err)
	require.Equal(t, h, got.Message())
}

func TestDecodeKeptRefuses(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{
		"hookspan-source":      "",
		"hookspan-cause":       "",
		"hookspan-detail":      "%zz",
		"ce-receivedat":        "yesterday",
		"hookspan-body-bytes":  "-1",
		"hookspan-proof-x":     "%1",
		"hookspan-header-x":    "%1",
		"hookspan-headers-cut": "many",
	} {
		h := kept().Message()
		h[key] = []string{value}
		_, err := DecodeKept(h, nil)
		require.ErrorIs(t, err, errNotKept, key)
		require.ErrorContains(t, err, key)
	}
}

// Decoding and encoding gives the same message, whatever was on the wire.
func FuzzDecodeKept(f *testing.F) {
	for key, values := range kept().Message() {
		f.Add(key, values[0], []byte("{}"))
	}
	f.Add("hookspan-header-x y", "\n", []byte{})
	f.Fuzz(func(t *testing.T, key, value string, body []byte) {
		h := kept().Message()
		h[key] = append(h[key], value)
		w, err := DecodeKept(h, body)
		if err != nil {
			require.ErrorIs(t, err, errNotKept)
			return
		}
		again, err := DecodeKept(w.Message(), body)
		require.NoError(t, err)
		require.Equal(t, w.Message(), again.Message())
		require.Equal(t, w.MsgID(), again.MsgID())
	})
}
