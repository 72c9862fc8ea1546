package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// recogniseMost bounds how many records are looked for at once, and so their memory.
	recogniseMost = 100_000
	// clockSkew is how far the clocks of this machine and of NATS may differ where a stream is
	// read from the time of a record.
	clockSkew = 5 * time.Minute
	// readTime bounds the reading of a stream's tail: a million messages take some 15 s.
	readTime = 5 * time.Minute
)

// recogniseAll finds out which records an earlier process has forwarded, however long ago:
// those behind the journal's checkpoint, of which only the stream can tell. It tries until it
// knows, and returns false when ctx ends before.
func (f *Forwarder) recogniseAll(ctx context.Context) bool {
	retry := backoff.Backoff{First: firstRetry, Max: longestRetry}
	for {
		err := f.recogniseFrom(ctx, f.journal.Checkpoint().Settled)
		if err == nil {
			f.recognised.Store(true)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		f.log.Info("NATS does not say yet what it has of the journal, trying again", zap.Error(err))
		backoff.Sleep(ctx, retry.Next())
	}
}

// recogniseFrom looks for the records behind a sequence. It stops behind the last one that was
// found, by as many as can be in flight: a record is sent only when all but so many before it
// are settled.
func (f *Forwarder) recogniseFrom(ctx context.Context, after uint64) error {
	last := f.last
	for after < last {
		chunk, through, err := f.chunk(ctx, after, last)
		if err != nil {
			return err
		}
		if len(chunk) == 0 {
			after = through
			continue
		}
		latest, err := f.recogniseChunk(ctx, chunk)
		if err != nil {
			return err
		}
		if through < last && latest < len(chunk)-mostInFlight {
			return nil
		}
		after = through
	}
	return nil
}

// aged reports whether records waited here so long that another process may have stored the same
// events, and the stream may have forgotten their ids.
func (f *Forwarder) aged(records []journal.Record) bool {
	return len(records) > 0 && records[0].Sequence > f.last && time.Since(records[0].At) > f.cfg.Duplicates/2
}

// recogniseAged looks for all that waits, by the time of its records, once nothing is in flight.
func (f *Forwarder) recogniseAged(ctx context.Context) bool {
	f.mu.Lock()
	for ctx.Err() == nil && len(f.blocks) > 0 {
		f.changed.Wait()
	}
	f.last, f.atOpen, f.past = f.journal.State().Last, nil, false
	f.mu.Unlock()
	return ctx.Err() == nil && f.recogniseAll(ctx)
}

// sought is a record that may be in its stream.
type sought struct {
	stream string
	id     string
	at     time.Time
}

// chunk reads the next records, up to last, without their bodies.
func (f *Forwarder) chunk(ctx context.Context, after, last uint64) (chunk []sought, through uint64, err error) {
	for through = after; through < last && len(chunk) < recogniseMost; {
		records, next, err := f.journal.Next(ctx, through, batchMessages, batchBytes)
		if err != nil {
			return nil, 0, fmt.Errorf("reading the journal: %w", err)
		}
		for i := range records {
			chunk = append(chunk, soughtOf(&records[i]))
		}
		through = next
	}
	return chunk, through, nil
}

func soughtOf(r *journal.Record) sought {
	return sought{stream: r.Stream, id: bridge.Header(r.Header).Get(bridge.HeaderMsgID), at: r.At}
}

// recognise looks for records that were sent and not acknowledged.
func (f *Forwarder) recognise(ctx context.Context, records []*journal.Record) error {
	chunk := make([]sought, len(records))
	for i, r := range records {
		chunk[i] = soughtOf(r)
	}
	_, err := f.recogniseChunk(ctx, chunk)
	return err
}

// recogniseChunk notes which of the records their streams have, and returns the index of the
// last one of them, or -1.
func (f *Forwarder) recogniseChunk(ctx context.Context, chunk []sought) (latest int, err error) {
	latest = -1
	byStream := map[string]map[string]int{}
	oldest := map[string]time.Time{}
	for i, s := range chunk {
		if s.id == "" {
			continue
		}
		if byStream[s.stream] == nil {
			byStream[s.stream], oldest[s.stream] = map[string]int{}, s.at
		}
		byStream[s.stream][s.id] = i
		if s.at.Before(oldest[s.stream]) {
			oldest[s.stream] = s.at
		}
	}
	for name, ids := range byStream {
		err := f.readTail(ctx, name, oldest[name], func(id string, seq uint64) {
			if i, wanted := ids[id]; wanted {
				latest = max(latest, i)
				f.mu.Lock()
				f.found[hashID(name, id)] = bridge.Receipt{Result: bridge.Duplicate, Stream: name, Sequence: seq}
				f.mu.Unlock()
			}
		})
		if err != nil {
			return 0, fmt.Errorf("looking up what stream %s has of the journal: %w", name, err)
		}
	}
	return latest, nil
}

// receiptOf returns the receipt of a record that was found in its stream. It stays, as another
// record may have the same id.
func (f *Forwarder) receiptOf(r *journal.Record) (bridge.Receipt, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.found) == 0 {
		return bridge.Receipt{}, false
	}
	receipt, found := f.found[hashOf(r)]
	return receipt, found
}

// unfind forgets what was found of a block that is done. Before past, later ones may have the
// same ids. The caller holds the lock.
func (f *Forwarder) unfind(b *block) {
	if !f.past || len(f.found) == 0 {
		return
	}
	for i := range b.records {
		delete(f.found, hashOf(&b.records[i]))
	}
}

func hashOf(r *journal.Record) idHash {
	return hashID(r.Stream, bridge.Header(r.Header).Get(bridge.HeaderMsgID))
}

// readTail visits the messages of a stream behind what it had surely acknowledged, or, where
// that is unknown, from a time on.
func (f *Forwarder) readTail(ctx context.Context, name string, since time.Time, visit func(id string, seq uint64)) error {
	js := f.publisher.js
	s, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // it has nothing
	}
	if err != nil {
		return err
	}
	f.learned(s.CachedInfo())
	state := s.CachedInfo().State
	cfg := streamread.ReaderConfig{Stream: name, HeadersOnly: true, Description: "Hookspan: what of the journal is stored"}
	switch after, known := f.floor(name); {
	case state.Msgs == 0, known && after == state.LastSeq:
		return nil
	case known && after > 0 && after < state.LastSeq:
		cfg.After = after
	default:
		cfg.Since = since.Add(-clockSkew)
	}
	return readHeaders(ctx, js, cfg, state.LastSeq, visit)
}

// readHeaders visits the message ids of a stream up to the sequence last.
func readHeaders(ctx context.Context, js jetstream.JetStream, cfg streamread.ReaderConfig, last uint64, visit func(id string, seq uint64)) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	r, err := streamread.NewReader(ctx, js, cfg)
	if err != nil {
		return err
	}
	defer r.Close(ctx)
	return r.ReadTo(ctx, last, func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
		visit(bridge.Header(m.Headers()).Get(bridge.HeaderMsgID), meta.Sequence.Stream)
		return nil
	})
}
