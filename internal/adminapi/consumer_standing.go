package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

// Judge sets State, Since, Reason and Failures by the other fields and the reports of
// the consumer's processes. One process that succeeds is enough for a consumer not to
// be failing or blocked. Failing is said only while events wait: one whose failed
// events are all dead letters has nothing left to fail.
func (s *ConsumerState) Judge(reports []bridge.ConsumerReport) {
	r := combine(reports)
	s.State, s.Since, s.Reason, s.Failures = s.standing(r.State), time.Time{}, "", 0
	if s.State == r.State {
		s.Since, s.Reason, s.Failures = r.Since, printable.String(bridge.Truncate(r.Reason, bridge.MaxReason)), r.Failures
	}
}

func (s *ConsumerState) standing(reported bridge.Standing) bridge.Standing {
	switch {
	case s.Missing:
		return bridge.StandingMissing
	case s.Orphaned:
		return bridge.StandingOrphaned
	case !s.PausedUntil.IsZero():
		return bridge.StandingPaused
	case reported == bridge.StandingBlocked:
		return bridge.StandingBlocked
	case reported == bridge.StandingFailing && (s.Pending > 0 || s.Unsettled > 0 || s.Later > 0):
		return bridge.StandingFailing
	case s.Unread:
		return bridge.StandingUnread
	case s.Pending > 0:
		return bridge.StandingBehind
	case s.Later > 0 || s.Unsettled > 0 && s.Redelivered > 0:
		return bridge.StandingWaiting
	}
	return bridge.StandingCurrent
}

// combine returns what the processes report together: nothing when one of them
// succeeds, else the worst, since the earliest.
func combine(reports []bridge.ConsumerReport) bridge.ConsumerReport {
	var all bridge.ConsumerReport
	failures := 0
	for _, r := range reports {
		failures += max(0, r.Failures)
		switch {
		case r.State == bridge.StandingWell:
			return bridge.ConsumerReport{}
		case r.State != bridge.StandingFailing && r.State != bridge.StandingBlocked:
		case all.State == "", r.State == bridge.StandingBlocked && all.State == bridge.StandingFailing,
			r.State == all.State && r.Since.Before(all.Since):
			all = r
		}
	}
	if all.State == bridge.StandingFailing {
		all.Failures = failures
	}
	return all
}
