package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/signing"
)

// freePorts is a configuration that listens on free ports and needs little disk.
const freePorts = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers: {archive: {kind: archive}, handle: {kind: exec, command: [/bin/true]}}
`

// newTestApp takes a data folder of its own.
func newTestApp(t *testing.T, dir, text string) (*App, error) {
	t.Helper()
	file := configFile(t, "data_dir: "+dir+"\n"+text)
	cfg, err := config.Load(file)
	require.NoError(t, err)
	getenv := func(name string) (string, bool) { return sampleSecret, name == "GET3W_WEBHOOK_SECRET" }
	return New(cfg, Options{File: file, Getenv: getenv, Log: io.Discard})
}

// accepts reports whether a signed webhook is answered with 200.
func accepts(t *testing.T, a *App, id string) bool {
	t.Helper()
	return takes(t, a, `{"id":"`+id+`","status":"failed"}`)
}

// takes is accepts for any body.
func takes(t *testing.T, a *App, body string) bool {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, a.Ready().Webhooks["get3w"], strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set(signing.Header, signing.Sign([]byte(body), []byte(sampleSecret)))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode == http.StatusOK
}

// A process can have one App after the other on one folder, and nothing of an App is left
// behind.
func TestStartAndStopLeaveNothing(t *testing.T) {
	before, dir := goleak.IgnoreCurrent(), t.TempDir()
	for range 20 {
		a, err := newTestApp(t, dir, freePorts)
		require.NoError(t, err)
		require.NoError(t, a.Start(t.Context()))
		require.True(t, accepts(t, a, "pred_1"))
		require.NoError(t, a.Stop())
		require.NoError(t, a.Stop(), "once more changes nothing")
	}
	goleak.VerifyNone(t, before)
}

// Whatever a start has begun before it failed, Stop ends.
func TestStopAfterAFailedStart(t *testing.T) {
	before, dir := goleak.IgnoreCurrent(), t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	for _, text := range []string{
		strings.Replace(freePorts, `ingress: {listen: "127.0.0.1:0"}`, "ingress: {listen: "+taken.Addr().String()+"}", 1),
		strings.Replace(freePorts, `nats: {listen: "127.0.0.1:0"`, "nats: {listen: "+taken.Addr().String(), 1),
		freePorts + "sources: {get3w: {secrets: [file:/no/such]}}\n",
	} {
		a, err := newTestApp(t, dir, text)
		require.NoError(t, err)
		require.ErrorContains(t, a.Start(t.Context()), "starting the")
		require.NoError(t, a.Stop())
	}
	ended, end := context.WithCancel(t.Context())
	end()
	a, err := newTestApp(t, dir, freePorts)
	require.NoError(t, err)
	require.Error(t, a.Start(ended))
	require.NoError(t, a.Stop())
	_, err = newTestApp(t, dir, strings.Replace(freePorts, `admin: {listen: "127.0.0.1:0"}`, "admin: {listen: "+taken.Addr().String()+"}", 1))
	require.ErrorContains(t, err, "admin.listen", "New ends by itself what it began")
	require.NoError(t, taken.Close())
	goleak.VerifyNone(t, before)
}

// A part that hangs does not hold up Stop for ever, and Stop names it.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	a, err := newTestApp(t, t.TempDir(), freePorts)
	require.NoError(t, err)
	begun, hang := make(chan struct{}), make(chan struct{})
	a.onStop.add("stuck part", func() error { close(begun); <-hang; return io.EOF })
	go func() { _ = a.end() }()
	<-begun
	a.stopTime = time.Millisecond
	require.ErrorContains(t, a.Stop(), "did not end within 1ms (the stuck part hangs)")
	close(hang)
	a.stopTime = time.Hour
	require.ErrorIs(t, a.Stop(), io.EOF, "the end goes on all the same")
}

// Two Apps in one process share nothing.
func TestTwoAppsSideBySide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := newTestApp(t, dir, freePorts)
	require.NoError(t, err)
	_, err = newTestApp(t, dir, freePorts)
	require.ErrorIs(t, err, ErrFolderInUse)
	second, err := newTestApp(t, t.TempDir(), freePorts)
	require.NoError(t, err)
	require.NoError(t, errors.Join(first.Start(t.Context()), second.Start(t.Context())))
	require.True(t, accepts(t, first, "pred_1"))
	require.NoError(t, first.Stop())
	require.True(t, accepts(t, second, "pred_1"))
	require.NoError(t, second.Stop())
}

// Run returns when its context ends, and when ready fails.
func TestRun(t *testing.T) {
	t.Parallel()
	opts := Options{
		File: configFile(t, "data_dir: "+filepath.Join(t.TempDir(), "data")+"\n"+freePorts), Log: io.Discard,
		Getenv: func(string) (string, bool) { return sampleSecret, true },
	}
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, Run(ctx, opts, func(a *App) error {
		require.Equal(t, os.Getpid(), a.Ready().PID)
		cancel()
		return nil
	}))
	require.ErrorIs(t, Run(t.Context(), opts, func(*App) error { return io.ErrClosedPipe }), io.ErrClosedPipe)
}
