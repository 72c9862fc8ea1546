package journal

import (
	"sort"
	"time"
)

// hotTail holds the newest records as they are on the disk, so that a forwarder that keeps up
// reads nothing. It holds every record from its lower bound on that is not settled.
type hotTail struct {
	records [][]byte // encoded, by sequence
	from    uint64   // records before it are only on the disk
	bytes   int64
	limit   int64
}

func (h *hotTail) push(data []byte) {
	h.records = append(h.records, data)
	for h.bytes += int64(len(data)); h.bytes > h.limit; {
		h.from = sequenceOf(h.records[0]) + 1
		h.pop()
	}
}

func (h *hotTail) pop() {
	h.bytes -= int64(len(h.records[0]))
	h.records[0] = nil
	h.records = h.records[1:]
}

// settle forgets records that nobody needs any more.
func (h *hotTail) settle(through uint64) {
	for len(h.records) > 0 && sequenceOf(h.records[0]) <= through {
		h.pop()
	}
}

// behind returns the records behind a sequence.
func (h *hotTail) behind(after uint64) [][]byte {
	return h.records[sort.Search(len(h.records), func(i int) bool { return sequenceOf(h.records[i]) > after }):]
}

// stretch is a run of records, of which only the sum is kept.
type stretch struct {
	first, last     uint64
	bytes           int64
	firstAt, lastAt time.Time
}

// ledger knows how much waits. A record by itself is not in it: a backlog may be long.
type ledger struct {
	stretches []stretch // by sequence
	bytes     int64
	grain     int64 // a stretch ends at that many bytes
}

func (l *ledger) add(s stretch) {
	l.bytes += s.bytes
	if n := len(l.stretches); n > 0 && l.stretches[n-1].bytes+s.bytes <= l.grain && l.stretches[n-1].last+1 == s.first {
		last := &l.stretches[n-1]
		last.last, last.bytes, last.lastAt = s.last, last.bytes+s.bytes, s.lastAt
		return
	}
	l.stretches = append(l.stretches, s)
}

// settle takes out everything up to a sequence: of a stretch a part in proportion.
func (l *ledger) settle(through uint64) {
	for len(l.stretches) > 0 && l.stretches[0].last <= through {
		l.bytes -= l.stretches[0].bytes
		l.stretches = l.stretches[1:]
	}
	if len(l.stretches) == 0 || l.stretches[0].first > through {
		return
	}
	s := &l.stretches[0]
	part := float64(through+1-s.first) / float64(s.last+1-s.first)
	gone := int64(part * float64(s.bytes))
	s.first, s.bytes, l.bytes = through+1, s.bytes-gone, l.bytes-gone
	s.firstAt = s.firstAt.Add(time.Duration(part * float64(s.lastAt.Sub(s.firstAt))))
}

// oldest is about when the oldest record was appended; zero when none waits.
func (l *ledger) oldest() time.Time {
	if len(l.stretches) == 0 {
		return time.Time{}
	}
	return l.stretches[0].firstAt
}
