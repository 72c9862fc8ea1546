package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// A view that is behind hides no end.
func TestViewThatIsBehindHidesNoEnd(t *testing.T) {
	b := startPredictions(t)
	b.known.behind = true
	b.fold(b.tell("a", "processing"))
	require.True(t, b.get("/get3w/a").state(t).Open())
	b.tell("a", "completed")
	require.Equal(t, "completed", b.get("/get3w/a").state(t).Status)
	require.Equal(t, "completed", b.get("/get3w/a?wait=1m").state(t).Status)
	e := b.follow(t.Context(), "/get3w/a")
	require.Contains(t, e.next()["data"], `"processing"`)
	require.Contains(t, e.next()["data"], `"completed"`)
}

// While the view keeps up, nobody searches the events.
func TestViewThatFollowsIsBelieved(t *testing.T) {
	b := startPredictions(t)
	b.fold(b.tell("a", "processing"))
	b.finds(fmt.Errorf("looking: %w", adminapi.ErrBusy))
	require.True(t, b.get("/get3w/a").state(t).Open())
}

// finding cannot search its events.
type finding struct {
	*known

	err error
}

func (f finding) Find(context.Context, string, string) (*bridge.PredictionState, error) {
	return nil, f.err
}

func (b *predictionsBench) finds(err error) {
	b.SetAPI(func(api *echo.Group) { admin.RegisterPredictions(api, finding{b.known, err}, b.hub, nil) })
}

// A prediction is called unknown only after the search.
func TestUnknownIsSaidWhenItIsKnown(t *testing.T) {
	b := startPredictions(t)
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{bridge.ErrNotFound, 404, "Nothing is known"},
		{fmt.Errorf("%w: %w", adminapi.ErrBusy, context.DeadlineExceeded), 503, "too many look"},
		{context.DeadlineExceeded, 404, "too many events"},
	} {
		b.finds(c.err)
		for _, path := range []string{"/get3w/a", "/get3w/a?wait=10ms", "/get3w/a?wait=1500ms"} {
			a := b.get(path)
			require.Equal(t, c.status, a.status, path)
			require.Contains(t, a.detail(t), c.says, path)
			require.Equal(t, c.status == 503, a.header.Get("Retry-After") != "", path)
		}
	}
}

// A refused wait gives up its connection, and no wait goes unnoticed.
func TestRefusedWaitersLeave(t *testing.T) {
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	s.SetMaxWaiting(0)
	run(t, s)
	s.SetAPI(func(*echo.Group) {})
	for _, path := range []string{"a?wait=1m", "a/events"} {
		res, err := http.Get("http://" + s.Addr().String() + "/api/v1/predictions/get3w/" + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 503, res.StatusCode)
		require.True(t, res.Close)
		require.Equal(t, 400, do(t, s, http.MethodGet, "/api/v1/predictions/get3w/"+path, "x", nil).status)
	}
}

// A provider that hangs keeps no operator out.
func TestSubmissionsKeepNobodyOut(t *testing.T) {
	goOn, begun := make(chan struct{}), make(chan struct{}, 64)
	s := start(t, "127.0.0.1:0")
	s.SetAPI(func(api *echo.Group) {
		admin.RegisterSubmit(api, &submitter{answer: func(func([]byte) error) (*bridge.Submitted, error) {
			begun <- struct{}{}
			<-goOn
			return &bridge.Submitted{}, nil
		}})
		api.GET("/other", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})
	const path = "/api/v1/predictions/get3w/m"
	done := make(chan int)
	for range 64 {
		go func() {
			res, err := http.Post("http://"+s.Addr().String()+path, "application/json", strings.NewReader("{}"))
			if err != nil {
				done <- 0
				return
			}
			_ = res.Body.Close()
			done <- res.StatusCode
		}()
	}
	for range 64 {
		<-begun
	}
	require.Equal(t, 200, get(t, s, "/api/v1/other").status)
	require.Equal(t, 503, do(t, s, http.MethodPost, path, "{}", asJSON).status)
	close(goOn)
	for range 64 {
		require.Equal(t, 200, <-done)
	}
}
