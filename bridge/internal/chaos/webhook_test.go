package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

func testWriter(t *testing.T, run string) *writer {
	t.Helper()
	w, err := newWriter(run, "127.0.0.1", "https://cdn.get3w.com/", time.Now())
	require.NoError(t, err)
	return w
}

// Every webhook is one that a bridge takes, of the kind that its number says, and
// the same each time.
func TestWebhooks(t *testing.T) {
	w := testWriter(t, "a")
	src, err := source.New(source.Config{Name: sourceName, Kind: "get3w", Secrets: [][]byte{[]byte(secret)}})
	require.NoError(t, err)
	statuses, largest, ids := map[string]int{}, 0, map[string]bool{}
	for n := range 500 {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(w.request(n))))
		require.NoError(t, err)
		body, err := io.ReadAll(request.Body)
		require.NoError(t, err)
		require.Equal(t, w.body(n), body)
		name, _ := w.sign(body)
		event, err := src.Accept(source.Delivery{Proof: bridge.Header{name: request.Header[name]}, Body: body, ReceivedAt: time.Now()})
		require.NoError(t, err)
		require.Equal(t, w.id(n), event.PredictionID)
		statuses[event.Status]++
		largest = max(largest, len(body))
		ids[event.ID] = true
		serial, ok := w.serial(event.PredictionID)
		require.True(t, ok)
		require.Equal(t, n, serial)
	}
	require.Len(t, ids, 500)
	require.Len(t, statuses, 3, "%v", statuses)
	require.Greater(t, largest, largeText)

	for _, id := range []string{testWriter(t, "b").id(1), w.id(1) + "x", "chaos_a_1", ""} {
		_, ok := w.serial(id)
		require.False(t, ok, id)
	}
}
