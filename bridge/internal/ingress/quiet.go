package ingress

import (
	"bytes"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Limits of the lines that requests of one cause may write: a flood of forgeries must not
// flood the log. The next line counts the suppressed ones.
const (
	linesPerSecond = 1
	linesAtOnce    = 10
)

// causeConnection is the cause of net/http's lines about connections.
const causeConnection = "connection"

// netLog takes net/http's lines about connections, such as failed TLS handshakes: whoever
// connects chooses how many there are.
type netLog struct {
	quiet *quiet
	log   *zap.Logger
}

func (l netLog) Write(line []byte) (int, error) {
	if leftOut, ok := l.quiet.allow(http.StatusBadRequest, causeConnection, time.Now()); ok {
		l.log.Info(string(bytes.TrimSpace(line)), zap.Int("left_out", leftOut))
	}
	return len(line), nil
}

// quiet bounds the lines about refused requests. Its zero value is ready and safe for
// concurrent use.
type quiet struct {
	mu     sync.Mutex
	causes map[string]*tally // the keys are words of a fixed list
}

type tally struct {
	lines   *rate.Limiter
	leftOut int
}

// allow reports whether a request may write its line, and how many lines of its cause were
// suppressed since the last one. Accepted requests and our own faults always may.
func (q *quiet) allow(status int, cause string, now time.Time) (leftOut int, ok bool) {
	if status < http.StatusBadRequest || status >= http.StatusInternalServerError && cause != causeBusy {
		return 0, true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.causes[cause]
	if t == nil {
		if q.causes == nil {
			q.causes = make(map[string]*tally)
		}
		t = &tally{lines: rate.NewLimiter(linesPerSecond, linesAtOnce)}
		q.causes[cause] = t
	}
	if !t.lines.AllowN(now, 1) {
		t.leftOut++
		return 0, false
	}
	leftOut, t.leftOut = t.leftOut, 0
	return leftOut, true
}
