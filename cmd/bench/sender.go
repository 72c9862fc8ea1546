package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
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

func (s *sender) close() { _ = s.conn.Close() }

// send posts a request and returns nil when it was answered as stored.
func (s *sender) send(request []byte) error {
	if err := s.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return fmt.Errorf("sending a webhook: %w", err)
	}
	if _, err := s.conn.Write(request); err != nil {
		return fmt.Errorf("sending a webhook: %w", err)
	}
	return s.answer()
}

func (s *sender) answer() error {
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("%w: the bridge answered %q", errNotStored, line)
	}
	length := -1
	for len(line) > len("\r\n") {
		if line, err = s.in.ReadSlice('\n'); err != nil {
			return fmt.Errorf("reading the header of an answer: %w", err)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("reading the length of an answer: %w", err)
			}
		}
	}
	if length < 0 {
		return errors.New("reading an answer: it does not say its length")
	}
	body, err := s.in.Peek(length)
	if err != nil {
		return fmt.Errorf("reading the body of an answer: %w", err)
	}
	if !bytes.Contains(body, []byte(`"result":"stored"`)) {
		return fmt.Errorf("%w: the bridge answered %q", errNotStored, body)
	}
	if _, err := s.in.Discard(length); err != nil {
		return fmt.Errorf("reading the body of an answer: %w", err)
	}
	return nil
}
