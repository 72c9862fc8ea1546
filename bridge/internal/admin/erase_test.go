package admin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestEraseAPI(t *testing.T) {
	b := streamtest.Start(t, streamtest.Config())
	pub := b.Publisher()
	eraser := erase.New(erase.Config{
		Names: b.Names, JS: b.JS, Registry: erase.NewRegistry(b.JS, b.Names, zap.NewNop()), Publish: pub.Publish, Beyond: []string{"backups"}, Logger: zap.NewNop(),
		Forwarded: func(context.Context) error { return nil },
		Places: []erase.Place{{Name: "archive", Erase: func(_ context.Context, sel *erase.Selection, _ bool) (int, error) {
			if sel.Has("get3w", "a") {
				return 0, nil
			}
			return 0, errors.New("the disk is away")
		}}},
	})
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) { admin.RegisterErase(api, eraser) })
	for _, id := range []string{"a", "b"} {
		_, err := pub.Publish(t.Context(), natstest.Event(id))
		require.NoError(t, err)
	}

	count := func(r adminapi.EraseReport) (n int) {
		for _, p := range r.Places {
			n += p.Count
		}
		return n
	}
	report := ask[adminapi.EraseReport](t, s, "/erase", `{"source":"get3w","prediction":"a","dry_run":true}`)
	require.True(t, report.DryRun)
	require.Equal(t, 1, count(report))
	require.EqualValues(t, 2, b.Messages(t, b.Names.EventsStream()))
	report = ask[adminapi.EraseReport](t, s, "/erase", `{"source":"get3w","prediction":"a"}`)
	require.True(t, report.Complete)
	require.Equal(t, 1, report.Predictions)
	require.Equal(t, []string{"backups"}, report.Beyond)
	require.False(t, ask[adminapi.EraseReport](t, s, "/erase", `{"source":"get3w","prediction":"b"}`).Complete, "the archive has failed")

	for body, says := range map[string]string{
		`{}`: "name a source", `{"source":"get3w"}`: "name a source", `{"prediction":"a"}`: "source", `{"source":"A","prediction":"a"}`: "source",
		`{"source":"get3w","prediction":"a","tenant":"t"}`:                   "tenant",
		`{"source":"get3w","prediction":"` + strings.Repeat("x", 257) + `"}`: "bytes",
	} {
		a := do(t, s, http.MethodPost, "/api/v1/erase", body, asJSON)
		require.Equal(t, 400, a.status, "%.80s", body)
		require.Contains(t, a.detail(t), says, "%.80s", body)
	}
	require.NoError(t, b.JS.DeleteStream(t.Context(), b.Names.ErasedStream()))
	a := do(t, s, http.MethodPost, "/api/v1/erase", `{"source":"get3w","prediction":"c"}`, asJSON)
	require.Equal(t, 503, a.status)
	require.Contains(t, a.detail(t), "Nothing was erased")
	require.NotEmpty(t, a.header.Get("Retry-After"))
}

// blocked erases when it is told to.
type blocked struct{ begun, goOn chan struct{} }

func (b blocked) Prediction(context.Context, string, string, bool) (adminapi.EraseReport, error) {
	b.begun <- struct{}{}
	<-b.goOn
	return adminapi.EraseReport{Places: []adminapi.ErasePlace{}}, nil
}

func (b blocked) Tenant(ctx context.Context, _ string, _ int, dryRun bool) (adminapi.EraseReport, error) {
	return b.Prediction(ctx, "", "", dryRun)
}

// Calls that erase take long, and one waits for the other. They leave the API to others, and
// those too many are told at once that they did nothing.
func TestErasingKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	s, b := start(t, "127.0.0.1:0"), blocked{make(chan struct{}), make(chan struct{})}
	s.SetAPI(func(api *echo.Group) {
		admin.RegisterErase(api, b)
		admin.RegisterJobs(api, &fakeJobs{})
	})
	const calls = 32
	answers := make(chan *http.Response, calls)
	for range calls {
		go func() {
			res, err := http.Post("http://"+s.Addr().String()+"/api/v1/erase", "application/json", strings.NewReader(`{"source":"get3w","prediction":"a"}`))
			if err == nil {
				err = res.Body.Close()
			}
			if err != nil {
				res = &http.Response{Status: err.Error()}
			}
			answers <- res
		}()
	}
	begun := 0
	for refused := 0; begun+refused < calls; {
		select {
		case <-b.begun:
			begun++
		case a := <-answers:
			require.Equal(t, 503, a.StatusCode, a.Status)
			require.NotEmpty(t, a.Header.Get("Retry-After"))
			refused++
		}
	}
	require.Equal(t, 8, begun)
	require.Equal(t, 200, do(t, s, http.MethodGet, "/api/v1/jobs", "", nil).status)
	close(b.goOn)
	for range begun {
		require.Equal(t, 200, (<-answers).StatusCode)
	}
}
