package view

import (
	"encoding/binary"
	"fmt"
	"time"
)

// histogramPoints is how many points a histogram has.
const histogramPoints = 20

// Histogram counts moments in twenty spans of equal length, which cover all of them. The length
// is a power of two in seconds: it doubles whenever a moment does not fit, and never shrinks.
type Histogram struct {
	start, step int64 // in seconds; step 0: it is empty
	counts      [histogramPoints]int64
}

// Points returns the beginning of the first span, the length of each, and the twenty counts.
func (h *Histogram) Points() (start time.Time, step time.Duration, counts []int64) {
	return time.Unix(h.start, 0).UTC(), time.Duration(h.step) * time.Second, h.counts[:]
}

// fit widens the spans until the moment is in one of them. Spans begin at multiples of their
// length, so that longer ones hold whole shorter ones.
func (h *Histogram) fit(at int64) {
	if h.step > 0 && at >= h.start && at < h.start+histogramPoints*h.step {
		return
	}
	lo, hi, step := at, at, max(h.step, 1)
	for i, n := range h.counts {
		if begin := h.start + int64(i)*h.step; n > 0 {
			lo, hi = min(lo, begin), max(hi, begin)
		}
	}
	for floor(hi, step)-floor(lo, step) >= histogramPoints*step {
		step *= 2
	}
	wider := Histogram{start: floor(lo, step), step: step}
	for i, n := range h.counts {
		if n > 0 {
			wider.counts[(h.start+int64(i)*h.step-wider.start)/step] += n
		}
	}
	*h = wider
}

func (h *Histogram) add(t time.Time) {
	at := t.Unix()
	h.fit(at)
	h.counts[(at-h.start)/h.step]++
}

// remove takes back what was added.
func (h *Histogram) remove(t time.Time) {
	if at := t.Unix(); h.step > 0 && at >= h.start && at < h.start+histogramPoints*h.step {
		h.counts[(at-h.start)/h.step]--
	}
}

func (h *Histogram) encode() []byte {
	out := binary.AppendVarint(binary.AppendVarint(nil, h.start), h.step)
	for _, n := range h.counts {
		out = binary.AppendVarint(out, n)
	}
	return out
}

// decodeHistogram reads what encode wrote; nothing is an empty one.
func decodeHistogram(raw []byte) (h Histogram, err error) {
	if len(raw) == 0 {
		return h, nil
	}
	read := func() int64 {
		n, size := binary.Varint(raw)
		if size <= 0 {
			err = fmt.Errorf("a histogram: %w", errDamaged)
			raw = nil
			return 0
		}
		raw = raw[size:]
		return n
	}
	h.start, h.step = read(), read()
	for i := range h.counts {
		h.counts[i] = read()
	}
	if err == nil && (h.step < 1 || h.step > 1<<40) {
		err = fmt.Errorf("a histogram: %w", errDamaged)
	}
	return h, err
}
