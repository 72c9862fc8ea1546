package adminapi

// Progress is the progress of a call that looks at entries.
type Progress struct {
	LookedAt int
	// More is set when there may be more entries after Last.
	More bool
	Last uint64
	// Stopped says why the call ended early.
	Stopped string
}

// Progress returns the progress of the call.
func (r *RedeliveryReport) Progress() Progress {
	return Progress{r.LookedAt, r.More, r.Last, r.Stopped}
}

// Progress returns the progress of the call.
func (r *KeptReport) Progress() Progress { return Progress{r.LookedAt, r.More, r.Last, r.Stopped} }

// Add adds the report of the next call.
func (r *RedeliveryReport) Add(next RedeliveryReport) {
	r.DryRun, r.Last, r.Stopped = next.DryRun, next.Last, next.Stopped
	r.LookedAt += next.LookedAt
	r.Given += next.Given
	r.Skipped += next.Skipped
	r.Dropped += next.Dropped
	addCounts(&r.Remaining, next.Remaining)
}

// Add adds the report of the next call.
func (r *KeptReport) Add(next KeptReport) {
	r.DryRun, r.Last, r.Stopped = next.DryRun, next.Last, next.Stopped
	r.LookedAt += next.LookedAt
	r.Events += next.Events
	r.Duplicates += next.Duplicates
	r.Removed += next.Removed
	addCounts(&r.Remaining, next.Remaining)
}

func addCounts(sum *map[string]int, next map[string]int) {
	if *sum == nil {
		*sum = map[string]int{}
	}
	for cause, n := range next {
		(*sum)[cause] += n
	}
}
