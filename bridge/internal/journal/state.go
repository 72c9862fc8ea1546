package journal

import (
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
		Last: j.last, Settled: j.position.Settled,
	}
	if j.failure != nil {
		s.Failure = j.failure.Error()
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
	j.Look()
	return fmt.Errorf("appending to the journal: %w: it holds its %d bytes: see why the streams do not take them, or raise journal.max_bytes", bridge.ErrFull, j.cfg.MaxBytes)
}

// outcome notes how the last append went. A change is logged.
func (j *Journal) outcome(err error) {
	j.mu.Lock()
	before := j.failure
	j.failure = err
	j.mu.Unlock()
	switch {
	case err == nil && before != nil:
		j.cfg.Log.Info("journal: appending again")
	case err != nil && before == nil:
		j.cfg.Log.Error("journal: appending failed", zap.Error(err))
		j.Look()
	}
}
