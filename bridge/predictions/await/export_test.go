package await

import "time"

// SetLinger changes for how long is listened when nobody waits any more.
func (h *Hub) SetLinger(d time.Duration) { h.linger = d }
