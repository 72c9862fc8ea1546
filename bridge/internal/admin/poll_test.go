package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// statesOf knows predictions by their ids.
type statesOf struct {
	silent

	states map[string]*bridge.PredictionState
}

func (s statesOf) Prediction(_ context.Context, _, id string) (*bridge.PredictionState, error) {
	if state := s.states[id]; state != nil {
		return state, nil
	}
	return nil, bridge.ErrNotFound
}

func (statesOf) Behind() bool { return false }

// pollsOf answers polls.
type pollsOf struct {
	polled adminapi.Polled
	err    error
	states []*bridge.PredictionState
}

func (p *pollsOf) Poll(_ context.Context, _, _ string, state *bridge.PredictionState) (adminapi.Polled, error) {
	p.states = append(p.states, state)
	return p.polled, p.err
}

func TestAPersonPolls(t *testing.T) {
	t.Parallel()
	open := &bridge.PredictionState{Source: "get3w", ID: "open", Status: bridge.StatusProcessing}
	known := statesOf{states: map[string]*bridge.PredictionState{
		"open": open, "ended": {Source: "get3w", ID: "ended", Status: bridge.StatusCompleted},
	}}
	p, s := &pollsOf{}, start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterPoll(api, known, p) })
	call := func(id string) answer {
		return do(t, s, http.MethodPost, "/api/v1/poll", `{"source":"get3w","prediction":"`+id+`"}`, asJSON)
	}
	p.polled = adminapi.Polled{Result: adminapi.PollEnded, Said: "completed", Stored: bridge.Stored, ID: "open/completed/1"}
	a := call("open")
	require.Equal(t, 200, a.status, a.body)
	require.JSONEq(t, `{"result":"ended","said":"completed","stored":"stored","id":"open/completed/1"}`, a.body)
	p.polled = adminapi.Polled{Result: adminapi.PollNotFound}
	require.JSONEq(t, `{"result":"not_found"}`, call("unknown").body)
	require.Equal(t, []*bridge.PredictionState{open, nil}, p.states)

	require.Contains(t, call("ended").detail(t), "has ended already")
	require.Equal(t, 409, call("ended").status)
	require.Len(t, p.states, 2, "nobody was asked")
	for _, body := range []string{`{}`, `{"source":"get3w"}`, `{"source":"A","prediction":"a"}`, `{"source":"get3w","prediction":"` + strings.Repeat("x", 257) + `"}`} {
		require.Equal(t, 400, do(t, s, http.MethodPost, "/api/v1/poll", body, asJSON).status, "%.60s", body)
	}
	for status, err := range map[int]error{
		404: fmt.Errorf("source: %w", adminapi.ErrNoSource), 413: bridge.ErrTooLarge, 500: fmt.Errorf("a fault"),
		502: &adminapi.Refusal{Status: 502, Detail: "The provider said no."}, 503: fmt.Errorf("storing: %w", bridge.ErrFull),
	} {
		p.err = err
		require.Equal(t, status, call("open").status, err)
	}
	p.err = &adminapi.Refusal{Status: 503, Detail: "Later.", RetryAfter: 90*time.Second + 1}
	a = call("open")
	require.Equal(t, "Later.", a.detail(t))
	require.Equal(t, "91", a.header.Get("Retry-After"))
}

func TestATestEventIsSent(t *testing.T) {
	t.Parallel()
	var err error
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) {
		admin.RegisterTestEvents(api, func(_ context.Context, source string) (adminapi.TestEvent, error) {
			return adminapi.TestEvent{Source: source, Prediction: "test_1", Result: bridge.Stored, ID: "test_1/completed/2"}, err
		})
	})
	call := func(body string) answer { return do(t, s, http.MethodPost, "/api/v1/test-events", body, asJSON) }
	require.JSONEq(t, `{"source":"get3w","prediction":"test_1","result":"stored","id":"test_1/completed/2"}`, call(`{"source":"get3w"}`).body)
	require.Equal(t, 400, call(`{}`).status)
	err = adminapi.ErrNoSource
	require.Equal(t, 404, call(`{"source":"get3w"}`).status)
	for _, status := range []int{409, 502} {
		err = &adminapi.Refusal{Status: status, Detail: "No."}
		require.Equal(t, status, call(`{"source":"get3w"}`).status)
	}
}
