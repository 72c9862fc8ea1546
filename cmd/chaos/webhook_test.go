package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
	"github.com/hookspan/hookspan/internal/signing"
)

func testWriter(run string) *writer {
	return &writer{prefix: "chaos_" + run + "_", outputs: "https://cdn.get3w.com/", completed: func(int) time.Time { return time.Unix(1e9, 0) }}
}

// Every webhook is signed, of the kind that its number says, and the same each time.
func TestWebhooks(t *testing.T) {
	w := testWriter("a")
	statuses, largest := map[string]int{}, 0
	for n := range 500 {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(w.request(n))))
		require.NoError(t, err)
		body, err := io.ReadAll(request.Body)
		require.NoError(t, err)
		require.Equal(t, w.body(n), body)
		require.True(t, signing.Verify(request.Header.Get(signing.Header), body, []byte(rig.Secret)))
		var hook sending.Webhook
		require.NoError(t, json.Unmarshal(body, &hook))
		require.Equal(t, w.id(n), hook.ID)
		statuses[hook.Status]++
		largest = max(largest, len(body))
		serial, ok := w.serial(hook.ID)
		require.True(t, ok)
		require.Equal(t, n, serial)
	}
	require.Len(t, statuses, 3, "%v", statuses)
	require.Greater(t, largest, largeText)

	for _, id := range []string{testWriter("b").id(1), w.id(1) + "x", "chaos_a_1", ""} {
		_, ok := w.serial(id)
		require.False(t, ok, id)
	}
}
