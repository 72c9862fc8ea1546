package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

var errNotStored = errors.New("the event was not stored")

// answerTimeout ends the wait for a bridge that hangs.
const answerTimeout = 30 * time.Second

// sender is one connection to a bridge. It reads just as much of HTTP as it needs,
// since it shares the processors with what is measured.
type sender struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(ctx context.Context, addr string) (*sender, error) {
	dialer := net.Dialer{Timeout: answerTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to the bridge: %w", err)
	}
	return &sender{conn: conn, in: bufio.NewReader(conn)}, nil
}

// dialAll connects n times.
func dialAll(ctx context.Context, addr string, n int) (all []*sender, hangUp func(), err error) {
	hangUp = func() {
		for _, s := range all {
			s.close()
		}
	}
	for range n {
		s, err := dial(ctx, addr)
		if err != nil {
			hangUp()
			return nil, func() {}, err
		}
		all = append(all, s)
	}
	return all, hangUp, nil
}

func (s *sender) close() { _ = s.conn.Close() }

// send posts a request and returns nil when it was answered as stored.
func (s *sender) send(request []byte) error {
	return s.expect(request, http.StatusOK, `"result":"stored"`)
}

// sendSafely is send for a time in which NATS may be away.
func (s *sender) sendSafely(request []byte) error {
	return s.expect(request, http.StatusOK, `"result":"stored"`, `"result":"spooled"`)
}

// sendForged posts a request and returns nil when it was refused as not authentic.
func (s *sender) sendForged(request []byte) error {
	return s.expect(request, http.StatusUnauthorized, "")
}

func (s *sender) expect(request []byte, status int, bodies ...string) error {
	if err := s.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return fmt.Errorf("sending a webhook: %w", err)
	}
	if _, err := s.conn.Write(request); err != nil {
		return fmt.Errorf("sending a webhook: %w", err)
	}
	got, length, err := s.readHead()
	if err != nil {
		return err
	}
	body, err := s.in.Peek(length)
	if err != nil {
		return fmt.Errorf("reading the body of an answer: %w", err)
	}
	known := false
	for _, b := range bodies {
		known = known || bytes.Contains(body, []byte(b))
	}
	if got != status || !known {
		return fmt.Errorf("%w: the bridge answered %d %q", errNotStored, got, body)
	}
	if _, err := s.in.Discard(length); err != nil {
		return fmt.Errorf("reading the body of an answer: %w", err)
	}
	return nil
}

// readHead returns the status of an answer and the length of its body.
func (s *sender) readHead() (status, length int, err error) {
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, fmt.Errorf("reading an answer: %w", err)
	}
	const version = "HTTP/1.1 "
	if len(line) < len(version)+3 || !bytes.HasPrefix(line, []byte(version)) {
		return 0, 0, fmt.Errorf("reading an answer: it begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[len(version) : len(version)+3])); err != nil {
		return 0, 0, fmt.Errorf("reading the status of an answer: %w", err)
	}
	length = -1
	for len(line) > len("\r\n") {
		if line, err = s.in.ReadSlice('\n'); err != nil {
			return 0, 0, fmt.Errorf("reading the header of an answer: %w", err)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, 0, fmt.Errorf("reading the length of an answer: %w", err)
			}
		}
	}
	if length < 0 {
		return 0, 0, errors.New("reading an answer: it does not say its length")
	}
	return status, length, nil
}
