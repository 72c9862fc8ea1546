package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// service is what a bridge forwards events to. It answers at once, and notes when each
// prediction came first.
type service struct {
	mu      sync.Mutex
	came    map[string]time.Time
	answers []int // of the first requests, one after the other; then rest
	rest    int
}

// serve serves on a free port until the rig is closed, and returns the address.
func (s *service) serve(r *rig.Rig) (url string) { return r.Serve(s) + "/events" }

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	begin := bytes.Index(body, []byte("pred_"))
	if err != nil || begin < 0 {
		return // the client hung up, and will post it again
	}
	s.mu.Lock()
	id := string(body[begin:][:len(rig.AnyID)])
	if _, again := s.came[id]; !again {
		s.came[id] = at
	}
	status := s.rest
	if len(s.answers) > 0 {
		status, s.answers = s.answers[0], s.answers[1:]
	}
	s.mu.Unlock()
	w.WriteHeader(status)
}

// begin notes anew, and answers with so many refusals before the other status.
func (s *service) begin(refusals, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came, s.answers, s.rest = map[string]time.Time{}, slices.Repeat([]int{http.StatusUnprocessableEntity}, refusals), status
}

// wait returns when each prediction came, once so many have.
func (s *service) wait(r *rig.Rig, n int) map[string]time.Time {
	rig.Check(r.Until(fmt.Sprintf("%d events are forwarded", n), 5*patience, 5*time.Millisecond, func(context.Context) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.came) >= n
	}))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came
}

// rate is how many came in a second, all but the first fifth.
func rate(came map[string]time.Time) float64 {
	all := make([]time.Time, 0, len(came))
	for _, at := range came {
		all = append(all, at)
	}
	slices.SortFunc(all, time.Time.Compare)
	warm := len(all) / 5
	return float64(len(all)-warm) / all[len(all)-1].Sub(all[warm]).Seconds()
}

// serviceName is the consumer that forwards.
const serviceName = "service"

// forwardTo is the configuration of a bridge whose one consumer forwards failed
// predictions to a service.
func forwardTo(url string, concurrency int, more string) string {
	return fmt.Sprintf(`consumers: {archive: {enabled: false}, %s: {kind: forward, url: %q, secret: "env:GET3W_WEBHOOK_SECRET", concurrency: %d, allow_private: true, filter: {status: failed}%s}}`,
		serviceName, url, concurrency, more)
}
