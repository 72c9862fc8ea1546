package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// maxAnswer bounds what is read of an answer's body.
const maxAnswer = 64 << 10

// refusal is an attempt that was not answered 200.
type refusal struct {
	// why is a status, or what became of the connection.
	why string
	err error
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the webhook was not taken (%s): %v", r.why, r.err)
}

func (r *refusal) Unwrap() error { return r.err }

// client is one connection that is kept alive, as a sender keeps it. It is for one
// goroutine.
type client struct {
	addr    string
	timeout time.Duration

	conn net.Conn
	in   *bufio.Reader
}

// post sends one request and returns what a 200 said; every other end of it is a
// [*refusal]. A connection that was closed while it lay idle is no attempt: the
// request goes over a new one.
func (c *client) post(ctx context.Context, request []byte) (answer, error) {
	reused := c.conn != nil
	a, err := c.try(ctx, request)
	if reused && errors.Is(err, errClosedIdle) {
		a, err = c.try(ctx, request)
	}
	if err != nil && c.conn != nil {
		if r, ok := errors.AsType[*refusal](err); !ok || r.err != nil {
			c.close()
		}
	}
	return a, err
}

var errClosedIdle = errors.New("the connection was closed before the request")

func (c *client) try(ctx context.Context, request []byte) (answer, error) {
	deadline := time.Now().Add(c.timeout)
	if c.conn == nil {
		dialer := net.Dialer{Deadline: deadline}
		conn, err := dialer.DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return answer{}, &refusal{"no connection", err}
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
	if err := c.conn.SetDeadline(deadline); err != nil {
		return answer{}, c.broken(err)
	}
	if _, err := c.conn.Write(request); err != nil {
		return answer{}, c.broken(err)
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{}, c.broken(err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	_ = response.Body.Close() // it is read
	if err != nil {
		return answer{}, c.broken(err)
	}
	if response.Close {
		c.close()
	}
	if response.StatusCode != http.StatusOK {
		return answer{}, &refusal{why: strconv.Itoa(response.StatusCode)}
	}
	var a answer
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&a); err != nil {
		return answer{}, &refusal{"unreadable answer", err}
	}
	return a, nil
}

// broken closes the connection and says in which of three ways it failed.
func (c *client) broken(err error) error {
	c.close()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &refusal{"no answer", err}
	}
	return &refusal{"connection lost", fmt.Errorf("%w: %w", errClosedIdle, err)}
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is left to be said on it
		c.conn = nil
	}
}
