package view

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

const (
	// lagsEach is how many buckets a doubling has: a bucket ends 19 % above its beginning, so
	// that a quantile is exact to 10 %.
	lagsEach = 4
	// lagBuckets reach beyond maxLag. The first one has everything below a millisecond.
	lagBuckets = 128
	// maxLag: a longer time is a provider's mistake.
	maxLag = 30 * 24 * time.Hour
)

// The times of a prediction that are counted.
const (
	queued    = iota // from its creation until the model ran
	inference        // as long as the model ran
	webhook          // from its end until the webhook came
	lagKinds
)

// lags counts times of predictions by logarithmic buckets.
type lags [lagKinds][lagBuckets]int64

func (l *lags) add(kind int, d time.Duration) {
	if d < 0 || d >= maxLag {
		return
	}
	bucket := 0
	if d >= time.Millisecond {
		bucket = 1 + int(lagsEach*math.Log2(float64(d)/float64(time.Millisecond)))
	}
	l[kind][bucket]++
}

func (l *lags) merge(other *lags) {
	for kind := range other {
		for bucket, n := range other[kind] {
			l[kind][bucket] += n
		}
	}
}

// Lag is what is known of a time of some predictions. P50 and P95 are exact to 10 %.
type Lag struct {
	N        int64
	P50, P95 time.Duration
}

func (l *lags) lag(kind int) Lag {
	out := Lag{}
	for _, n := range l[kind] {
		out.N += n
	}
	out.P50, out.P95 = l.quantile(kind, (out.N+1)/2), l.quantile(kind, (out.N*95+99)/100)
	return out
}

// quantile returns the middle of the bucket that has the rank-th shortest time.
func (l *lags) quantile(kind int, rank int64) time.Duration {
	for bucket, n := range l[kind] {
		if rank -= n; rank <= 0 && n > 0 {
			if bucket == 0 {
				return time.Millisecond / 2
			}
			return time.Duration(math.Exp2((float64(bucket)-0.5)/lagsEach) * float64(time.Millisecond)).Round(time.Millisecond / 10)
		}
	}
	return 0
}

// encode writes each kind as the number of its buckets that have some, and for each of them the
// distance from the one before and how many it has.
func (l *lags) encode() (out []byte) {
	for kind := range l {
		used := 0
		for _, n := range l[kind] {
			if n > 0 {
				used++
			}
		}
		out = binary.AppendUvarint(out, uint64(used)) //nolint:gosec // positive
		before := 0
		for bucket, n := range l[kind] {
			if n > 0 {
				out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(bucket-before)), uint64(n)) //nolint:gosec // positive
				before = bucket
			}
		}
	}
	return out
}

var errLags = fmt.Errorf("times of predictions: %w", errDamaged)

// addEncoded adds what encode wrote. The error wraps errDamaged for anything else.
func (l *lags) addEncoded(raw []byte) error {
	ok := true
	read := func() uint64 {
		n, size := binary.Uvarint(raw)
		if size <= 0 || n > math.MaxInt64 {
			ok, raw = false, nil
			return 0
		}
		raw = raw[size:]
		return n
	}
	for kind := range l {
		bucket := uint64(0)
		for used := read(); ok && used > 0; used-- {
			if bucket += read(); bucket >= lagBuckets {
				return errLags
			}
			l[kind][bucket] += int64(read()) //nolint:gosec // checked by read
		}
	}
	if !ok || len(raw) > 0 {
		return errLags
	}
	return nil
}
