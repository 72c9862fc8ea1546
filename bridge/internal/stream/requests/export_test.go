package requests

import (
	"testing"
	"time"
)

// SlowForTest sets how many refusals are prompt, and allows no more while the test runs.
func SlowForTest(t *testing.T, prompt int) {
	oldRate, oldBurst, oldSlowness := promptRefusals, promptBurst, slowness
	promptRefusals, promptBurst, slowness = 0, prompt, time.Hour
	t.Cleanup(func() { promptRefusals, promptBurst, slowness = oldRate, oldBurst, oldSlowness })
}
