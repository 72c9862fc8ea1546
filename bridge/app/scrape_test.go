package app

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A scrape asks neither NATS nor the view's file: NATS has fewer messages of the whole bridge than
// there are scrapes, and while it hangs and the view is closed, a scrape shows what was known.
func TestScrapeAsksNothing(t *testing.T) {
	t.Parallel()
	const scrapes = 500
	x := natstest.NewExternal(t, nil)
	x.Start()
	proxy := natstest.NewProxy(t, x)
	cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+strings.Replace(everyKind, `nats: {listen: "127.0.0.1:0"`, `nats: {url: "`+proxy.URL()+`"`, 1)))
	require.NoError(t, err)
	a, err := New(cfg, Options{Getenv: func(string) (string, bool) { return sampleSecret, true }, Log: io.Discard})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	defer func() { require.NoError(t, a.Stop()) }()
	require.True(t, accepts(t, a, "pred_1"))
	ofTheView := []string{"hookspan_outputs_unarchived_predictions", "hookspan_outputs_expired_predictions", "hookspan_quarantine_oldest_seconds", "hookspan_view_behind"}
	gather(t, a, append(ofTheView, "hookspan_consumer_oldest_waiting_seconds", "hookspan_stream_bytes", "hookspan_predictions_open")...)
	scrape := func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range scrapes {
				if _, err := a.registry.Gather(); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			require.Fail(t, "scrapes wait for something")
		}
	}

	received := x.Received()
	scrape()
	require.Less(t, x.Received()-received, int64(scrapes))

	proxy.Silence(true)
	require.NoError(t, a.view.Close())
	scrape()
	after := gather(t, a)
	for _, name := range ofTheView {
		require.Contains(t, after, name)
	}
	proxy.Silence(false)
}
