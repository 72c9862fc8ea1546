package durables

import "time"

// SetClock replaces the clock.
func (w *Watch) SetClock(now func() time.Time) { w.now = now }
