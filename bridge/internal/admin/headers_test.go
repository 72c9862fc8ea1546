package admin_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// Nobody can fill the memory with headers that never end.
func TestUnfinishedHeadersHaveABudget(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.New(core))
	require.NoError(t, err)
	s.WaitForHeaders()
	run(t, s)
	var first net.Conn
	for range 400 {
		conn, err := net.Dial("tcp", s.Addr().String())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write([]byte("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Filler: " + strings.Repeat("a", 60<<10))) // the server may have closed it
		if first == nil {
			first = conn
		}
	}
	const line = "unfinished headers take more memory"
	require.Eventually(t, func() bool { return logs.FilterMessageSnippet(line).Len() == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, first.SetReadDeadline(time.Now().Add(20*time.Second)))
	text, _ := io.ReadAll(first) // a reset is an end too
	require.Empty(t, text)
	require.Equal(t, 200, get(t, s, "/livez").status)
	require.Equal(t, 1, logs.FilterMessageSnippet(line).Len())
}

// A request that is being answered holds no header: its connection cannot be closed for
// another one's header.
func TestRequestsThatAreAnsweredHoldNoHeader(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	entered, finish := make(chan struct{}), make(chan struct{})
	s.SetAPI(func(api *echo.Group) {
		api.GET("/slow", func(c echo.Context) error {
			entered <- struct{}{}
			<-finish
			return c.String(http.StatusOK, "done")
		})
	})
	release := sync.OnceFunc(func() { close(finish) })
	defer release()
	const requests = 3
	answered := make(chan int, requests)
	for range requests {
		go func() {
			req, err := http.NewRequest(http.MethodGet, "http://"+s.Addr().String()+admin.APIPrefix+"/slow", nil)
			if err == nil {
				req.Header.Set("Cookie", strings.Repeat("a", 10<<10))
				answered <- statusOf(req)
			}
		}()
		<-entered
	}
	require.Zero(t, s.HeaderBytes())
	release()
	for range requests {
		require.Equal(t, 200, <-answered)
	}
}

// statusOf is 0 for a request that is not answered.
func statusOf(req *http.Request) int {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}
