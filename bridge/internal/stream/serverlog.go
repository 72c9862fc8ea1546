package stream

import (
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"
)

// serverLog writes the embedded server's log to zap, its notices at level debug.
type serverLog struct {
	log      *zap.SugaredLogger
	lastWord atomic.Pointer[string]
}

func newServerLog(log *zap.Logger) *serverLog {
	return &serverLog{log: log.WithOptions(zap.AddCallerSkip(1)).Sugar()}
}

func (l *serverLog) fatal() error {
	if s := l.lastWord.Load(); s != nil {
		return fmt.Errorf("%s", *s)
	}
	return nil
}

// forget resets the fatal error for the next server.
func (l *serverLog) forget() { l.lastWord.Store(nil) }

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debugf(format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warnf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Errorf(format, v...) }
func (l *serverLog) Debugf(format string, v ...any)  { l.log.Debugf(format, v...) }
func (l *serverLog) Tracef(format string, v ...any)  { l.log.Debugf(format, v...) }

// Fatalf must not end the process: the starter of the server decides.
func (l *serverLog) Fatalf(format string, v ...any) {
	s := fmt.Sprintf(format, v...)
	l.lastWord.CompareAndSwap(nil, &s)
}
