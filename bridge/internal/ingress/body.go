package ingress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
)

// body returns the body, whether it is whole, and a function, never nil, that releases its
// share of the limits. Of a refused delivery it returns only the bytes that are kept, and
// the refusal; then a sender that waits for 100 Continue gets none.
func (s *Server) body(c echo.Context, refusal error) (body []byte, whole bool, release func(), err error) {
	r := c.Request()
	limit := s.cfg.MaxBody
	switch {
	case refusal != nil && r.Header.Get("Expect") != "":
		return nil, false, func() {}, refusal
	case r.ContentLength > limit:
		limit = min(limit, keptOfTooLarge)
	}
	body, release, err = s.read(c, limit)
	whole = err == nil
	if refusal != nil {
		err = refusal
	}
	return body, whole, release, err
}

// read returns the body, or its beginning and an error, and a function, never nil, that
// releases its share of the limits.
func (s *Server) read(c echo.Context, limit int64) (body []byte, release func(), err error) {
	r := c.Request()
	control := http.NewResponseController(c.Response())
	conn := connOf(r.Context())
	in := s.intake.begin(http.MaxBytesReader(c.Response().Writer, r.Body, limit), accessLine(c).header, conn.head.Progress, func() {
		_ = control.SetReadDeadline(time.Unix(1, 0)) // cannot fail: observe has set a deadline before
	})
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0), firstStep)) + bytes.MinRead)
	if _, err := buf.ReadFrom(in); err != nil {
		return buf.Bytes(), in.end, readError(err)
	}
	if err := in.arrived(); err != nil {
		return nil, in.end, err
	}
	conn.work()
	return buf.Bytes(), func() { conn.rest(); in.end() }, nil
}

func readError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return err
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCutOff
	}
	return fmt.Errorf("%w: %w", errCutOff, err)
}
