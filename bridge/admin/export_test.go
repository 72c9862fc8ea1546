package admin

import "time"

// SetTimeouts changes how long a short request may take to be read and answered, before
// Run.
func (s *Server) SetTimeouts(d time.Duration) { s.http.ReadTimeout, s.http.WriteTimeout = d, d }
