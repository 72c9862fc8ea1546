package app

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// text is a log that is read while it is written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), words)
}

// The user of a bridge that runs is revoked. The log says so once for each connection, and the
// doctor too; webhooks wait in the journal, until the same file has other credentials.
func TestRevokedCredentials(t *testing.T) {
	t.Parallel()
	o := natstest.StartOperator(t, nil)
	file := filepath.Join(t.TempDir(), "bridge.creds")
	user := o.Issue(file)
	cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+"\ningress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nnats: {url: \""+o.URL()+"\", creds: "+file+
		", events: {max_bytes: 64MiB}}\nconsumers: {archive: {enabled: false}, handle: {kind: exec, command: [/bin/true]}}\n"))
	require.NoError(t, err)
	log := &text{}
	a, err := New(cfg, Options{Getenv: func(string) (string, bool) { return sampleSecret, true }, Log: log})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	handled := func(n uint64) func() bool {
		return func() bool {
			c, err := a.store.consume.Consumer(t.Context(), bridge.Names{}.EventsStream(), "handle")
			return err == nil && c.CachedInfo().AckFloor.Consumer == n
		}
	}
	require.True(t, accepts(t, a, "pred_0"))
	require.Eventually(t, handled(1), time.Minute, 10*time.Millisecond)

	o.Revoke(user)
	const refused = "NATS refuses the credentials of connection "
	connections := []string{"hookspan-ingress", "hookspan-jobs", "hookspan-consumers"}
	for _, connection := range connections {
		require.Eventually(t, func() bool { return log.count(refused+connection) > 0 }, time.Minute, 10*time.Millisecond, connection)
	}
	for i := range 3 {
		require.True(t, accepts(t, a, fmt.Sprint("pred_", i+1)))
	}
	d := (&doctorOperator{app: a}).Doctor(t.Context())
	requireFinding(t, d, doctor.CheckNATS, "", adminapi.FindingProblem)
	require.Contains(t, findings(d, doctor.CheckNATS, "")[0].Why, "uthorization")
	require.Contains(t, findings(d, doctor.CheckNATS, "")[0].Remedy, "credentials")

	o.Issue(file)
	require.Eventually(t, handled(4), time.Minute, 10*time.Millisecond)
	require.NoError(t, a.Stop())
	for _, connection := range connections {
		require.Equal(t, 1, log.count(`"msg":"`+refused+connection), connection)
	}
}
