package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// The clock of NATS is ten minutes ahead of that of the bridge, or behind: nothing is lost, handled
// twice, given up or reported as lost, a backup is whole, and the doctor says how far the clocks
// are apart. An event that waits comes earlier by that, or later.
func TestClocksTenMinutesApart(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := natstest.NewExternal(t, nil)
			x.Start()
			dir, data := t.TempDir(), t.TempDir()
			handled := filepath.Join(dir, "handled")
			// The first attempt on pred_0 fails.
			script := fmt.Sprintf(`echo "$HOOKSPAN_PREDICTION_ID" >> %q; test "$HOOKSPAN_PREDICTION_ID$HOOKSPAN_ATTEMPT" != pred_01`, handled)
			cfg, err := config.Load(configFile(t, "data_dir: "+data+"\ningress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nnats: {url: \""+x.OtherClock(ahead)+
				"\", events: {max_bytes: 64MiB}}\nconsumers: {archive: {enabled: false}, handle: {kind: exec, once: true, command: [/bin/sh, -c, '"+script+"'], retry: {first: 5m, max: 10m, give_up_after: 1h}}}\n"))
			require.NoError(t, err)
			a, err := New(cfg, Options{Getenv: func(string) (string, bool) { return sampleSecret, true }, Log: io.Discard})
			require.NoError(t, err)
			require.NoError(t, a.Start(t.Context()))
			var want []string
			for i := range 5 {
				id := fmt.Sprint("pred_", i)
				require.True(t, accepts(t, a, id))
				require.True(t, accepts(t, a, id), "the sender tries again")
				want = append(want, id)
			}
			if ahead > 0 {
				want = append(want, "pred_0") // its second attempt is due at once there
			}
			slices.Sort(want)
			js := x.JetStream()
			require.Eventually(t, func() bool {
				text, _ := os.ReadFile(handled)
				lines := strings.Fields(string(text))
				slices.Sort(lines)
				later, err := js.Stream(t.Context(), bridge.Names{}.LaterStream())
				waiting := uint64(0)
				if ahead < 0 {
					waiting = 1
				}
				return slices.Equal(want, lines) && err == nil && later.CachedInfo().State.Msgs == waiting
			}, time.Minute, 20*time.Millisecond)
			d := (&doctorOperator{app: a}).Doctor(t.Context())
			requireFinding(t, d, doctor.CheckClock, "NATS", adminapi.FindingWarning)
			require.Contains(t, findings(d, doctor.CheckClock, "NATS")[0].Why, "differs from that of this machine by 10m0s")
			report := saveRunning(t, a, filepath.Join(dir, "backup"))
			require.GreaterOrEqual(t, report.Events(), uint64(5))
			require.NoError(t, a.Stop()) // the auditor looks a last time
			require.Empty(t, raisedSince(t, js, 0))
			text, err := os.ReadFile(handled)
			require.NoError(t, err)
			require.Len(t, strings.Fields(string(text)), len(want))
			dead, err := js.Stream(t.Context(), bridge.Names{}.DeadStream())
			require.NoError(t, err)
			require.Zero(t, dead.CachedInfo().State.Msgs)
		})
	}
}
