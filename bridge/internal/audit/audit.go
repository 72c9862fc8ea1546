// Package audit keeps who changed what through the API, as lines of JSON in files of the data
// folder. What was submitted has files of its own: it comes by the thousand, and must not push
// out what operators did.
package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// Log is an audit. It is safe for concurrent use. Its zero value is not usable, see [New].
type Log struct {
	log     *zap.Logger
	counter prometheus.Counter
	say     rate.Sometimes

	mu        sync.Mutex
	seq, lost uint64
	acts      series
	submits   series
}

// New returns the audit in the folder dir. It opens no file before it needs one, so it never
// keeps a bridge from starting.
func New(dir string, log *zap.Logger) *Log {
	return &Log{
		log: log, say: rate.Sometimes{Interval: time.Minute},
		counter: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookspan_audit_lost_total",
			Help: "Changes through the API whose line of the audit could not be written.",
		}),
		acts: newSeries(dir, "audit"), submits: newSeries(dir, "audit-submit"),
	}
}

// Collectors returns the metrics.
func (l *Log) Collectors() []prometheus.Collector { return []prometheus.Collector{l.counter} }

// Close closes the files.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.acts.close(), l.submits.close())
}

// Append gives the change its sequence and appends its line, which is on the disk when Append
// returns, unless it is of a submission. A line that cannot be written is counted and logged:
// the change is made already.
func (l *Log) Append(c adminapi.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.append(c); err != nil {
		l.lost++
		l.counter.Inc()
		l.say.Do(func() {
			l.log.Error("a change is not in the audit, and was made all the same: make room on the disk of data_dir, or see who may write there; hookspan_audit_lost_total counts them",
				zap.String("who", c.Who), zap.String("route", c.Route), zap.Error(err))
		})
	}
}

func (l *Log) append(c adminapi.Change) error {
	if l.seq == 0 { // nothing was appended since the start
		newest, err := before(l.files, 0, 1)
		if err != nil {
			return err
		}
		if len(newest) > 0 {
			l.seq = newest[0].Seq
		}
	}
	c.Seq = l.seq + 1
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	of, sync := &l.acts, true
	if c.Scope == adminapi.ScopeSubmit {
		of, sync = &l.submits, false
	}
	if err := of.append(append(line, '\n'), sync); err != nil {
		return err
	}
	l.seq = c.Seq
	return nil
}

// List returns at most limit changes before the sequence, the newest first; zero is from the
// newest on. Next is where the following page begins, zero at the end. Lost counts the lines
// that could not be written.
func (l *Log) List(from uint64, limit int) (changes []adminapi.Change, next, lost uint64, err error) {
	changes, err = before(func() ([]file, []file, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		lost = l.lost
		return l.files()
	}, from, limit+1)
	if len(changes) > limit {
		changes = changes[:limit]
		next = changes[limit-1].Seq
	}
	return changes, next, lost, err
}

// files opens the files of both series, so that they can be read while they are written and
// replaced.
func (l *Log) files() (acts, submits []file, err error) {
	acts, err = l.acts.all()
	submits, failed := l.submits.all()
	return acts, submits, errors.Join(err, failed)
}

// before reads at most limit changes before the sequence, the newest first.
func before(open func() (acts, submits []file, err error), seq uint64, limit int) ([]adminapi.Change, error) {
	files, others, err := open()
	changes, failed := newest(files, seq, limit)
	submitted, failedToo := newest(others, seq, limit)
	changes = append(changes, submitted...)
	slices.SortFunc(changes, func(a, b adminapi.Change) int { return cmp.Compare(b.Seq, a.Seq) })
	return changes[:min(limit, len(changes))], errors.Join(err, failed, failedToo)
}
