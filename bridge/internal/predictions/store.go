package predictions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// cached is how many entries the leader keeps in memory.
const cached = 4096

// store is the leader's side of the prediction store: entries, the records of open
// predictions, and the queues of those records.
type store struct {
	leader *Leader
	names  bridge.Names

	entries    *lru.Cache[string, *entry]
	tombstones map[string]bool // records that may be on their way out, see tombstoneLife
	roomAt     uint64          // where the search for finished entries goes on

	// writing guards writes of entries and records, and changes of queues.
	writing sync.Mutex

	mu   sync.Mutex
	open map[string]*poller.Queue // by source
}

func newStore(l *Leader) *store {
	entries, err := lru.New[string, *entry](l.cached)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &store{leader: l, names: l.cfg.Names, entries: entries, tombstones: map[string]bool{}, open: map[string]*poller.Queue{}}
}

// write is a key's new value; done gets its revision.
type write struct {
	msg  *nats.Msg
	done func(revision uint64)
}

// write returns when everything is in the prediction store, or why this process cannot go
// on leading: memory and store do not match then. When the store is full, write removes
// finished entries outside keep. The caller holds writing.
func (s *store) write(ctx context.Context, writes []write, keep map[string]bool) error {
	for len(writes) > 0 {
		if !time.Now().Before(s.leader.lease.heldUntil()) {
			return fmt.Errorf("%w: this process was suspended", poller.ErrNotLeader)
		}
		rest, full, err := s.writeOnce(ctx, writes)
		if err != nil {
			return err
		}
		if full {
			if err := s.giveRoom(ctx, rest, keep); err != nil {
				return err
			}
		}
		writes = rest
	}
	return nil
}

// writeOnce returns the writes that are left, because the bucket is full or because they
// lay behind a message that NATS never takes.
func (s *store) writeOnce(ctx context.Context, writes []write) (rest []write, full bool, err error) {
	msgs := make([]*nats.Msg, len(writes))
	for i, w := range writes {
		msgs[i] = w.msg
	}
	large := false
	for i, o := range s.leader.bucket.store.StoreAll(ctx, s.names.PredictionsStream(), msgs) {
		switch {
		case o.Err == nil:
			writes[i].done(o.Receipt.Sequence)
		case errors.Is(over(o.Err), poller.ErrNotLeader):
			return nil, false, fmt.Errorf("writing the prediction store: %w", over(o.Err))
		case errors.Is(o.Err, bridge.ErrTooLarge):
			large = true
			s.leader.log.Error("NATS never takes this part of the prediction store, it is left out: raise max_payload of the NATS server",
				zap.String("key", msgs[i].Subject), zap.Int("bytes", len(msgs[i].Data)), zap.Error(o.Err))
		case errors.Is(o.Err, bridge.ErrFull):
			full, rest = true, append(rest, writes[i])
		default: // nothing is sent behind a refused message
			rest = append(rest, writes[i])
			err = o.Err
		}
	}
	if err != nil && !full && !large {
		return nil, false, fmt.Errorf("writing the prediction store: %w", err)
	}
	return rest, full, nil
}

// giveRoom makes room for the writes.
func (s *store) giveRoom(ctx context.Context, writes []write, keep map[string]bool) error {
	bytes := smallestRoom
	for _, w := range writes {
		bytes += len(w.msg.Subject) + len(w.msg.Data) + keyOverhead
	}
	removed, next, err := s.leader.bucket.makeRoom(ctx, bytes, s.roomAt, keep)
	for _, key := range removed {
		s.entries.Remove(key)
		s.addTombstone(bridge.KeyOpen + strings.TrimPrefix(key, bridge.KeyEntry))
	}
	s.roomAt = next
	return err
}
