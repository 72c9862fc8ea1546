package archive

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	alarmRefused = "archive_source_refused"
	alarmSpace   = "archive_disk_space"

	alarmEvery = time.Minute
	// maxAlarms bounds how many things are remembered. The hosts come from the
	// sender, so there can be any number of them.
	maxAlarms = 256
)

// alarms logs one alarm about one thing at most once per alarmEvery, so that a
// flood of events is not a flood of lines.
type alarms struct {
	logger *zap.Logger

	mu   sync.Mutex
	last map[alarmKey]time.Time
}

type alarmKey struct{ kind, about string }

func newAlarms(logger *zap.Logger) *alarms {
	return &alarms{logger: logger, last: make(map[alarmKey]time.Time)}
}

func (a *alarms) raise(kind, about, message string, fields ...zap.Field) {
	if a.due(alarmKey{kind, about}) {
		a.logger.Error(message, append(fields, zap.String("alarm", kind))...)
	}
}

func (a *alarms) due(key alarmKey) bool {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.last) >= maxAlarms {
		for k, at := range a.last {
			if now.Sub(at) >= alarmEvery {
				delete(a.last, k)
			}
		}
	}
	if _, known := a.last[key]; !known && len(a.last) >= maxAlarms {
		key.about = "" // all further things share one line
	}
	if at, known := a.last[key]; known && now.Sub(at) < alarmEvery {
		return false
	}
	a.last[key] = now
	return true
}
