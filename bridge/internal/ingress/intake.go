package ingress

import (
	"container/list"
	"fmt"
	"io"
	"sync"
)

// Bytes of a body are reserved in small steps at first, so that a sender of one byte holds
// little, and in large steps later.
const (
	firstStep = 4 << 10
	nextStep  = 64 << 10
)

// intake bounds the bodies in memory: how many are arriving, how many are being processed,
// and their bytes. An announced length reserves nothing, because it costs its sender
// nothing. When there is no room, the body that has been arriving longest gives way, so
// that slow senders cannot keep quick ones out. Only bodies that are being processed are
// never evicted.
type intake struct {
	maxRequests int
	maxBytes    int64
	maxBody     int64

	mu       sync.Mutex
	arriving list.List // of *incoming, the oldest first
	working  int
	bytes    int64
}

// incoming reads one body. intake.mu guards its fields except from, read and progress.
type incoming struct {
	all  *intake
	from io.Reader
	read int64 // bytes of the body and of a large header
	// progress is called when a part has come.
	progress func()

	// interrupt ends a Read of from that waits for the sender.
	interrupt func()
	place     *list.Element // in arriving; nil: whole, or evicted
	held      int64
	worked    bool
}

// begin takes a place among the arriving bodies; header is the size of the request's
// header. The caller must call end in any case.
func (in *intake) begin(from io.Reader, header int64, progress, interrupt func()) *incoming {
	b := &incoming{all: in, from: from, read: header, progress: progress, interrupt: interrupt}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.arriving.Len() >= in.maxRequests {
		in.giveWay(in.arriving.Front().Value.(*incoming))
	}
	b.place = in.arriving.PushBack(b)
	return b
}

// giveWay releases everything that an arriving body holds. in.mu is held, so the body's
// handler is still there.
func (in *intake) giveWay(b *incoming) {
	in.arriving.Remove(b.place)
	b.place = nil
	in.bytes -= b.held
	b.held = 0
	b.interrupt()
}

func (b *incoming) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.read += int64(n)
	b.progress()
	if reserveErr := b.all.reserve(b); reserveErr != nil {
		return n, reserveErr
	}
	return n, err
}

var errGaveWay = fmt.Errorf("%w: too many bodies arrive, and this one has taken longest", errBusy)

func (in *intake) reserve(b *incoming) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for b.place != nil && b.held < b.read {
		step := int64(firstStep)
		if b.held >= nextStep {
			step = nextStep
		}
		step = max(min(step, in.maxBody-b.held), b.read-b.held)
		for b.place != nil && in.bytes+step > in.maxBytes {
			in.giveWay(in.arriving.Front().Value.(*incoming)) // perhaps b itself
		}
		if b.place != nil {
			in.bytes += step
			b.held += step
		}
	}
	if b.place == nil {
		return errGaveWay
	}
	return nil
}

// arrived moves a whole body from arriving to processing.
func (b *incoming) arrived() error {
	in := b.all
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case b.place == nil:
		return errGaveWay
	case in.working >= in.maxRequests:
		return fmt.Errorf("%w: %d requests", errBusy, in.maxRequests)
	}
	in.arriving.Remove(b.place)
	b.place = nil
	in.working++
	b.worked = true
	return nil
}

// end releases everything.
func (b *incoming) end() {
	in := b.all
	in.mu.Lock()
	defer in.mu.Unlock()
	if b.place != nil {
		in.arriving.Remove(b.place)
		b.place = nil
	}
	if b.worked {
		in.working--
		b.worked = false
	}
	in.bytes -= b.held
	b.held = 0
}

func (in *intake) counts() (arriving, working int, bytes int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.arriving.Len(), in.working, in.bytes
}
