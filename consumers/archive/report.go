package archive

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/hookspan/hookspan/consumers"
)

const maxFaults = 3

// verdict turns the faults of an attempt into the error for the consumer: nil without any,
// permanent when all are final, else one that asks for a retry.
func verdict(faults []*fault, outputs int) error {
	if len(faults) == 0 {
		return nil
	}
	var list error
	for i, f := range faults {
		switch {
		case i == 0:
			list = f
		case i < maxFaults:
			list = fmt.Errorf("%w; %w", list, f)
		case i == maxFaults:
			list = fmt.Errorf("%w; and %d more", list, len(faults)-maxFaults)
		}
	}
	err := fmt.Errorf("%d of %d outputs failed: %w", len(faults), outputs, list)
	if allFinal(faults) {
		return consumers.Permanent(err)
	}
	return err
}

func longestAfter(faults []*fault) (longest time.Duration) {
	for _, f := range faults {
		longest = max(longest, f.after)
	}
	return longest
}

func allFinal(faults []*fault) bool {
	return !slices.ContainsFunc(faults, func(f *fault) bool { return !f.final })
}

// summary is the note about an attempt, such as "3 outputs, 12 MB" or "2 of 3
// outputs, 1 gone (404)".
func summary(outputs []manifestOutput, faults []*fault) string {
	noun := "outputs"
	if len(outputs) == 1 {
		noun = "output"
	}
	if len(faults) == 0 {
		var size int64
		for _, o := range outputs {
			size += o.Bytes
		}
		return fmt.Sprintf("%d %s, %s", len(outputs), noun, humanBytes(size))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d %s", len(outputs)-len(faults), len(outputs), noun)
	counts := make(map[string]int)
	for _, f := range faults {
		counts[f.short]++
	}
	for _, short := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, ", %d %s", counts[short], short)
	}
	return b.String()
}

func humanBytes(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
