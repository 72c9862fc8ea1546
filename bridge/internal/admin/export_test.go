package admin

import (
	"time"

	"golang.org/x/sync/semaphore"
)

// SetTimeouts changes the limits of short requests. Call it before Run.
func (s *Server) SetTimeouts(d time.Duration) { s.http.ReadTimeout, s.http.WriteTimeout = d, d }

// SetMaxWaiting changes how many requests may wait. Call it before Run.
func (s *Server) SetMaxWaiting(n int64) { s.waiting = semaphore.NewWeighted(n) }

// WaitForHeaders lifts the limit for reading headers. Call it before Run.
func (s *Server) WaitForHeaders() { s.http.ReadHeaderTimeout = time.Hour }

// HeaderBytes is the size of the unfinished headers.
func (s *Server) HeaderBytes() int64 { return s.headers.Used() }

// Bearer is the parser of the header that carries a token.
var Bearer = bearer

// Cut is how texts are cut for the audit.
var Cut = cut
