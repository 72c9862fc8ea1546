package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/printable"
)

// Judge sets State, Since, Reason and Failures by the other fields and the reports of the
// consumer's processes. One process that succeeds keeps a consumer from being failing or
// blocked. A consumer is failing only while events wait: when all its failed events are dead
// letters, nothing is left to fail.
func (s *ConsumerState) Judge(reports []consumerstate.Report) {
	r := combine(reports)
	s.State, s.Since, s.Reason, s.Failures = s.standing(r.State), time.Time{}, "", 0
	if s.State == r.State {
		s.Since, s.Reason, s.Failures = r.Since, printable.String(printable.Truncate(r.Reason, consumerstate.MaxReason)), r.Failures
	}
}

func (s *ConsumerState) standing(reported consumerstate.State) consumerstate.State {
	switch {
	case s.Missing:
		return consumerstate.Missing
	case s.Orphaned:
		return consumerstate.Orphaned
	case !s.PausedUntil.IsZero():
		return consumerstate.Paused
	case reported == consumerstate.Blocked:
		return consumerstate.Blocked
	case reported == consumerstate.Failing && (s.Pending > 0 || s.Unsettled > 0 || s.Later > 0):
		return consumerstate.Failing
	case s.Unread:
		return consumerstate.Unread
	case s.Pending > 0:
		return consumerstate.Behind
	case s.Later > 0 || s.Unsettled > 0 && s.Redelivered > 0:
		return consumerstate.Waiting
	}
	return consumerstate.Current
}

// combine merges the reports: nothing if a process succeeds, else the worst state, since the
// earliest time.
func combine(reports []consumerstate.Report) consumerstate.Report {
	var all consumerstate.Report
	failures := 0
	for _, r := range reports {
		failures += max(0, r.Failures)
		switch {
		case r.State == consumerstate.Well:
			return consumerstate.Report{}
		case r.State != consumerstate.Failing && r.State != consumerstate.Blocked:
		case all.State == "", r.State == consumerstate.Blocked && all.State == consumerstate.Failing,
			r.State == all.State && r.Since.Before(all.Since):
			all = r
		}
	}
	if all.State == consumerstate.Failing {
		all.Failures = failures
	}
	return all
}
