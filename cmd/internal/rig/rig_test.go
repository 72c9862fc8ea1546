package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/internal/sending"
	"github.com/hookspan/hookspan/internal/signing"
)

// The test is its own NATS server, as the programs are.
func TestMain(m *testing.M) {
	if ran, err := runMode(context.Background(), os.Args[1:], os.Stdout, nil); ran {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func testRig(t *testing.T) *Rig {
	t.Helper()
	r, err := New(t.Context(), "test", os.Args[0])
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, r.Close(false))
		require.NoDirExists(t, r.Dir)
	})
	return r
}

func TestTryReturnsWhatEndedTheExperiment(t *testing.T) {
	r := testRig(t)
	gone := errors.New("gone")
	var order []int
	err := Try(func() {
		r.Within("part", func(r *Rig) {
			r.OnClose(func() error { order = append(order, 1); return nil })
			r.OnClose(func() error { order = append(order, 2); return nil })
			require.DirExists(t, r.Dir)
			Check(nil)
			Must(0, gone)
			t.Error("it goes on")
		})
	})
	require.ErrorIs(t, err, gone)
	require.Equal(t, []int{2, 1}, order)
	require.NoDirExists(t, r.Path("part"))
	require.Panics(t, func() { _ = Try(func() { panic("a fault of the program") }) })
	require.ErrorContains(t, r.Until("it is so", time.Millisecond, time.Millisecond, func(context.Context) bool { return false }), "it is so")
}

// shell is a program that says that it is ready, and then does something.
func shell(r *Rig, then string) *Process {
	return r.Start(Command{Name: "shell", Args: []string{"/bin/sh", "-c", `echo "{\"pid\":$$}"; ` + then}})
}

func TestProcess(t *testing.T) {
	r := testRig(t)
	p := shell(r, `trap "exit 3" TERM; echo oops >&2; echo second; while :; do :; done`)
	line, err := p.Line(t.Context())
	require.NoError(t, err)
	require.Equal(t, "second", string(line))
	require.True(t, p.Alive())
	require.Positive(t, p.Status().VmRSS)
	require.GreaterOrEqual(t, p.Processor(), time.Duration(0))
	require.NoError(t, p.Signal(syscall.SIGSTOP))
	require.NoError(t, r.Until("it is stopped", time.Minute, time.Millisecond, func(context.Context) bool { return p.stopped() }))
	require.NoError(t, p.Signal(syscall.SIGCONT))
	code, err := p.Stop()
	require.Equal(t, 3, code)
	require.ErrorContains(t, err, "oops", "the end of the log")
	require.False(t, p.Alive())
	require.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)
	_, err = p.Line(t.Context())
	require.ErrorContains(t, err, "has ended")

	for _, bad := range []Command{
		{Name: "none", Args: []string{"no/such/program"}},
		{Name: "silent", Args: []string{"/bin/true"}},
		{Name: "mumbling", Args: []string{"/bin/echo", "hello"}},
	} {
		require.ErrorContains(t, Try(func() { r.Start(bad) }), bad.Name)
	}
}

// The processor time of a process is also that of its children, of those that run and of
// those that have ended.
func TestProcessorOfAll(t *testing.T) {
	t.Parallel()
	busy := func(p *Process) {
		t.Helper()
		require.NoError(t, Try(func() {
			Check((&Rig{ctx: t.Context()}).Until("the children have worked", time.Minute, time.Millisecond, func(context.Context) bool {
				return p.ProcessorOfAll()-p.Processor() >= 50*time.Millisecond
			}))
		}))
	}
	r := testRig(t)
	runs := shell(r, `(while :; do :; done) & wait`)
	busy(runs)
	runs.Kill()
	ended := shell(r, `i=0; while :; do (j=0; while [ $j -lt 20000 ]; do j=$((j+1)); done); done`)
	busy(ended)
	ended.Kill()
}

func TestNATSIsReadAsStored(t *testing.T) {
	r := testRig(t)
	require.NoError(t, Try(func() {
		n := r.StartNATS(NATSConfig{})
		js := Must(jetstream.New(n.Connect()))
		Must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: EventsStream, Subjects: []string{"hookspan.>"}}))
		for i := range 3 {
			Must(js.Publish(t.Context(), EventsPrefix+"x", fmt.Append(nil, i)))
		}
		n.Kill()
		n.Start()
		require.EqualValues(t, 3, StreamInfo(t.Context(), js).State.Msgs)
		var read []string
		Check(ReadEvents(t.Context(), js.Conn(), EventsPrefix, func(subject string, _ nats.Header, body []byte) {
			require.Equal(t, EventsPrefix+"x", subject)
			read = append(read, string(body))
		}))
		require.Equal(t, []string{"0", "1", "2"}, read)
		require.False(t, n.serves(), "no bridge is connected")
	}))
}

func TestClusterHasOneLeader(t *testing.T) {
	r := testRig(t)
	require.NoError(t, Try(func() {
		c := r.StartCluster(0, true)
		Must(c.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: EventsStream, Subjects: []string{"hookspan.>"}, Replicas: 3}))
		c.WaitWhole()
		require.NotNil(t, c.Leader())
		require.ErrorContains(t, Try(func() { c.Serving() }), "no NATS server")
	}))
}

// answering is a bridge that answers what it is told to.
func answering(t *testing.T, r *Rig, answer http.HandlerFunc) *Conn {
	t.Helper()
	c := &Conn{Addr: strings.TrimPrefix(r.Serve(answer), "http://"), Timeout: time.Minute}
	t.Cleanup(c.Close)
	return c
}

func TestConn(t *testing.T) {
	r := testRig(t)
	var status int
	c := answering(t, r, func(w http.ResponseWriter, request *http.Request) {
		var sent sending.Webhook
		if json.NewDecoder(request.Body).Decode(&sent) != nil || request.Header.Get(signing.Header) == "" {
			status = http.StatusUnauthorized
		}
		if status == http.StatusGone {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"result":"stored","id":"%s/completed/1"}`, sent.ID)
	})
	body := sending.NewWebhook("pred_1", "get3w/flux-dev", "completed", time.Now()).Body()
	for _, status = range []int{http.StatusOK, http.StatusGone, http.StatusOK, http.StatusServiceUnavailable} {
		a, err := c.Post(t.Context(), Request(body, Sign(body)))
		require.NoError(t, err)
		require.Equal(t, status, a.Status)
		result, id, err := a.Result()
		require.NoError(t, err)
		require.Equal(t, "stored", result)
		require.Equal(t, "pred_1/completed/1", id)
	}
	require.NoError(t, c.conn.Close()) // as an idle one is closed by its other side
	_, err := c.Post(t.Context(), Request(body, ""))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestConnSaysWhyThereIsNoAnswer(t *testing.T) {
	r := testRig(t)
	none := &Conn{Addr: fmt.Sprintf("127.0.0.1:%d", FreePort()), Timeout: time.Minute}
	_, err := none.Post(t.Context(), Request(nil, ""))
	require.ErrorIs(t, err, sending.ErrNoConnection)

	lost := answering(t, r, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err = lost.Post(t.Context(), Request(nil, ""))
	require.ErrorIs(t, err, sending.ErrLost)

	var fallSilent atomic.Bool
	silent := answering(t, r, func(_ http.ResponseWriter, request *http.Request) {
		if fallSilent.Load() {
			<-request.Context().Done()
		}
	})
	_, err = silent.Post(t.Context(), Request(nil, ""))
	require.NoError(t, err)
	fallSilent.Store(true)
	silent.Timeout = time.Millisecond // for the answer alone: the connection is there
	_, err = silent.Post(t.Context(), Request(nil, ""))
	require.ErrorIs(t, err, sending.ErrNoAnswer)
}

func TestPoolHasSignedRequestsOfItsOwn(t *testing.T) {
	r := testRig(t)
	ids := map[string]bool{}
	base := r.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"result":"stored"}`) }))
	b := &Receiver{rig: r, Webhooks: strings.TrimPrefix(base, "http://")}
	p := r.NewPool(100, sending.NewWebhook(AnyID, "get3w/flux-dev", "failed", time.Now()))
	for range 2 {
		for i := range p.Count {
			require.Equal(t, Request(p.Body(i), Sign(p.Body(i))), p.Request(i))
			require.Contains(t, string(p.Body(i)), p.ID(i))
			ids[p.ID(i)] = true
		}
		require.Positive(t, b.Load(4, p, Window{Measured: time.Minute}).Rate)
		p.Renew(100)
		took := b.OpenLoop(4, 1000, p, Window{Measured: 50 * time.Millisecond}, Safe...)
		require.Len(t, took, LoopCount(1000, Window{Measured: 50 * time.Millisecond}))
	}
	require.Len(t, ids, 200)
	require.Equal(t, 3*time.Second, Percentile([]time.Duration{time.Second, 3 * time.Second, 2 * time.Second}, 99))
	require.Zero(t, Percentile[float64](nil, 50))
}
