package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// Of two processes with the role one leads the polling; when it is killed the other one does
// within half a minute, and knows what came meanwhile at once.
func TestPredictionsOfAKilledProcess(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	config := strings.Replace(externalConfig(x), "ingress:", "admin: {listen: 127.0.0.1:0}\ningress:", 1)
	first := serve(t, t.TempDir(), config)
	require.Eventually(t, first.leads, patience, 10*time.Millisecond)
	second := serve(t, t.TempDir(), config)
	ended := func(id string) func() bool {
		return func() bool {
			status, text := second.admin("/api/v1/predictions/get3w/" + id)
			return status == 200 && strings.Contains(text, `"status":"completed"`)
		}
	}
	status, text := first.post(killBody("pred_1"))
	require.Equal(t, 200, status, text)
	require.Eventually(t, ended("pred_1"), patience, 10*time.Millisecond)
	require.False(t, second.leads())
	first.kill()
	status, text = second.post(killBody("pred_2"))
	require.Equal(t, 200, status, text)
	require.Eventually(t, ended("pred_2"), patience, 10*time.Millisecond)
	require.Eventually(t, second.leads, patience, 10*time.Millisecond)

	// A bridge that is told to end keeps no other one waiting.
	third := serve(t, t.TempDir(), config)
	require.Equal(t, exitDone, second.stop())
	require.Eventually(t, third.leads, patience, 10*time.Millisecond)
	require.Equal(t, exitDone, third.stop())
}
