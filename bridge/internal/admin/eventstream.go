package admin

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/eventstream"
)

// eventStream answers with Server-Sent Events.
type eventStream struct {
	c     echo.Context
	begun bool
	// within is how long the client may take to read what was written last.
	within time.Duration

	buffer []byte
}

// send writes one event, see [eventstream.Append]. An error means that the client is gone.
func (s *eventStream) send(name string, id *uint64, data []byte) error {
	s.buffer = eventstream.Append(s.buffer[:0], name, id, data)
	if err := s.begin(); err != nil {
		return err
	}
	if _, err := s.c.Response().Write(s.buffer); err != nil {
		return err
	}
	return s.flush()
}

// begin sets the time for a write, and before the first one sends the header.
func (s *eventStream) begin() error {
	res := s.c.Response()
	if err := http.NewResponseController(res).SetWriteDeadline(time.Now().Add(s.within)); err != nil {
		return err
	}
	if !s.begun {
		s.begun = true
		h := res.Header()
		h.Set(echo.HeaderContentType, "text/event-stream")
		h.Set("Cache-Control", "no-store, no-transform") // a proxy that compresses would hold events back
		h.Set("X-Accel-Buffering", "no")
		res.WriteHeader(http.StatusOK)
	}
	return nil
}

// flush goes around Echo, whose own flush returns no error (v4.16.4).
func (s *eventStream) flush() error {
	var w http.ResponseWriter = s.c.Response()
	for {
		res, ok := w.(*echo.Response)
		if !ok {
			return http.NewResponseController(w).Flush()
		}
		w = res.Writer
	}
}
