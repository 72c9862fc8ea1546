package ingress

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
)

// access is the data of a request's log line. It has no path and no query, which can hold a
// path token.
type access struct {
	requestID string
	traceID   string // empty without traces
	source    string
	kind      *source.Kind // of the source
	event     string
	result    string
	cause     string
	err       error
	bytes     int
	// header is the size of the header beyond what each request may have.
	header int64
	// remote is the client's address, see clientAddr.
	remote netip.Addr
	// delivery: the request is a delivery, not another kind of request.
	delivery bool
	// leftOut counts the lines of this cause that were suppressed before it.
	leftOut int
}

const accessKey = "hookspan.access"

func accessLine(c echo.Context) *access {
	if a, ok := c.Get(accessKey).(*access); ok {
		return a
	}
	return &access{} // outside of observe, e.g. a route of a test
}

// observe sets the request id and the read deadline, turns a panic into a 500, has errors
// answered, and writes the log line.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		line := &access{requestID: rand.Text(), remote: s.proxies.client(c.Request())}
		line.header = connOf(c.Request().Context()).head.Begin(c.Request())
		c.Set(accessKey, line)
		span := s.beginSpan(c, line)
		c.Response().Header().Set(echo.HeaderXRequestID, line.requestID)
		c.Response().Before(func() {
			if s.draining.Load() { // the sender's next request is for another process
				c.Response().Header().Set(echo.HeaderConnection, "close")
			}
		})
		// The deadline also bounds what net/http reads of a body that is refused unread.
		err := http.NewResponseController(c.Response()).SetReadDeadline(started.Add(s.cfg.Deadline / 2))
		if err == nil {
			err = s.recovering(next, c)
		}
		if err != nil {
			c.Error(err)
		}
		status := c.Response().Status
		line.endSpan(span, status)
		if line.delivery {
			s.metrics.answered(line, status, time.Since(started))
		}
		if s.cfg.LogProblemsOnly && status < http.StatusBadRequest && line.cause == "" {
			return nil
		}
		entry := s.log.Check(level(status), telemetry.RequestMessage)
		if leftOut, ok := s.quiet.allow(status, line.cause, started); ok && entry != nil {
			line.leftOut = leftOut
			fields := fieldLists.Get().(*[]zap.Field)
			*fields = line.appendFields((*fields)[:0], c, status, time.Since(started))
			entry.Write(*fields...)
			clear(*fields)
			fieldLists.Put(fields)
		}
		return nil
	}
}

// admit keeps out deliveries that must not even be read: during a shutdown, and over the
// rate of their address.
func (s *Server) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		accessLine(c).delivery = true
		if !s.drain.enter() {
			return errStopping
		}
		defer s.drain.leave()
		connOf(c.Request().Context()).touch()
		// A trusted proxy that hides its clients stands for all of them.
		if client := clientAddr(c); !s.proxies.trust(client) && !s.rates.allow(client, time.Now()) {
			return errRate
		}
		return next(c)
	}
}

func (s *Server) recovering(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(p) // net/http's own way to end a connection
		}
		s.log.Error("panic in a request", zap.String("request_id", accessLine(c).requestID),
			zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		err = fmt.Errorf("panic: %v", p)
	}()
	return next(c)
}

func level(status int) zapcore.Level {
	switch {
	case status >= http.StatusInternalServerError:
		return zap.ErrorLevel
	case status >= http.StatusBadRequest:
		return zap.WarnLevel
	}
	return zap.InfoLevel
}

// fieldLists are used again: a log keeps none.
var fieldLists = sync.Pool{New: func() any { return new([]zap.Field) }}

func (a *access) appendFields(fields []zap.Field, c echo.Context, status int, took time.Duration) []zap.Field {
	r := c.Request()
	fields = append(fields,
		zap.String("request_id", a.requestID),
		zap.Stringer("remote", a.remote),
		zap.String("method", r.Method),
		zap.String("route", c.Path()),
		zap.Int("status", status),
		zap.Duration("took", took),
		zap.Int("bytes", a.bytes),
	)
	for _, f := range []struct{ key, value string }{
		{"trace_id", a.traceID}, {"source", a.source}, {"result", a.result}, {"cause", a.cause}, {"event", a.event},
	} {
		if f.value != "" {
			fields = append(fields, zap.String(f.key, f.value))
		}
	}
	if a.leftOut > 0 {
		fields = append(fields, zap.Int("left_out", a.leftOut))
	}
	if a.err != nil {
		fields = append(fields, zap.Error(a.err))
	}
	return fields
}
