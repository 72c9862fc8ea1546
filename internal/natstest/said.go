package natstest

import (
	"fmt"
	"strings"
	"sync"
)

// maxSaid bounds how much of what a server says is kept.
const maxSaid = 100

// said keeps what a server warns of, for a test that fails. It is safe for concurrent use.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) keep(format string, v []any) {
	line := fmt.Sprintf(format, v...)
	if strings.HasPrefix(line, "Invalid JetStream request") {
		return // a bridge that tries its rights causes it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) < maxSaid {
		s.lines = append(s.lines, line)
	}
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// These implement server.Logger.

func (s *said) Warnf(format string, v ...any)  { s.keep(format, v) }
func (s *said) Errorf(format string, v ...any) { s.keep(format, v) }
func (s *said) Fatalf(format string, v ...any) { s.keep(format, v) }
func (s *said) Noticef(string, ...any)         {}
func (s *said) Debugf(string, ...any)          {}
func (s *said) Tracef(string, ...any)          {}
