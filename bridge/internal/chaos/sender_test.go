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
	s := newSender(strings.TrimPrefix(server.URL, "http://"), schedule{gaps: []time.Duration{gap, 2 * gap, 3 * gap}, timeout: time.Second}, 8, 1000, testWriter(t, "a"), b)
	done := make(chan struct{})
	go func() { defer close(done); s.run(t.Context()) }()
	require.Eventually(t, func() bool { return b.snapshot().sent >= n }, time.Minute, time.Millisecond)
	s.finish()
	<-done
	return r, b
}

func TestSenderAbandonsAfterFourAttempts(t *testing.T) {
	r, b := sendSome(t, 30, func(w http.ResponseWriter, _ string, _ int) { w.WriteHeader(http.StatusServiceUnavailable) })
	c := b.snapshot()
	require.Equal(t, c.sent, c.abandoned)
	require.Zero(t, c.acknowledged)
	extra := 0
	for n := range c.sent {
		at := r.attempts[testWriter(t, "a").id(n)]
		if n%everyAtOnce == 1 {
			extra++
			require.Len(t, at, 5)
			continue
		}
		require.Len(t, at, 4)
		require.GreaterOrEqual(t, at[3].Sub(at[0]), 120*time.Millisecond, "the gaps are kept")
	}
	require.Equal(t, 4*c.sent+extra, c.refused["503"])
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
	require.Equal(t, c.sent, c.acknowledged)
	require.Zero(t, c.abandoned)
	require.Positive(t, c.duplicates, "some are sent again on purpose")
	require.Empty(t, b.strange)
}

func TestSenderWithoutBridge(t *testing.T) {
	b := newBook()
	port, err := freePort()
	require.NoError(t, err)
	s := newSender(fmt.Sprintf("127.0.0.1:%d", port), schedule{timeout: time.Second}, 4, 1000, testWriter(t, "a"), b)
	done := make(chan struct{})
	go func() { defer close(done); s.run(t.Context()) }()
	require.Eventually(t, func() bool { return b.snapshot().abandoned >= 10 }, time.Minute, time.Millisecond)
	s.finish()
	<-done
	c := b.snapshot()
	require.Equal(t, c.sent, c.abandoned)
	require.Positive(t, c.refused["no connection"])
}

// What waits for progress ends when there is none, and when it is interrupted.
func TestRecoveryIsMeasuredFromTheEndOfTheFault(t *testing.T) {
	b := newBook()
	b.begin()
	b.begin()
	before := time.Now()
	b.heal()
	b.acknowledge(0, "p", before.Add(-time.Second), answer{resultStored, "p/completed/1"})
	require.Zero(t, b.recovery, "it was sent before the fault ended")
	b.acknowledge(1, "q", time.Now(), answer{resultStored, "q/completed/1"})
	require.Positive(t, b.recovery)
	require.NoError(t, b.waitRecovered(t.Context()))
	require.NoError(t, b.waitAcknowledged(t.Context(), 2))
}
