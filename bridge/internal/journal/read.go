package journal

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/raft-wal/types"

	"github.com/hookspan/hookspan/bridge"
)

// Next returns the first records behind a sequence, in order, and waits until there is one or
// ctx ends. It returns at most most of them, and no more than mostBytes of them together
// unless the first alone has more.
//
// Everything up to through is in records, or does not exist: it is damaged (which is an
// alarm), missing, or was never given out. Records may be empty when only through has moved.
// The next call goes on behind through. What is settled is not returned for sure. An error, e.g. too many open files, says nothing about
// the records: call again. After Close it wraps bridge.ErrUnavailable.
func (j *Journal) Next(ctx context.Context, after uint64, most, mostBytes int) (records []Record, through uint64, err error) {
	p := page{most: most, mostBytes: mostBytes}
	for {
		j.mu.Lock()
		grown := j.grown
		switch {
		case j.last <= after:
			j.mu.Unlock()
		case after+1 >= j.hot.from:
			through = j.last
			for _, data := range j.hot.behind(after) {
				if !p.take(data) {
					break
				}
				through = sequenceOf(data)
			}
			if len(p.raw) == 0 {
				through = j.last
			}
			j.mu.Unlock()
			records, err = p.decode()
			return records, through, err
		default:
			j.mu.Unlock()
			return j.nextFromDisk(after, p)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, after, fmt.Errorf("reading the journal: %w", ctx.Err())
		case <-j.closing:
			return nil, after, fmt.Errorf("reading the journal: %w: %w", bridge.ErrUnavailable, errClosed)
		}
	}
}

func (j *Journal) nextFromDisk(after uint64, p page) ([]Record, uint64, error) {
	j.reading.Lock()
	defer j.reading.Unlock()
	p.copies = true
	through, err := j.reader.read(after, p.take)
	if err != nil && through == after {
		return nil, after, fmt.Errorf("reading the journal: %w", err)
	}
	records, err := p.decode()
	return records, through, err
}

// Each calls visit with every record that is not settled, in order, as they are when it is
// called, until visit returns an error, which it returns. Damaged records are passed over with
// an alarm. The body is valid during the call only.
func (j *Journal) Each(ctx context.Context, visit func(Record) error) error {
	j.mu.Lock()
	after, last := j.position.Settled, j.last
	j.mu.Unlock()
	if after >= last {
		return nil
	}
	var stop error
	_, err := (&reader{j: j}).read(after, func(data []byte) bool {
		if sequenceOf(data) > last {
			return false
		}
		if stop = ctx.Err(); stop != nil {
			return false
		}
		record, err := decode(data, markOf(data))
		if err == nil {
			err = visit(record)
		}
		stop = err
		return err == nil
	})
	if err := errors.Join(stop, err); err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	return nil
}

// page gathers raw records within limits.
type page struct {
	most, mostBytes int
	copies          bool // what is taken is only valid until the next
	raw             [][]byte
}

func (p *page) take(data []byte) bool {
	if len(p.raw) > 0 && (len(p.raw) >= p.most || len(data) > p.mostBytes) {
		return false
	}
	p.mostBytes -= len(data)
	if p.copies {
		data = append([]byte(nil), data...)
	}
	p.raw = append(p.raw, data)
	return true
}

func (p *page) decode() ([]Record, error) {
	records := make([]Record, len(p.raw))
	for i, data := range p.raw {
		var err error
		if records[i], err = decode(data, markOf(data)); err != nil {
			return nil, fmt.Errorf("reading record %d of the journal: %w", sequenceOf(data), err)
		}
	}
	return records, nil
}

// reader reads records from the disk. It goes on where it stopped.
type reader struct {
	j    *Journal
	scan scanner
	path string // of the segment where it stopped
	at   int64  // where in the segment
	next uint64 // no record before it lies behind at
	told uint64 // losses up to here have had their alarm
}

// read calls take with the records behind a sequence until take refuses one. Everything up to
// through was taken or does not exist.
func (r *reader) read(after uint64, take func([]byte) bool) (through uint64, err error) {
	next := after + 1
	for {
		r.j.mu.Lock()
		p, ok := locate(r.j.generations, next)
		last := r.j.last
		r.j.mu.Unlock()
		if !ok {
			return max(last, next-1), nil
		}
		var more bool
		if next, more, err = r.segment(p, take); err != nil || !more {
			return next - 1, err
		}
	}
}

// segment reads one place. It returns the first sequence that was not taken.
func (r *reader) segment(p place, take func([]byte) bool) (next uint64, more bool, err error) {
	next = p.from
	if p.file == "" {
		r.lost(p, next, p.upper)
		return p.upper + 1, true, nil
	}
	file, err := r.j.cfg.vfs.OpenReader(r.j.path(p.generation), p.file)
	if errors.Is(err, os.ErrNotExist) {
		r.lost(p, next, p.upper)
		return p.upper + 1, true, nil
	}
	if err != nil {
		return next, false, err
	}
	defer func() { _ = file.Close() }()
	return r.records(p, file, take)
}

func (r *reader) records(p place, file types.ReadableFile, take func([]byte) bool) (next uint64, more bool, err error) {
	next = p.from
	if r.path != p.path() || r.next > next {
		r.path, r.at = p.path(), 0
	}
	r.scan.file, r.scan.mark = file, p.mark
	r.scan.seek(r.at)
	r.next = next
	for next <= p.upper {
		data, begins, err := r.scan.next()
		if err != nil {
			return next, false, err
		}
		if data == nil {
			break
		}
		sequence := sequenceOf(data)
		if sequence < next {
			continue
		}
		if sequence > p.upper {
			break
		}
		if !take(data) {
			r.at = begins
			return next, false, nil
		}
		if sequence > next {
			r.lost(p, next, sequence-1)
		}
		next = sequence + 1
		r.at, r.next = r.scan.position(), next
	}
	if next <= p.upper {
		r.lost(p, next, p.upper)
	}
	return p.upper + 1, true, nil
}

// lost tells of records that are damaged or missing, unless they are settled or told of.
func (r *reader) lost(p place, first, last uint64) {
	r.j.mu.Lock()
	first = max(first, r.j.position.Settled+1, r.told+1)
	r.j.mu.Unlock()
	if p.reported != 0 {
		last = min(last, p.reported-1)
	}
	if first > last {
		return
	}
	r.told = last
	path := r.j.path(p.path())
	r.j.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmJournalDamaged, Subject: p.path(),
		Text: fmt.Sprintf("%d records of the journal (sequences %d to %d) in %s are damaged or missing and are passed over. All others are kept. "+
			"Check the disk, and compare with the senders what came at that time.", last-first+1, first, last, path),
		Details: map[string]any{"file": path, "first": first, "last": last, "records": last - first + 1},
	})
}
