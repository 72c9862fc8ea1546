package quarantine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/printable"
)

// Limits of the ring of refused deliveries. Their senders proved nothing, so the ring takes
// only little disk time and memory.
const (
	// maxRefusedWaiting and maxRefusedWaitingBytes bound the entries that wait for their write.
	maxRefusedWaiting      = 4096
	maxRefusedWaitingBytes = 16 << 20
	// Every refusedGap a block is written, of at most that many entries and bytes; one entry
	// may be larger.
	refusedGap        = 250 * time.Millisecond
	refusedBlock      = 64
	refusedBlockBytes = 2 << 20
	// refusedTimeout bounds one write. While the store is away, a block is tried for
	// refusedPatience, every refusedRetry.
	refusedTimeout  = 2 * time.Second
	refusedPatience = time.Minute
	refusedRetry    = time.Second
	refusedFarewell = 2 * time.Second
	// The rate of diagnoses, in bytes of bodies; a body counts as at least diagnosisLeast.
	diagnosisRate, diagnosisBurst = 256 << 10, 2 << 20
	diagnosisLeast, diagnosisMost = 4 << 10, 64 << 10
	// entryBytes is the size of an entry without body and headers.
	entryBytes = 2 << 10
)

// Reasons to drop an entry, as label values.
const (
	droppedAddress  = "address" // its address exceeds its quota
	droppedAll      = "all"     // all addresses together exceed theirs
	droppedWaiting  = "waiting" // too many entries wait for their write
	droppedTooLarge = "too_large"
	droppedStore    = "store" // the write failed
)

// Refused is the ring of deliveries that were not authentic, so that a mistyped secret can be
// repaired. It makes no promise: it counts and drops what exceeds its limits. It is safe for
// concurrent use.
type Refused struct {
	store  stream.BlockStorer
	names  bridge.Names
	alarms bridge.Alarmer
	log    *zap.Logger

	limits    refusedLimits
	diagnoses *rate.Limiter
	refused   *prometheus.CounterVec
	kept      *prometheus.CounterVec
	dropped   *prometheus.CounterVec

	mu      sync.Mutex
	waiting []offer
	bytes   int
	wake    chan struct{}
}

type offer struct {
	w        *bridge.KeptDelivery
	diagnose func(*bridge.KeptDelivery)
}

func (o offer) bytes() int { return cap(o.w.Body) + o.w.HeaderBytes() + entryBytes }

// NewRefused returns a ring that [Refused.Run] writes to store. That should be the publisher of
// the stream: the room of the journal is for accepted deliveries.
func NewRefused(store stream.BlockStorer, names bridge.Names, alarms bridge.Alarmer, log *zap.Logger) *Refused {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	r := &Refused{
		store: store, names: names, alarms: alarms, log: log,
		limits:    newRefusedLimits(),
		diagnoses: rate.NewLimiter(diagnosisRate, diagnosisBurst),
		refused:   counter("hookspan_refused_total", "Deliveries offered to the ring of refused ones: not_authentic, path_token or too_large.", "source", "cause"),
		kept:      counter("hookspan_refused_kept_total", "Refused deliveries that were written, by what the diagnosis found.", "source", "cause"),
		dropped:   counter("hookspan_refused_dropped_total", "Refused deliveries that were not kept: too many of an address or of all, too many waiting, or the store did not take them.", "reason"),
		wake:      make(chan struct{}, 1),
	}
	for _, reason := range []string{droppedAddress, droppedAll, droppedWaiting, droppedTooLarge, droppedStore} {
		r.dropped.WithLabelValues(reason) // present as zero from the start
	}
	return r
}

// Collectors returns the metrics. Label values are names of configured sources and words of
// fixed lists.
func (r *Refused) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.refused, r.kept, r.dropped}
}

// Offer hands over a delivery, which then belongs to the ring. It is cheap and never blocks.
// diagnose, unless nil, is called later on another goroutine to set cause and detail, if the
// delivery is within the limits.
func (r *Refused) Offer(w *bridge.KeptDelivery, diagnose func(*bridge.KeptDelivery)) {
	r.refused.WithLabelValues(w.Source, w.Cause).Inc()
	if reason := r.take(offer{w, diagnose}); reason != "" {
		r.dropped.WithLabelValues(reason).Inc()
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // Run is notified already
	}
}

// take queues the offer, or returns the reason to drop it.
func (r *Refused) take(o offer) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := o.bytes()
	if len(r.waiting) >= maxRefusedWaiting || r.bytes+size > maxRefusedWaitingBytes {
		return droppedWaiting
	}
	if reason := r.limits.admit(o.w.RemoteAddr, size, time.Now()); reason != "" {
		return reason
	}
	r.waiting = append(r.waiting, o)
	r.bytes += size
	return ""
}

func (r *Refused) next() []offer {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, size := 0, 0
	for n < len(r.waiting) && n < refusedBlock && (n == 0 || size+r.waiting[n].bytes() <= refusedBlockBytes) {
		size += r.waiting[n].bytes()
		n++
	}
	block := append([]offer(nil), r.waiting[:n]...)
	clear(r.waiting[:n]) // so that the array does not hold on to bodies
	if r.waiting = r.waiting[n:]; len(r.waiting) == 0 {
		r.waiting = nil
	}
	r.bytes -= size
	return block
}

// Run writes offered deliveries until ctx ends, and then the waiting ones for some 2 s. It
// returns nil.
func (r *Refused) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.wake:
		}
		for ctx.Err() == nil {
			block := r.next()
			if len(block) == 0 {
				break
			}
			r.write(ctx, block)
			backoff.Sleep(ctx, refusedGap)
		}
	}
	farewell := time.Now().Add(refusedFarewell)
	for block := r.next(); len(block) > 0; block = r.next() {
		if time.Now().After(farewell) {
			r.dropped.WithLabelValues(droppedStore).Add(float64(len(block)))
			continue
		}
		r.write(ctx, block)
	}
	return nil
}

func (r *Refused) write(ctx context.Context, block []offer) {
	messages := make([]*nats.Msg, len(block))
	for i, o := range block {
		if o.diagnose != nil && r.diagnoses.AllowN(time.Now(), min(max(len(o.w.Body), diagnosisLeast), diagnosisMost)) {
			r.diagnose(o)
		}
		messages[i] = keptMessage(r.names.Refused(o.w.Source, o.w.Cause), o.w)
	}
	stored := r.storeBlock(ctx, messages)
	told := map[string]bool{}
	for i, o := range block {
		if !stored[i] {
			continue
		}
		r.kept.WithLabelValues(o.w.Source, o.w.Cause).Inc()
		if subject := o.w.Source + "." + o.w.Cause; !told[subject] {
			told[subject] = true
			r.alarms.Raise(lasting.Again(bridge.Alarm{
				Kind:    bridge.AlarmRefused,
				Subject: subject,
				Text: printable.Sentences(fmt.Sprintf("deliveries to source %s are refused (%s): %s", o.w.Source, o.w.Cause, o.w.Detail),
					"They are kept for a while, see hookspan quarantine list"),
				Details: map[string]any{"source": o.w.Source, "cause": o.w.Cause, "remote": o.w.RemoteAddr},
			}, fmt.Sprintf("no delivery to source %s was refused (%s)", o.w.Source, o.w.Cause)))
		}
	}
}

// diagnose survives a panic of the diagnosis: it reads hostile input, and must not end the
// process that takes webhooks.
func (r *Refused) diagnose(o offer) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("panic in a diagnosis", zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	o.diagnose(o.w)
}

// storeBlock stores messages and returns which of them are stored. While the store is away it
// retries until ctx ends: the message ids prevent duplicates.
func (r *Refused) storeBlock(ctx context.Context, messages []*nats.Msg) []bool {
	stored := make([]bool, len(messages))
	rest := make([]int, len(messages)) // indexes into messages
	for i := range rest {
		rest[i] = i
	}
	for patience := time.Now().Add(refusedPatience); ; backoff.Sleep(ctx, refusedRetry) {
		err := r.storeSome(ctx, messages, &rest, stored)
		if len(rest) == 0 {
			return stored
		}
		if ctx.Err() != nil || time.Now().After(patience) {
			r.dropped.WithLabelValues(droppedStore).Add(float64(len(rest)))
			r.log.Warn("refused deliveries could not be kept", zap.Int("deliveries", len(rest)), zap.Error(err))
			return stored
		}
	}
}

// storeSome stores the messages at the indexes rest, and returns in rest those to retry. It
// ignores the end of ctx: a write that has begun is finished at shutdown.
func (r *Refused) storeSome(ctx context.Context, messages []*nats.Msg, rest *[]int, stored []bool) (failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusedTimeout)
	defer cancel()
	block := make([]*nats.Msg, len(*rest))
	for n, i := range *rest {
		block[n] = messages[i]
	}
	var again []int
	for n, o := range r.store.StoreAll(ctx, r.names.RefusedStream(), block) {
		switch i := (*rest)[n]; {
		case o.Err == nil:
			stored[i] = true
		case errors.Is(o.Err, bridge.ErrTooLarge):
			r.dropped.WithLabelValues(droppedTooLarge).Inc()
		default:
			again = append(again, i)
			if failed == nil {
				failed = o.Err
			}
		}
	}
	*rest = again
	return failed
}
