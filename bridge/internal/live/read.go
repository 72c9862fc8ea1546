package live

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// firstRetry and lastRetry space the tries after an error.
	firstRetry, lastRetry = 100 * time.Millisecond, 2 * time.Second
	// idleWait is how long the server keeps a request for the next message, restWait one for
	// messages that it has.
	idleWait, restWait = 30 * time.Second, 2 * time.Second
	// askTimeout bounds one question about the stream.
	askTimeout = 5 * time.Second
	// warnFrom is the try from which on a failure is worth a line.
	warnFrom = 3

	description = "Hookspan: live streams"
)

// errJump: the reader is so late that it leaves messages out.
var errJump = errors.New("the reader is late")

// run reads until the feed ends, and goes on after every error.
func (h *hub) run(f *feed) {
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	jump := false
	for failed := 0; f.ctx.Err() == nil; {
		since, err := h.read(f, jump)
		if jump = errors.Is(err, errJump); jump {
			continue
		}
		if f.ctx.Err() != nil {
			return
		}
		if !since.IsZero() && time.Since(since) > lastRetry {
			retry.Reset()
			failed = 0
		}
		if failed++; failed == warnFrom {
			h.log.Warn("live streams stand still: their stream cannot be read, trying again", zap.String("stream", h.stream), zap.Error(err))
		}
		backoff.Sleep(f.ctx, retry.Next())
	}
}

// read publishes what is stored behind the feed's place. It returns since when it could read,
// zero for never.
func (h *hub) read(f *feed, jump bool) (since time.Time, err error) {
	after, err := h.place(f, jump)
	if err != nil {
		return since, err
	}
	r, err := streamread.NewReader(f.ctx, h.js, streamread.ReaderConfig{
		Stream: h.stream, Subjects: []string{h.subject}, After: after, HeadersOnly: h.headersOnly, Description: description,
	})
	if err != nil {
		return since, err
	}
	defer r.Close(f.ctx)
	since = time.Now()
	for f.ctx.Err() == nil {
		var batch []message
		last, stored := uint64(0), time.Time{}
		take := func(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
			last, stored = meta.Sequence.Stream, meta.Timestamp
			if got, ok := h.decode(meta, m); ok {
				batch = append(batch, got)
			}
			return nil
		}
		err := r.Fetch(f.ctx, 1, 0, idleWait, take)
		if rest := min(r.Pending(), uint64(h.limits.batch-1)); err == nil && last > 0 && rest > 0 { //nolint:gosec // positive
			err = r.Fetch(f.ctx, int(rest), 0, restWait, take) //nolint:gosec // bounded
		}
		if last > 0 {
			h.publish(f, batch, last, stored)
		}
		if err != nil {
			return since, err
		}
		if r.Pending() > h.limits.behind && time.Since(since) >= h.limits.jumpEvery {
			return since, errJump
		}
		if last > 0 {
			backoff.Sleep(f.ctx, h.limits.gather)
		}
	}
	return since, f.ctx.Err()
}

// place returns the sequence behind which to read on: the end of the stream for a feed that
// begins, or that leaves out what it is behind.
func (h *hub) place(f *feed, jump bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(f.ctx, askTimeout)
	defer cancel()
	stream, err := streamread.Open(ctx, h.js, h.stream)
	if err != nil {
		return 0, err
	}
	info := stream.CachedInfo()
	h.mu.Lock()
	ready, created, last, stored := f.ready, f.created, f.last, f.stored
	h.mu.Unlock()
	same := ready && created.Equal(info.Created) && last <= info.State.LastSeq
	if same && !stored.IsZero() {
		// A stream that lost its newest messages gives their sequences to others.
		m, err := streamread.GetReadable(ctx, stream, last)
		if err != nil && !errors.Is(err, bridge.ErrNotFound) {
			return 0, err
		}
		same = err != nil || m.Time.Equal(stored)
	}
	switch end := info.State.LastSeq; {
	case !same:
		h.mu.Lock()
		defer h.mu.Unlock()
		f.from, f.last, f.ring, f.bytes, f.created, f.stored = 0, 0, nil, 0, info.Created, time.Time{}
		if !f.ready {
			f.from, f.last = end, end
		} else {
			f.generation++
		}
		f.ready = true
		f.tell()
		return f.last, nil
	case jump && end > last:
		data, err := json.Marshal(adminapi.LeftOut{LeftOut: end - last, After: last, Until: end})
		if err != nil {
			return 0, err
		}
		h.publish(f, []message{{seq: end, name: adminapi.LiveSampled, data: data}}, end, time.Time{})
		return end, nil
	}
	return last, nil
}
