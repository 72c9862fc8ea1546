package telemetry

import (
	"io"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

const (
	// lineDelay is how long a line of a request may wait in memory, and lineBuffer how many
	// bytes of such lines: a system call for each line is a twentieth of what a webhook costs.
	lineDelay  = 100 * time.Millisecond
	lineBuffer = 64 << 10
)

// RequestMessage is the message of the line that each request writes. At level info it can
// reach the log up to 100 ms late; whatever else is logged takes it along.
const RequestMessage = "request"

// lines gathers lines of requests. It is safe for concurrent use, and no goroutine waits for
// it to end.
type lines struct {
	mu      sync.Mutex
	to      io.Writer
	buf     []byte
	waiting bool // flush will be called
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, line...)
	if len(l.buf) >= lineBuffer {
		return len(line), l.flushLocked()
	}
	if !l.waiting {
		l.waiting = true
		time.AfterFunc(lineDelay, func() { _ = l.Sync() }) // a log that cannot be written can tell nobody
	}
	return len(line), nil
}

// Sync writes the gathered lines.
func (l *lines) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flushLocked()
}

func (l *lines) flushLocked() error {
	l.waiting = false
	if len(l.buf) == 0 {
		return nil
	}
	_, err := l.to.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

// written is called behind each line.
func (l *lines) written(e zapcore.Entry) error {
	if e.Message == RequestMessage && e.Level == zapcore.InfoLevel {
		return nil
	}
	return l.Sync()
}
