package adminapi

// Progress is the progress of a call that looks at entries.
type Progress struct {
	LookedAt int
	// Stopped says why the call ended early, or that it took too long.
	Stopped string
}

// Progress returns the progress of the call.
func (r *RedeliveryReport) Progress() Progress {
	return Progress{r.LookedAt, stopped(r.Stopped, r.More)}
}

// Progress returns the progress of the call.
func (r *KeptReport) Progress() Progress { return Progress{r.LookedAt, stopped(r.Stopped, r.More)} }

// Nothing returns the error of a call that ended before it looked at an entry.
func (r *RedeliveryReport) Nothing() error { return nothing(r.LookedAt, r.Err) }

// Nothing returns the error of a call that ended before it looked at an entry.
func (r *KeptReport) Nothing() error { return nothing(r.LookedAt, r.Err) }

func nothing(lookedAt int, err error) error {
	if lookedAt > 0 {
		return nil
	}
	return err
}

func stopped(why string, more bool) string {
	if why == "" && more {
		why = "the call took too long"
	}
	return why
}

// NewRedeliveryReport returns the report of the outcomes; stopped is why it ended early.
func NewRedeliveryReport(outcomes map[string]int, dryRun bool, stopped string) RedeliveryReport {
	out := RedeliveryReport{DryRun: dryRun, Stopped: stopped, Remaining: map[string]int{}}
	for outcome, n := range outcomes {
		out.LookedAt += n
		switch outcome {
		case OutcomeGiven:
			out.Given += n
		case OutcomeHandled:
			out.Skipped += n
		case OutcomeDropped:
			out.Dropped += n
		default:
			out.Remaining[outcome] += n
		}
	}
	return out
}

// NewKeptReport is [NewRedeliveryReport] for kept deliveries.
func NewKeptReport(outcomes map[string]int, dryRun bool, stopped string) KeptReport {
	out := KeptReport{DryRun: dryRun, Stopped: stopped, Remaining: map[string]int{}}
	for outcome, n := range outcomes {
		out.LookedAt += n
		switch outcome {
		case OutcomeEvents:
			out.Events += n
			out.Removed += n
		case OutcomeDuplicates:
			out.Duplicates += n
			out.Removed += n
		case OutcomeDropped:
			out.Removed += n
		default:
			out.Remaining[outcome] += n
		}
	}
	return out
}
