package consumertest

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Acknowledgements after which the server does not deliver the event again.
const (
	verdictAck  = "+ACK"
	verdictTerm = "+TERM"
)

type place struct {
	consumer string
	sequence uint64
}

type acks struct {
	mu      sync.Mutex
	settled map[place]string
	changed chan struct{} // closed, and made anew, whenever settled changes
}

func newAcks() *acks {
	return &acks{settled: make(map[place]string), changed: make(chan struct{})}
}

// take reads an acknowledgement. Its subject is
// $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence in the stream>.… (nats-server 2.15).
func (a *acks) take(m *nats.Msg) {
	verdict, _, _ := strings.Cut(string(m.Data), " ")
	parts := strings.Split(m.Subject, ".")
	if len(parts) < 6 || verdict != verdictAck && verdict != verdictTerm {
		return
	}
	sequence, err := strconv.ParseUint(parts[5], 10, 64)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settled[place{parts[3], sequence}] = verdict
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *acks) get(p place) (string, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settled[p], a.changed
}

// wait returns the verdict on the event, or false when there is none in time.
func (a *acks) wait(p place, patience time.Duration) (string, bool) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		verdict, changed := a.get(p)
		if verdict != "" {
			return verdict, true
		}
		select {
		case <-changed:
		case <-late.C:
			return "", false
		}
	}
}
