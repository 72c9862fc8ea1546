package predictions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streamread"
)

// write is a key that gets a new value. Done is told its revision.
type write struct {
	msg  *nats.Msg
	done func(revision uint64)
}

// write returns when all of it is in the ledger, or with the reason why the term
// cannot go on: what is in memory does not match the ledger then. When that is full,
// finished entries make room for it, but those that keep holds. The caller holds
// writing.
func (t *term) write(ctx context.Context, writes []write, keep map[string]bool) error {
	for len(writes) > 0 {
		if !time.Now().Before(t.lease.heldUntil()) {
			return fmt.Errorf("%w: this process was suspended", errTermOver)
		}
		rest, full, err := t.writeOnce(ctx, writes)
		if err != nil {
			return err
		}
		if full {
			if err := t.giveRoom(ctx, rest, keep); err != nil {
				return err
			}
		}
		writes = rest
	}
	return nil
}

// writeOnce returns what is still to be written, because the bucket is full or because
// it lay behind what NATS never takes.
func (t *term) writeOnce(ctx context.Context, writes []write) (rest []write, full bool, err error) {
	msgs := make([]*nats.Msg, len(writes))
	for i, w := range writes {
		msgs[i] = w.msg
	}
	large := false
	for i, o := range t.bucket.store.StoreAll(ctx, t.names.PredictionsStream(), msgs) {
		switch {
		case o.Err == nil:
			writes[i].done(o.Receipt.Sequence)
		case errors.Is(over(o.Err), errTermOver):
			return nil, false, fmt.Errorf("writing the ledger: %w", over(o.Err))
		case errors.Is(o.Err, bridge.ErrTooLarge):
			large = true
			t.log.Error("NATS never takes this part of the ledger of predictions, it is left out: raise max_payload of the NATS server",
				zap.String("key", msgs[i].Subject), zap.Int("bytes", len(msgs[i].Data)), zap.Error(o.Err))
		case errors.Is(o.Err, bridge.ErrFull):
			full, rest = true, append(rest, writes[i])
		default: // behind one that was refused nothing is sent
			rest = append(rest, writes[i])
			err = o.Err
		}
	}
	if err != nil && !full && !large {
		return nil, false, fmt.Errorf("writing the ledger: %w", err)
	}
	return rest, full, nil
}

// giveRoom makes room for what is to be written.
func (t *term) giveRoom(ctx context.Context, writes []write, keep map[string]bool) error {
	bytes := smallestRoom
	for _, w := range writes {
		bytes += len(w.msg.Subject) + len(w.msg.Data) + keyOverhead
	}
	removed, next, err := t.bucket.makeRoom(ctx, bytes, t.roomAt, keep)
	for _, key := range removed {
		t.entries.Remove(key)
		t.stone(bridge.KeyOpen + strings.TrimPrefix(key, bridge.KeyEntry))
	}
	t.roomAt = next
	return err
}

// remove removes the value with the revision, if it is still there; 0 is none.
func (b *bucket) remove(ctx context.Context, revision uint64) error {
	if revision == 0 {
		return nil
	}
	stream, err := b.open(ctx)
	if err != nil {
		return err
	}
	if err := streamread.Remove(ctx, stream, revision); err != nil && !errors.Is(err, bridge.ErrNotFound) {
		return err
	}
	return nil
}

// removeKey removes whatever value the key has.
func (b *bucket) removeKey(ctx context.Context, key string) error {
	_, revision, err := b.get(ctx, key)
	if errors.Is(err, bridge.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	return b.remove(ctx, revision)
}
