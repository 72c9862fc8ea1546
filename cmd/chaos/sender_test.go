package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/sending"
)

// receiver counts the attempts for each body and answers as it is told.
type receiver struct {
	mu       sync.Mutex
	attempts map[string][]time.Time
	answer   func(w http.ResponseWriter, id string, attempt int)
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	var fields struct{ ID string }
	_ = json.Unmarshal(body, &fields)
	r.mu.Lock()
	r.attempts[fields.ID] = append(r.attempts[fields.ID], time.Now())
	attempt := len(r.attempts[fields.ID])
	r.mu.Unlock()
	r.answer(w, fields.ID, attempt)
}

func say(w http.ResponseWriter, result, id string) {
	_, _ = fmt.Fprintf(w, `{"result":%q,"id":"%s/completed/1"}`, result, id)
}

// sendSome sends until at least n webhooks were begun.
func sendSome(t *testing.T, n int, answer func(w http.ResponseWriter, id string, attempt int)) (*receiver, *book) {
	t.Helper()
	r := &receiver{attempts: map[string][]time.Time{}, answer: answer}
	server := httptest.NewServer(r)
	defer server.Close()
	b := newBook()
	gap := 20 * time.Millisecond
	s := &sender{schedule: sending.Schedule{Gaps: []time.Duration{gap, 2 * gap, 3 * gap}, Timeout: time.Second}, rate: 1000, writer: testWriter("a"), book: b}
	s.start(t.Context(), strings.TrimPrefix(server.URL, "http://"), 8)
	require.Eventually(t, func() bool { return b.snapshot().Sent >= n }, time.Minute, time.Millisecond)
	s.rest()
	return r, b
}

func TestSenderAbandonsAfterFourAttempts(t *testing.T) {
	r, b := sendSome(t, 30, func(w http.ResponseWriter, _ string, _ int) { w.WriteHeader(http.StatusServiceUnavailable) })
	c := b.snapshot()
	require.Equal(t, c.Sent, c.Abandoned)
	require.Zero(t, c.Acknowledged)
	extra := 0
	for n := range c.Sent {
		at := r.attempts[testWriter("a").id(n)]
		if n%everyAtOnce == 1 {
			extra++
			require.Len(t, at, 5)
			continue
		}
		require.Len(t, at, 4)
		require.GreaterOrEqual(t, at[3].Sub(at[0]), 120*time.Millisecond, "the gaps are kept")
	}
	require.Equal(t, 4*c.Sent+extra, c.RefusedBy["503"])
}

func TestSenderTriesAgainUntilAcknowledged(t *testing.T) {
	_, b := sendSome(t, 50, func(w http.ResponseWriter, id string, attempt int) {
		switch {
		case attempt < 4:
			w.WriteHeader(http.StatusServiceUnavailable)
		case attempt == 4:
			say(w, resultStored, id)
		default:
			say(w, resultDuplicate, id)
		}
	})
	c := b.snapshot()
	require.Equal(t, c.Sent, c.Acknowledged)
	require.Zero(t, c.Abandoned)
	require.Positive(t, c.Duplicates, "some are sent again on purpose")
	require.Empty(t, b.strange)
}

func TestSenderWithoutBridge(t *testing.T) {
	b := newBook()
	s := &sender{schedule: sending.Schedule{Timeout: time.Second}, rate: 1000, writer: testWriter("a"), book: b}
	s.start(t.Context(), fmt.Sprintf("127.0.0.1:%d", rig.FreePort()), 4)
	require.Eventually(t, func() bool { return b.snapshot().Abandoned >= 10 }, time.Minute, time.Millisecond)
	s.rest()
	c := b.snapshot()
	require.Equal(t, c.Sent, c.Abandoned)
	require.Positive(t, c.RefusedBy["no connection"])
}

// The time to recover counts from the end of the fault to an answer to what was sent later.
func TestRecoveryIsMeasuredFromTheEndOfTheFault(t *testing.T) {
	b := newBook()
	b.begin()
	b.begin()
	before := time.Now()
	b.heal()
	b.acknowledge(0, "p", before.Add(-time.Second), resultStored, "p/completed/1")
	require.Zero(t, b.recovery, "it was sent before the fault ended")
	require.False(t, b.healthy())
	b.acknowledge(1, "q", time.Now(), resultStored, "q/completed/1")
	require.Positive(t, b.recovery)
	require.True(t, b.healthy())
}
