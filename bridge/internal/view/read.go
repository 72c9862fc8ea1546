package view

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// blockMessages and blockBytes bound a block; one larger message is a block of its own.
	blockMessages = 1000
	blockBytes    = 4 << 20
	// gather is how long messages gather in the stream before the next block is read: each
	// block costs a transaction and two requests.
	gather = 200 * time.Millisecond
	// idleWait is how long the server keeps a request for the next message, restWait one for
	// messages that it has.
	idleWait, restWait = 30 * time.Second, 2 * time.Second
)

// block is messages of a stream that are folded together.
type block struct {
	stream  *stream
	msgs    []message
	last    uint64
	stored  time.Time // when the last one was
	pending uint64    // messages behind it
	folded  chan struct{}
}

// read sends blocks until ctx ends. Only what the view itself cannot repair is an error.
func (s *stream) read(ctx context.Context, blocks chan<- block) error {
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for ctx.Err() == nil {
		began := time.Now()
		err := s.readFrom(ctx, blocks)
		if errors.Is(err, errAnew) || broken(err) || errors.Is(err, errClosed) {
			return err
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the process ends
		}
		if time.Since(began) > lastRetry {
			retry.Reset()
		}
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		s.log.Warn("a stream of the view cannot be read, trying again", zap.String("stream", s.name), zap.Error(err))
		backoff.Sleep(ctx, retry.Next())
	}
	return nil
}

func (s *stream) readFrom(ctx context.Context, blocks chan<- block) error {
	r, err := s.begin(ctx)
	if err != nil {
		return err
	}
	// The next reader begins behind what was folded, so this one waits for its last block.
	var given chan struct{}
	defer func() {
		if given != nil {
			select {
			case <-given:
			case <-ctx.Done():
			}
		}
	}()
	defer r.Close(ctx)
	for ctx.Err() == nil {
		b := block{stream: s, folded: make(chan struct{})}
		if err := r.Fetch(ctx, 1, idleWait, b.add); err != nil {
			return err
		}
		if b.last == 0 {
			continue
		}
		if b.pending > 0 {
			most := int(min(b.pending, blockMessages-1)) //nolint:gosec // bounded
			if err := r.Fetch(ctx, most, restWait, b.add, jetstream.FetchMaxBytes(blockBytes)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case blocks <- b:
			given = b.folded
		}
		if b.pending == 0 {
			backoff.Sleep(ctx, gather)
		}
	}
	return nil
}

// add reads the next message of the block.
func (b *block) add(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
	s, got := b.stream, message{seq: meta.Sequence.Stream, stored: meta.Timestamp.UTC()}
	if err := s.decode(s.cfg.Names, m, &got); err != nil {
		s.log.Error("a message cannot be read, and is left out of the view", zap.String("stream", s.name),
			zap.Uint64("sequence", got.seq), zap.String("subject", m.Subject()), zap.Error(err))
	}
	b.msgs = append(b.msgs, got)
	b.last, b.stored, b.pending = got.seq, got.stored, meta.NumPending
	return nil
}
