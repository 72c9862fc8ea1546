package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/natserr"
	"github.com/hookspan/hookspan/internal/streamread"
)

// entry is the value of a hash in the bucket. It says nothing of the prediction.
type entry struct {
	At time.Time `json:"at"`
	// Events are sequences in the stream of events that were erased, or are about to be: whoever
	// looks for losses passes over them.
	Events []uint64 `json:"events,omitempty"`
}

// heardOf is an entry as this process knows it.
type heardOf struct {
	// revision is that of the entry in the bucket, as far as this process has heard.
	revision uint64
	events   map[uint64]bool
}

// maxSequences bounds the sequences of one entry. A gap beyond them is reported as a loss.
const maxSequences = 10_000

// Registry has the hashes of erased predictions, as far as this process has heard of them. It
// is safe for concurrent use.
type Registry struct {
	js    jetstream.JetStream
	names bridge.Names
	log   *zap.Logger

	reading sync.Mutex
	last    uint64 // the last entry that was read
	putting sync.Mutex

	mu     sync.RWMutex
	hashes map[string]*heardOf
	events map[uint64]bool // all sequences
	ready  bool            // the bucket was read
	asked  time.Time       // when it was not there
	wake   chan struct{}
}

// NewRegistry returns a registry that knows nothing yet: see [Registry.Ready] and
// [Registry.Run].
func NewRegistry(js jetstream.JetStream, names bridge.Names, log *zap.Logger) *Registry {
	return &Registry{js: js, names: names, log: log, hashes: map[string]*heardOf{}, events: map[uint64]bool{}, wake: make(chan struct{}, 1)}
}

// Has reports whether the prediction was erased.
func (r *Registry) Has(source, prediction string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.hashes) == 0 {
		return false
	}
	_, known := r.hashes[bridge.ErasedHash(source, prediction)]
	return known
}

// Any reports whether anything was erased.
func (r *Registry) Any() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.hashes) > 0
}

// ErasedEvent reports whether the message of that sequence left the stream of events because
// its prediction was erased.
func (r *Registry) ErasedEvent(sequence uint64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.events[sequence]
}

// ErasedEvents is how many messages left the stream of events for that reason.
func (r *Registry) ErasedEvents() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return uint64(len(r.events))
}

// maxPuts bounds the tries to write an entry that other processes write too.
const maxPuts = 10

// Put makes it known that the prediction is erased, with sequences of its events that are about
// to go. It returns nil when the bucket has it.
func (r *Registry) Put(ctx context.Context, t Target, sequences []uint64) error {
	hash := bridge.ErasedHash(t.Source, t.ID)
	r.putting.Lock()
	defer r.putting.Unlock()
	for try := 1; ; try++ {
		revision, all, fresh := r.with(hash, sequences)
		if !fresh {
			return nil
		}
		e := entry{At: time.Now().UTC(), Events: all}
		value, err := json.Marshal(e)
		if err != nil {
			return err
		}
		ack, err := r.js.Publish(ctx, r.names.ErasedSubject(hash), value, jetstream.WithExpectLastSequencePerSubject(revision))
		if err == nil {
			r.add(hash, e, ack.Sequence)
			return nil
		}
		if !natserr.IsWrongLastSequence(err) || try == maxPuts {
			return fmt.Errorf("noting that a prediction is erased: %w", err)
		}
		// Another process was faster, or only the answer of the try before was lost.
		if err := r.reread(ctx, hash); err != nil {
			return fmt.Errorf("noting that a prediction is erased: %w", err)
		}
	}
}

// with returns the sequences of an entry together with more of them, and whether the entry has
// to be written for that.
func (r *Registry) with(hash string, sequences []uint64) (revision uint64, all []uint64, fresh bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	have := r.hashes[hash]
	if have == nil {
		have, fresh = &heardOf{}, true
	}
	all = slices.Collect(maps.Keys(have.events))
	for _, seq := range sequences {
		if !have.events[seq] && len(all) < maxSequences {
			all, fresh = append(all, seq), true
		}
	}
	slices.Sort(all)
	return have.revision, all, fresh
}

// reread reads the entry that the bucket has now.
func (r *Registry) reread(ctx context.Context, hash string) error {
	stream, err := streamread.Open(ctx, r.js, r.names.ErasedStream())
	if err != nil {
		return err
	}
	m, err := stream.GetLastMsgForSubject(ctx, r.names.ErasedSubject(hash))
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return err
	}
	r.mu.Lock()
	if have := r.hashes[hash]; have != nil {
		have.revision = 0 // the bucket may be another one
	}
	r.mu.Unlock()
	if err == nil {
		r.heard(m.Subject, m.Data, m.Sequence)
	}
	return nil
}

// add reports whether the hash was not known.
func (r *Registry) add(hash string, e entry, revision uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	have, had := r.hashes[hash]
	if !had {
		have = &heardOf{events: map[uint64]bool{}}
		r.hashes[hash] = have
	}
	have.revision = max(have.revision, revision)
	for _, seq := range e.Events {
		have.events[seq], r.events[seq] = true, true
	}
	return !had
}

// missingFor is for how long a bucket that is not there is not asked for again.
const missingFor = 10 * time.Second

// Ready returns nil once the bucket was read, which it does if need be. Nothing is erased where
// nobody has made the bucket.
func (r *Registry) Ready(ctx context.Context) error {
	r.mu.RLock()
	ready := r.ready || time.Since(r.asked) < missingFor
	r.mu.RUnlock()
	if ready {
		return nil
	}
	_, err := r.read(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		r.mu.Lock()
		r.asked = time.Now()
		r.mu.Unlock()
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what is erased: %w", err)
	}
	r.mu.Lock()
	r.ready = true
	r.mu.Unlock()
	return nil
}

// read reads what came into the bucket since the last call, and reports whether that had hashes
// that were not known.
func (r *Registry) read(ctx context.Context) (fresh bool, err error) {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.last, err = scan(ctx, r.js, r.names.ErasedStream(), r.last, false, func(m jetstream.Msg, seq uint64) error {
		fresh = r.heard(m.Subject(), m.Data(), seq) || fresh
		return nil
	})
	return fresh, err
}

func (r *Registry) heard(subject string, value []byte, revision uint64) bool {
	hash, ok := strings.CutPrefix(subject, r.names.ErasedSubject(""))
	var e entry
	if !ok || json.Unmarshal(value, &e) != nil {
		return false
	}
	return r.add(hash, e, revision)
}

// readAgain is how often the bucket is read besides, for what was not heard.
const readAgain = 30 * time.Second

// Run hears of what other processes erase until ctx ends, and returns nil. It calls changed
// after it has heard hashes that were not known, and once at its start if there are any: they may
// have come while the process was away. It tries again after every error.
func (r *Registry) Run(ctx context.Context, changed func(context.Context)) error {
	sub, err := r.js.Conn().Subscribe(r.names.ErasedSubject("*"), func(*nats.Msg) {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	})
	if err == nil {
		defer func() { _ = sub.Unsubscribe() }()
	}
	for first := true; ctx.Err() == nil; first = false {
		if err := r.Ready(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("what was erased cannot be read, trying again", zap.Error(err))
			backoff.Sleep(ctx, time.Second)
			continue
		}
		fresh, err := r.read(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			r.log.Warn("what was erased cannot be read, trying again", zap.Error(err))
		}
		if fresh || first && r.Any() {
			changed(ctx)
		}
		again := time.NewTimer(readAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		case <-r.wake:
		}
		again.Stop()
	}
	return nil
}
