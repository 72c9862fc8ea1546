package submit

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Results of a submission, as they are counted.
const (
	resultAccepted   = "accepted"
	resultReplayed   = "replayed"
	resultRefused    = "refused"    // by the provider or by us: it was not accepted
	resultBusy       = "busy"       // it was not accepted, and may be when it is sent again
	resultUnknown    = "unknown"    // whether it was accepted
	resultUnrecorded = "unrecorded" // it was accepted, and the bridge could not write it down
)

func newTotal() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookspan_submits_total",
		Help: "Predictions that were to be submitted, by source and by what became of them.",
	}, []string{"source", "result"})
}

func (s *Submitter) count(source string, done *bridge.Submitted, err error) {
	if _, ok := s.cfg.Source(source); !ok {
		source = "" // anybody's text is no label
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
