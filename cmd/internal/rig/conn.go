package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hookspan/hookspan/internal/sending"
)

// AnswerTimeout is how long the provider waits for an answer.
const AnswerTimeout = sending.Timeout

// Conn is one connection that is kept alive, as a sender keeps it. It costs less than an
// HTTP client, since it shares the processors with the bridge. It is for one goroutine.
type Conn struct {
	Addr string // the bridge's, as host:port
	// Timeout bounds each attempt.
	Timeout time.Duration

	conn net.Conn
	in   *bufio.Reader
	// armed is when the deadline of conn was set, for a timeout of timeout.
	armed   time.Time
	timeout time.Duration
	ctx     context.Context // of the last attempt; to hear of its end anew costs more than an attempt
	deaf    func() bool
}

// rearm is how old the deadline of an attempt may be at its beginning.
const rearm = 100 * time.Millisecond

const maxAnswer = 16 << 10

// Post sends one request and returns its answer; the error wraps one of the three ways in
// which there is none. A connection that was closed while it lay idle is no attempt: the
// request goes over a new one.
func (c *Conn) Post(ctx context.Context, request []byte) (sending.Answer, error) {
	reused := c.conn != nil
	a, err := c.try(ctx, request)
	if reused && errors.Is(err, sending.ErrLost) {
		a, err = c.try(ctx, request)
	}
	return a, err
}

func (c *Conn) dial(ctx context.Context) error {
	dialer := net.Dialer{Timeout: c.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("%w: %w", sending.ErrNoConnection, err)
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return nil
}

// Close hangs up.
func (c *Conn) Close() {
	if c.deaf != nil {
		c.deaf()
		c.deaf, c.ctx = nil, nil
	}
	if c.conn != nil {
		_ = c.conn.Close() // nothing is left to be said on it
		c.conn = nil
	}
}

func (c *Conn) try(ctx context.Context, request []byte) (a sending.Answer, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return a, err
		}
		c.armed = time.Time{}
	}
	conn := c.conn
	if c.ctx != ctx {
		if c.deaf != nil {
			c.deaf()
		}
		c.ctx, c.deaf = ctx, context.AfterFunc(ctx, func() { _ = conn.Close() })
	}
	if now := time.Now(); now.Sub(c.armed) > rearm || c.timeout != c.Timeout {
		c.armed, c.timeout = now, c.Timeout
		err = conn.SetDeadline(now.Add(c.Timeout))
	}
	if err == nil {
		_, err = conn.Write(request)
	}
	last := false
	if err == nil {
		a, last, err = c.read()
	}
	if err != nil || last {
		c.Close()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return a, fmt.Errorf("%w: %w", sending.ErrNoAnswer, err)
	case err != nil:
		return a, fmt.Errorf("%w: %w", sending.ErrLost, err)
	}
	return a, nil
}

// read reads one answer, and whether it is the last one on this connection.
func (c *Conn) read() (a sending.Answer, last bool, err error) {
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return a, false, err
	}
	defer func() { _ = response.Body.Close() }() // it is read
	a.Status = response.StatusCode
	a.Body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return a, response.Close, err
}
