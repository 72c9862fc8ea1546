package journal

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/hashicorp/raft-wal/types"

	"github.com/hookspan/hookspan/bridge"
)

// A batch ends at either limit, so that nobody waits long for those before him.
const (
	batchRecords = 1024
	batchBytes   = 8 << 20
)

// committer is the only one who writes records. It syncs whatever waits at once, without a
// timer: while the disk syncs one batch the next one gathers.
type committer struct {
	j      *Journal
	writer *writer // nil: the next append begins a generation
	next   uint64  // the sequence to give out
	batch  []*request
	// entries is the batch as the engine takes it.
	entries []types.LogEntry
}

func (c *committer) run() {
	defer close(c.j.ended)
	for {
		select {
		case req := <-c.j.queue:
			c.gather(req)
			c.commit()
		case <-c.j.closing:
			if c.writer != nil {
				c.writer.close()
			}
			return
		}
	}
}

// gather makes a batch of the first request and what waits behind it, as far as there is room.
func (c *committer) gather(req *request) {
	clear(c.batch)
	c.batch = c.batch[:0]
	for records, size, yielded := 0, int64(0), -1; ; {
		if req.take() {
			// What is settled while the batch is gathered makes room for the next request of it.
			if more := req.size - req.credit; more > 0 && size+more > c.j.room() {
				req.answer <- c.j.full()
			} else {
				c.batch = append(c.batch, req)
				records, size = records+len(req.records), size+req.size
			}
		}
		if records >= batchRecords || size >= batchBytes {
			return
		}
		// Whoever is about to append runs first, as long as that makes the batch larger: under
		// load it becomes several times as large, and alone nobody waits.
		if len(c.j.queue) == 0 && yielded != records {
			yielded = records
			runtime.Gosched()
		}
		select {
		case req = <-c.j.queue:
		default:
			return
		}
	}
}

func (c *committer) commit() {
	if len(c.batch) == 0 {
		return
	}
	c.j.busy.Store(int64(max(1, time.Since(c.j.opened))))
	err := c.write()
	var renewed error // the records are stored whatever it is
	if err == nil && slices.ContainsFunc(c.batch, func(r *request) bool { return r.renew }) {
		c.giveUp()
		renewed = c.begin()
	}
	c.j.busy.Store(0)
	if err != nil {
		c.giveUp()
	}
	c.j.outcome(err)
	for _, req := range c.batch {
		if req.renew {
			req.answer <- cmp.Or(err, renewed)
			continue
		}
		req.answer <- err
	}
	if err != nil || renewed != nil {
		return
	}
	rotated, err := c.writer.rotate()
	if err != nil {
		// Everybody has an answer. The next append begins a generation, or says why not.
		c.j.warn("beginning a segment of the journal", err)
		c.giveUp()
	}
	if rotated {
		c.j.wake(c.j.rotated)
	}
}

// write returns when the batch is synced and can be read.
func (c *committer) write() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.stamp()
	if len(c.entries) == 0 { // Begin
		return nil
	}
	start := time.Now()
	err := c.writer.tail.Append(c.entries)
	// Also after a failure: a later process may find the records.
	c.next += uint64(len(c.entries))
	if err != nil {
		if c.writer.noRoom(err) {
			return fmt.Errorf("appending to the journal: %w: %w: make room on the disk of %s", bridge.ErrFull, err, c.j.dir)
		}
		return fmt.Errorf("appending to the journal: %w: %w: see to the disk of %s", bridge.ErrUnknown, err, c.j.dir)
	}
	c.j.metrics.observe(len(c.entries), time.Since(start))
	c.j.appended(c.writer.gen, c.batch)
	return nil
}

// begin begins a generation unless there is one.
func (c *committer) begin() error {
	if c.writer != nil {
		return nil
	}
	w, err := c.j.begin(c.next)
	if err != nil {
		return fmt.Errorf("appending to the journal: %w: %w: see to the folder %s: it must be writable and its disk have room", notStored(err), err, c.j.dir)
	}
	c.writer = w
	return nil
}

// stamp makes entries of the batch.
func (c *committer) stamp() {
	clear(c.entries)
	c.entries = c.entries[:0]
	sequence := c.next
	for _, req := range c.batch {
		req.first = sequence
		for _, e := range req.records {
			e.stamp(c.writer.gen.mark, sequence, len(c.entries))
			c.entries = append(c.entries, types.LogEntry{Index: sequence, Data: e.data})
			sequence++
		}
	}
}

func notStored(err error) error {
	if isNoRoom(err) {
		return bridge.ErrFull
	}
	return bridge.ErrUnavailable
}

// giveUp: nothing may be written behind a tail of which it is not known what the disk has.
// Reading it back would prove nothing, as the page cache answers.
func (c *committer) giveUp() {
	if c.writer != nil {
		c.writer.close()
		c.writer = nil
	}
}
