package journal

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// State is what the journal holds. Records and bytes are of what is not settled; they may be
// off by the part of one stretch of 256 KiB, and after Open by a segment.
type State struct {
	Records  uint64 `json:"records"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	// Oldest is about when the oldest record was appended; zero when none waits.
	Oldest        time.Time `json:"oldest,omitzero"`
	SetAside      int       `json:"set_aside"`
	SetAsideBytes int64     `json:"set_aside_bytes"`
	// Last is the last sequence that is durable.
	Last    uint64 `json:"last"`
	Settled uint64 `json:"settled"`
	// Writing is how long the write under way has taken so far; 0 when there is none.
	Writing time.Duration `json:"-"`
	// Failure is why the last append failed; empty after one that did not.
	Failure string `json:"failure,omitempty"`
}

// State returns what the journal holds now. It does not read the disk.
func (j *Journal) State() State {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := State{
		Bytes: j.ledger.bytes, MaxBytes: j.cfg.MaxBytes, Oldest: j.ledger.oldest(),
		SetAside: j.aside.records, SetAsideBytes: j.aside.bytes,
		Last: j.last, Settled: j.position.Settled, Failure: j.failure,
	}
	if len(j.hot.records) > 0 && j.hot.from <= j.position.Settled+1 {
		s.Oldest = timeOf(j.hot.records[0])
	}
	if busy := j.busy.Load(); busy > 0 {
		s.Writing = time.Since(j.opened) - time.Duration(busy)
	}
	for _, g := range j.generations {
		s.Records += g.waiting(s.Settled)
	}
	return s
}

// room is how many bytes of records may still be appended.
func (j *Journal) room() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cfg.MaxBytes - j.ledger.bytes - j.aside.bytes
}

func (j *Journal) full() error {
	j.checkRoom()
	return fmt.Errorf("appending to the journal: %w: it holds its %d bytes: see why the streams do not take them, or raise journal.max_bytes", bridge.ErrFull, j.cfg.MaxBytes)
}

// checkRoom raises the alarm at 80 % of MaxBytes, once until it falls below 70 %. Callers do
// not hold mu.
func (j *Journal) checkRoom() {
	j.mu.Lock()
	alarm := j.nearlyFull()
	j.mu.Unlock()
	if alarm != nil {
		j.cfg.Alarms.Raise(*alarm)
	}
}

func (j *Journal) nearlyFull() *bridge.Alarm {
	used := j.ledger.bytes + j.aside.bytes
	if used < j.cfg.MaxBytes/10*7 {
		j.fullAlarm = false
	}
	if j.fullAlarm || used < j.cfg.MaxBytes/10*8 {
		return nil
	}
	j.fullAlarm = true
	return &bridge.Alarm{
		Kind: bridge.AlarmJournalFull,
		Text: fmt.Sprintf("The journal is more than 80 %% full: %d of %d bytes wait, %d of them set aside. When it is full, deliveries are refused with 503. "+
			"See why NATS does not take them, resend what is set aside, or raise journal.max_bytes.", used, j.cfg.MaxBytes, j.aside.bytes),
		Details: map[string]any{"bytes": used, "max_bytes": j.cfg.MaxBytes, "set_aside_bytes": j.aside.bytes},
	}
}

// outcome notes how the last append went. The first failure after a success is an alarm.
func (j *Journal) outcome(err error) {
	j.mu.Lock()
	before := j.failure
	if j.failure = ""; err != nil {
		j.failure = err.Error()
	}
	j.mu.Unlock()
	switch {
	case err == nil && before != "":
		j.cfg.Log.Info("journal: appending again")
	case err != nil && before == "":
		j.cfg.Log.Error("journal: appending failed", zap.Error(err))
		unknown := ""
		if errors.Is(err, bridge.ErrUnknown) {
			unknown = " What was being written then may or may not be stored; it was not called stored."
		}
		j.cfg.Alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmJournalFailed,
			Text: fmt.Sprintf("The journal cannot be written: %v. Deliveries are refused until it can.%s Check the disk of %s.", err, unknown, j.dir),
		})
	}
}
