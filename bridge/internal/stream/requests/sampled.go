package requests

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Sampled returns a logger that writes each message at most once a minute, whatever its fields:
// other programs decide how often there is something to log. zap's own sampler takes 450 KiB.
func Sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return sampled{Core: core, last: &lastLines{at: map[string]time.Time{}}}
	}))
}

type sampled struct {
	zapcore.Core

	last *lastLines
}

// lastLines are by message. Messages are constants, so there are few.
type lastLines struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (l *lastLines) due(e zapcore.Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.at[e.Message]; ok && e.Time.Sub(last) < time.Minute {
		return false
	}
	l.at[e.Message] = e.Time
	return true
}

func (s sampled) With(fields []zapcore.Field) zapcore.Core {
	return sampled{Core: s.Core.With(fields), last: s.last}
}

func (s sampled) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !s.Enabled(e.Level) || !s.last.due(e) {
		return checked
	}
	return s.Core.Check(e, checked)
}
