package predictions

import (
	"context"
	"errors"
	"maps"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// Queues implements [poller.Leadership].
func (s *store) Queues() map[string]*poller.Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.open)
}

// queue returns the queue of a source and creates a missing one.
func (s *store) queue(source string) *poller.Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[source] == nil {
		s.open[source] = poller.NewQueue()
	}
	return s.open[source]
}

var errOldRevision = errors.New("the record of the prediction was written meanwhile")

// Save implements [poller.Leadership].
func (s *store) Save(ctx context.Context, rec poller.Record, revision uint64) (uint64, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	queue := s.queue(rec.Source)
	it, ok := queue.Get(rec.ID)
	switch {
	case !ok:
		return 0, poller.ErrNotOpen
	case it.Revision != revision:
		return 0, errOldRevision
	}
	raw, err := encodeRecord(rec)
	if err != nil {
		return 0, err
	}
	var made uint64
	err = s.write(ctx, []write{{
		msg:  s.leader.bucket.message(bridge.PredictionKey(bridge.KeyOpen, rec.Source, rec.ID), raw, it.Revision, 0),
		done: func(revision uint64) { made = revision },
	}}, nil)
	if err != nil {
		return 0, err
	}
	queue.Set(poller.Item{Record: rec, Revision: made, Due: s.leader.poller.Due(rec)})
	return made, nil
}
