package durables

import "time"

// SetClock has the watch take now for the time.
func (w *Watch) SetClock(now func() time.Time) { w.now = now }
