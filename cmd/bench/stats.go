package main

import (
	"fmt"
	"slices"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

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

func inMs(d time.Duration) float64 { return d.Seconds() * 1000 }

// unit writes a spread.
type unit func(spread) string

func percent(s spread) string {
	return fmt.Sprintf("%.0f %% (%.0f to %.0f)", 100*s.median, 100*s.low, 100*s.high)
}

func times(s spread) string {
	return fmt.Sprintf("%.1f times (%.1f to %.1f)", s.median, s.low, s.high)
}

func signedMs(s spread) string {
	return fmt.Sprintf("%+.2f (%+.2f to %+.2f) ms", s.median, s.low, s.high)
}

func decimal(s spread) string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.low, s.high) }
func integer(s spread) string { return fmt.Sprintf("%.0f (%.0f to %.0f)", s.median, s.low, s.high) }

func ms(s spread) string        { return decimal(s) + " ms" }
func wholeMs(s spread) string   { return integer(s) + " ms" }
func seconds(s spread) string   { return decimal(s) + " s" }
func perSecond(s spread) string { return integer(s) + " /s" }
func mibPerSecond(s spread) string {
	return integer(s) + " MiB/s"
}

func mibs(s spread) string { return fmt.Sprintf("%.0f MiB (%.0f to %.0f)", s.median, s.low, s.high) }

// once are the units of a value that was measured once.
func once(format string) unit {
	return func(s spread) string { return fmt.Sprintf(format, s.median) }
}
