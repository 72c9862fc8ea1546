package app

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A NATS server that is too old is named once in the log, by the doctor and to whoever asks for a
// backup. Webhooks wait in the journal until it is upgraded.
func TestServerThatIsTooOld(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	proxy := natstest.NewProxy(t, x)
	proxy.Pretend("2.11.9")
	cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+"\ningress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nnats: {url: \""+proxy.URL()+
		"\", events: {max_bytes: 64MiB}}\nconsumers: {archive: {enabled: false}}\n"))
	require.NoError(t, err)
	var log bytes.Buffer // read when nobody writes any more
	a, err := New(cfg, Options{Getenv: func(string) (string, bool) { return sampleSecret, true }, Log: &log})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	const words = "has version 2.11.9, and Hookspan needs 2.12 or newer"
	require.True(t, accepts(t, a, "pred_1"))
	d := (&doctorOperator{app: a}).Doctor(t.Context())
	requireFinding(t, d, doctor.CheckNATS, "", adminapi.FindingProblem)
	require.Contains(t, findings(d, doctor.CheckNATS, "")[0].Why, words)
	require.Empty(t, findings(d, doctor.CheckStreams, "HOOKSPAN_EVENTS"), "the cause is named, and not what follows from it")
	require.Empty(t, findings(d, doctor.CheckAlarms, ""))
	res, err := http.Post("http://"+a.operators.Addr().String()+"/api/v1/backup", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Contains(t, string(text), "snapshots need nats-server 2.15 or newer, and NATS has 2.11.9: upgrade it")

	js := x.JetStream()
	_, err = js.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.Error(t, err, "nothing is made on it")
	proxy.Pretend("")
	proxy.Cut()
	require.Eventually(t, func() bool {
		s, err := js.Stream(t.Context(), "HOOKSPAN_EVENTS")
		return err == nil && s.CachedInfo().State.Msgs == 1
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, a.Stop())
	require.Equal(t, 1, strings.Count(log.String(), words), log.String())
}
