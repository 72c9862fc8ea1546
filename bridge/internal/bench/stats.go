package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// percentile returns the smallest value that at least p percent of the values do
// not exceed (nearest rank), and zero of no values.
func percentile[T cmp.Ordered](values []T, p float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// spread is what the rounds gave: the median, between the lowest and the highest.
type spread struct {
	low, median, high float64
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{low: sorted[0], median: median, high: sorted[len(sorted)-1]}
}

// over is the spread of one value of the rounds.
func over[T any](rounds []T, value func(T) float64) spread {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = value(r)
	}
	return spreadOf(values)
}

// paired compares two ways round by round. Both have as many rounds.
func paired[T any](a, b []T, compare func(a, b T) float64) spread {
	values := make([]float64, len(a))
	for i := range values {
		values[i] = compare(a[i], b[i])
	}
	return spreadOf(values)
}

func ratio(a, b float64) float64 { return a / b }

func rates(a, b sample) float64 { return a.rate / b.rate }

func inMs(d time.Duration) float64 { return d.Seconds() * 1000 }
