package admin

import (
	"time"

	"golang.org/x/sync/semaphore"
)

// SetTimeouts changes how long a short request may take to be read and answered, before
// Run.
func (s *Server) SetTimeouts(d time.Duration) { s.http.ReadTimeout, s.http.WriteTimeout = d, d }

// SetMaxWaiting changes how many requests wait at a time, before Run.
func (s *Server) SetMaxWaiting(n int64) { s.waiting = semaphore.NewWeighted(n) }

// WaitForHeaders has the server, which does not run yet, wait for headers for as long as
// they take.
func (s *Server) WaitForHeaders() { s.http.ReadHeaderTimeout = time.Hour }

// HeaderBytes is how much unfinished headers take.
func (s *Server) HeaderBytes() int64 { return s.headers.Used() }
