package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/natstest"
)

// failures of the target are counted by whether the next one opens the breaker.
func oneFailureOpens(c *Config) { c.Breaker.Failures = 1 }

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const (
		done = iota
		refused
		again
		failing // again, and the target is left alone
	)
	for status, want := range map[int]int{
		200: done, 201: done, 202: done, 204: done, 299: done,
		300: again, 301: again, 302: again, 304: again, 307: again, 308: again,
		400: refused, 413: refused, 422: refused, 410: refused,
		401: again, 403: again, 404: again, 405: again, 408: again, 409: again, 418: again, 425: again, 451: again,
		429: failing, 500: failing, 501: failing, 502: failing, 503: failing, 504: failing, 599: failing, 999: failing,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			b := setup(t, answering(t, status).URL+"/hooks?key=hidden", oneFailureOpens)
			err := b.handle()
			if want == done {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, fmt.Sprintf(" answered %d", status))
				require.NotContains(t, err.Error(), "hidden")
			}
			require.Equal(t, want == refused, consumers.IsRefused(err))
			require.Equal(t, want == refused, consumers.IsPermanent(err))
			require.Equal(t, want == failing, errors.Is(b.handle(), errPaused))
			if status == 410 {
				require.Equal(t, []string{bridge.AlarmTargetGone, bridge.AlarmTargetGone}, natstest.KindsOf(b.alarms.All()))
			} else {
				require.Empty(t, natstest.KindsOf(b.alarms.All()))
			}
		})
	}
}

func TestRefuseIsConfigurable(t *testing.T) {
	t.Parallel()
	b := setup(t, answering(t, 404).URL, func(c *Config) { c.Refuse = []int{404} })
	require.True(t, consumers.IsRefused(b.handle()))
	for _, list := range [][]int{{404}, {}} {
		b = setup(t, answering(t, 400).URL, func(c *Config) { c.Refuse = list })
		require.False(t, consumers.IsPermanent(b.handle()))
		b = setup(t, answering(t, 410).URL, func(c *Config) { c.Refuse = list })
		require.True(t, consumers.IsRefused(b.handle()))
	}
	b = setup(t, answering(t, 500).URL, func(c *Config) { c.Refuse, c.Breaker.Failures = []int{500}, 1 })
	require.True(t, consumers.IsRefused(b.handle()))
	require.True(t, consumers.IsRefused(b.handle()), "who refuses works")
}

// An answer is kept with the attempt: its status line, and up to 64 KiB of its body.
func TestAnswerIsRead(t *testing.T) {
	t.Parallel()
	body := strings.NewReader(strings.Repeat("x", maxBody+5))
	a := readResponse(&http.Response{Proto: "HTTP/1.1", Status: "503 No", StatusCode: http.StatusServiceUnavailable, Body: io.NopCloser(body), Header: http.Header{"Retry-After": {"3601"}}})
	require.Equal(t, 503, a.status)
	require.Equal(t, time.Hour, a.retryAfter, "a target cannot ask for more")
	require.Len(t, a.note, len("HTTP/1.1 503 No\n")+maxBody)
	require.Equal(t, 5, body.Len(), "no more is read")
}

// An attempt that is ended from outside says nothing of the target.
func TestStopIsNoFailure(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for cause, failing := range map[error]bool{
		consumers.ErrStopping: false, consumers.ErrLeaseLost: false, context.Canceled: false, consumers.ErrTimeout: true,
	} {
		b := setup(t, srv.URL, oneFailureOpens)
		ctx, cancel := context.WithCancelCause(context.Background())
		result := make(chan error, 1)
		go func() { result <- b.Handle(ctx, newEvent("p")) }()
		next(t, asked)
		cancel(cause)
		require.Error(t, next(t, result))
		require.Equal(t, failing, b.breaker.current() == open, cause)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := Config{Name: "a", URL: "https://x.example/hooks?key=hidden", Secrets: [][]byte{[]byte(testSecret)}}
	f, err := New(good)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for want, change := range map[string]func(*Config){
		`consumer "A"`:            func(c *Config) { c.Name = "A" },
		"url: it is empty":        func(c *Config) { c.URL = "" },
		"url: this is no address": func(c *Config) { c.URL = "x.example/hidden" },
		"user and password":       func(c *Config) { c.URL = "https://me:hidden@x.example/" },
		"after #":                 func(c *Config) { c.URL = "https://x.example/#hidden" },
		"http is permitted":       func(c *Config) { c.URL = "http://x.example/hidden" },
		"mode is":                 func(c *Config) { c.Mode = "batch" },
		"refuse: 200":             func(c *Config) { c.Refuse = []int{200} },
		"concurrency is -1":       func(c *Config) { c.Concurrency = -1 },
		"none may be negative":    func(c *Config) { c.HeaderTimeout = -1 },
		"breaker: 10 failures, pause 5s, at most 3m": func(c *Config) { c.Breaker.MaxPause = 3 * time.Minute },
		"secrets: the secret is shorter":             func(c *Config) { c.Secrets = [][]byte{[]byte("hidden")} },
	} {
		c := good
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hidden")
	}
	for _, address := range []string{"https://", "ftp://x", "//x", "https:x", "https://x/" + strings.Repeat("a", maxURL), "https://x:y/", "https://[::1", "https://x/\n"} {
		_, err := CheckURL(address, true)
		require.Error(t, err, address)
	}
	u, err := CheckURL("http://[::1]:8080/a?b=c", true)
	require.NoError(t, err)
	require.Equal(t, &url.URL{Scheme: "http", Host: "[::1]:8080", Path: "/a", RawQuery: "b=c"}, u)
}

// The alarms of a target end when it answers, and that of one that was gone when it takes an event.
func TestAlarmsOfATargetEnd(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(http.StatusGone)
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	b := setup(t, target.URL, nil)
	require.Error(t, b.handle())
	b.tell(change{state: open, openings: 5, since: time.Now().Add(-2 * alarmAfter), err: errTarget})
	for _, a := range b.alarms.All() {
		require.Equal(t, "consumer billing: "+target.URL+" answers again", a.Over)
	}
	status.Store(http.StatusTeapot)
	require.Error(t, b.handle())
	require.True(t, b.alarms.Cleared(bridge.AlarmTargetDown))
	require.False(t, b.alarms.Cleared(bridge.AlarmTargetGone))
	status.Store(http.StatusOK)
	require.NoError(t, b.handle())
	require.NoError(t, b.handle())
	require.True(t, b.alarms.Cleared(bridge.AlarmTargetGone))
	require.Len(t, b.alarms.All(), 4, "each ends once")
}

// A target that fails for a minute is an alarm; the log says when it began and ended.
func TestFailingTargetIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t, "http://127.0.0.1:1", nil)
	b.tell(change{state: open, openings: 1, since: time.Now(), err: errTarget})
	require.Empty(t, natstest.KindsOf(b.alarms.All()))
	require.Len(t, b.logs.TakeAll(), 1)
	b.tell(change{state: open, openings: 2, since: time.Now(), err: errTarget})
	require.Empty(t, b.logs.TakeAll(), "said once")
	b.tell(change{state: open, openings: 5, since: time.Now().Add(-2 * alarmAfter), err: errTarget})
	require.Equal(t, []string{bridge.AlarmTargetDown}, natstest.KindsOf(b.alarms.All()))
	require.Equal(t, "billing", b.alarms.All()[0].Subject)
	require.Contains(t, b.alarms.All()[0].Text, errTarget.Error())
	b.tell(change{state: closed, since: time.Now()})
	require.Contains(t, b.logs.TakeAll()[0].Message, "works again")
}
