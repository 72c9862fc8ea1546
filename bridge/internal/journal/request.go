package journal

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// request is one call of Append on its way to the committer.
type request struct {
	records []encoded
	one     [1]encoded // records of most requests
	at      time.Time
	size    int64
	// credit is how much of what already counts goes away when the records are appended.
	credit int64
	// renew ends the generation behind the records.
	renew  bool
	first  uint64 // set by the committer
	answer chan error
	state  atomic.Int32
}

// States of a request. Either the committer takes it or the caller abandons it.
const (
	waiting = iota
	taken
	abandoned
)

var requests = sync.Pool{New: func() any { return &request{answer: make(chan error, 1)} }}

// put returns a request that the committer has answered.
func (r *request) put() {
	clear(r.records)
	*r = request{answer: r.answer}
	requests.Put(r)
}

func (r *request) take() bool    { return r.state.CompareAndSwap(waiting, taken) }
func (r *request) abandon() bool { return r.state.CompareAndSwap(waiting, abandoned) }

// Append writes the records behind all others and returns nil when all of them are synced to
// the disk. It sets their Sequence, and their At unless that is set, and does not
// keep them. The records of one call are
// synced together; after an error it may be some of them that a later process finds.
//
// Append returns soon after ctx ends, also when the disk does not answer. The error wraps
//   - [bridge.ErrFull]: Config.MaxBytes is reached or the disk has no room. Nothing was stored.
//   - [bridge.ErrUnavailable]: nothing was stored, e.g. the journal is closed or ctx ended.
//   - [bridge.ErrUnknown]: a write or a sync failed, or ctx ended during one. This process
//     does not return the records from Next, unless it was ctx; the next process may.
//   - [bridge.ErrTooLarge]: a record has over 16 MiB encoded, or the call more than MaxBytes
//     or 64 MiB.
//
// It is safe for concurrent use.
func (j *Journal) Append(ctx context.Context, records ...*Record) error {
	return j.append(ctx, 0, records)
}

func (j *Journal) append(ctx context.Context, credit int64, records []*Record) error {
	if len(records) == 0 {
		return nil
	}
	// Without the monotonic reading, as it comes back from the disk.
	req := requests.Get().(*request)
	req.credit, req.at = credit, time.Unix(0, time.Now().UnixNano()).UTC()
	req.records = req.one[:0]
	for _, r := range records {
		at := req.at
		if !r.At.IsZero() { // it was accepted earlier, here or elsewhere
			at = time.Unix(0, r.At.UnixNano()).UTC()
		}
		e, err := encode(r, at)
		if err != nil {
			return err
		}
		req.records = append(req.records, e)
		req.size += int64(len(e.data))
	}
	if req.size > min(maxAppend, j.cfg.MaxBytes) {
		return fmt.Errorf("appending to the journal: %w: %d bytes at once, the journal takes %d", bridge.ErrTooLarge, req.size, min(maxAppend, j.cfg.MaxBytes))
	}
	if err := j.submit(ctx, req); err != nil {
		return err
	}
	for i, r := range records {
		if r.Sequence = req.first + uint64(i); r.At.IsZero() {
			r.At = req.at
		}
	}
	req.put()
	return nil
}

// Import is Append for records of another journal, whose At it keeps. The process that had
// accepted them may have forwarded some, so Import also forgets what the streams had
// acknowledged: a forwarder then looks for the records from their time on.
func (j *Journal) Import(ctx context.Context, records ...*Record) error {
	floors := map[string]uint64{}
	for name := range j.Checkpoint().Streams {
		floors[name] = 0
	}
	j.Settle(0, floors)
	return j.Append(ctx, records...)
}

// maxAppend is what one segment can take beyond its limit: raft-wal counts offsets in 32 bits.
const maxAppend = 64 << 20

// submit returns the committer's answer. After an error the request is not used again.
func (j *Journal) submit(ctx context.Context, req *request) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	select {
	case j.queue <- req:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-j.closing:
		return unavailable(errClosed)
	}
	select {
	case err := <-req.answer:
		return err
	case <-ctx.Done():
		if req.abandon() {
			return unavailable(ctx.Err())
		}
		select {
		case err := <-req.answer:
			return err
		default:
			return fmt.Errorf("appending to the journal: %w: the disk did not answer in time: %w", bridge.ErrUnknown, ctx.Err())
		}
	case <-j.ended:
		if req.abandon() {
			return unavailable(errClosed)
		}
		return <-req.answer
	}
}

func unavailable(cause error) error {
	return fmt.Errorf("appending to the journal: %w: %w", bridge.ErrUnavailable, cause)
}
