package submit

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Results of a submission, values of a metric's label.
const (
	resultAccepted   = "accepted"
	resultReplayed   = "replayed"
	resultRefused    = "refused"    // not accepted, by the provider or by us
	resultBusy       = "busy"       // not accepted now; a later try may be
	resultUnknown    = "unknown"    // accepted or not, nobody knows
	resultUnrecorded = "unrecorded" // accepted, and the bridge could not record it
)

func newTotal() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookspan_submits_total",
		Help: "Predictions that were to be submitted, by source and by what became of them.",
	}, []string{"source", "result"})
}

func (s *Submitter) count(source string, done *bridge.Submitted, err error) {
	if _, ok := s.cfg.Source(source); !ok {
		source = "" // no label for anybody's text
	}
	s.total.WithLabelValues(source, result(done, err)).Inc()
}

func result(done *bridge.Submitted, err error) string {
	failed, _ := errors.AsType[*adminapi.SubmitError](err)
	switch {
	case failed == nil && done.Replayed:
		return resultReplayed
	case failed == nil, done != nil && !failed.Unknown:
		return resultAccepted
	case done != nil:
		return resultUnrecorded
	case failed.Unknown:
		return resultUnknown
	case failed.Status == http.StatusServiceUnavailable || failed.Status == http.StatusTooManyRequests:
		return resultBusy
	}
	return resultRefused
}
