package predictions

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// maxPinned bounds the predictions in memory that were given up so long ago that the
// prediction store has dropped them, and that a later event could still reopen.
const maxPinned = 10_000

// touched is a prediction with events in a block.
type touched struct {
	*entry

	changed bool
	// reopened: it was closed before; again: a copy brought it back.
	reopened bool
	// again is the sequence of the last copy for the prediction store.
	again uint64
	// brief: its time in the prediction store is over.
	brief bool
	tell  []func()
}

// block is the result of a block of events, in the order in which its predictions first
// appear.
type block struct {
	*leadership

	now    time.Time
	order  []*touched
	byKey  map[string]*touched
	writes []write
}

// foldBlock returns when the events are in the prediction store.
func (t *leadership) foldBlock(ctx context.Context, reads []read) error {
	b := &block{leadership: t, now: time.Now(), byKey: make(map[string]*touched, len(reads))}
	for _, r := range reads {
		if err := b.fold(ctx, r); err != nil {
			return err
		}
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	keep := make(map[string]bool, len(b.order))
	for _, p := range b.order {
		keep[p.key] = true
		if err := b.prepare(ctx, p); err != nil {
			return err
		}
	}
	if err := t.write(ctx, b.writes, keep); err != nil {
		return err
	}
	for _, p := range b.order {
		for _, tell := range p.tell {
			tell()
		}
	}
	return nil
}

// fold folds one event into memory.
func (b *block) fold(ctx context.Context, r read) error {
	p := b.byKey[r.key]
	if p == nil {
		e := b.pinned[r.key]
		if e == nil {
			var err error
			if e, err = b.entry(ctx, r.key); err != nil {
				return err
			}
		}
		if e.state.ID == "" && b.gone.has(r.key, r.at.StoredAt) {
			return nil
		}
		if ttl, forever := left(&e.state, b.cfg.Keep, b.now); !forever && ttl <= 0 {
			e.fading = true
		}
		p = &touched{entry: e}
		b.byKey[r.key], b.order = p, append(b.order, p)
	}
	s := &p.state
	p.reopened = p.reopened || s.ID != "" && !s.Open() && r.at.Sequence > s.Sequence
	if outlived(s, b.cfg.Keep, r.at) {
		if err := b.bucket.remove(ctx, p.revision); err != nil {
			return err
		}
		*s, p.revision, p.fading = bridge.PredictionState{}, 0, false
		delete(b.pinned, r.key)
		b.entries.Add(r.key, p.entry)
	}
	before := s.Sequence
	f := fold.Fold(s, r.Event, r.at)
	if s.Sequence != before {
		p.changed = true
		if r.at.Again {
			p.again = r.at.Sequence
		}
	}
	live := !b.rebuilding.Load() || r.at.Sequence > b.goal // otherwise it was told before
	if f.Ended {
		p.tell = append(p.tell, func() {
			b.poller.Ended(s, r.Event, live)
			if live {
				b.metrics.end(s)
			}
		})
	}
	if f.Conflict && live {
		p.tell = append(p.tell, func() { b.poller.Conflict(s, r.Event) })
	}
	return nil
}

// prepare adds a prediction's writes.
func (b *block) prepare(ctx context.Context, p *touched) error {
	ttl, forever := left(&p.state, b.cfg.Keep, b.now)
	p.brief = !forever && ttl <= 0
	switch {
	case p.brief && p.state.Terminal():
		b.gone.add(p.key, b.now.Add(ttl))
	case p.brief && len(b.pinned) < maxPinned:
		b.pinned[p.key] = p.entry
	}
	if there := p.revision > 0 && !p.fading; p.changed && (!p.brief || there) {
		if err := b.prepareEntry(ctx, p, ttl); err != nil {
			return err
		}
	}
	return b.prepareOpen(ctx, p)
}

// prepareEntry adds the write of an entry. An expired entry is replaced for the shortest
// time that the server allows.
func (b *block) prepareEntry(ctx context.Context, p *touched, ttl time.Duration) error {
	if p.fading { // it may still be there
		if err := b.bucket.removeKey(ctx, p.key); err != nil {
			return err
		}
		p.revision, p.fading = 0, false
	}
	if p.brief {
		ttl = time.Second
	}
	raw, err := encodeState(&p.state)
	if err != nil {
		return err
	}
	b.writes = append(b.writes, write{
		msg: b.bucket.message(p.key, raw, p.revision, ttl), done: func(revision uint64) { p.revision, p.fading = revision, p.brief },
	})
	return nil
}

// prepareOpen makes the record of an open prediction match its state, also after an earlier
// process was cut short.
func (b *block) prepareOpen(ctx context.Context, p *touched) error {
	s := &p.state
	key := bridge.PredictionKey(bridge.KeyOpen, s.Source, s.ID)
	list := b.queue(s.Source)
	it, listed := list.Get(s.ID)
	if !s.Open() {
		if listed {
			if p.brief { // no entry says that it was closed
				b.addTombstone(key)
			}
			b.writes = append(b.writes, write{
				msg: b.bucket.message(key, nil, it.Revision, tombstoneLife()), done: func(uint64) { list.Remove(s.ID) },
			})
		}
		return nil
	}
	have := it.Record
	if p.again > 0 {
		have = poller.Record{Sequence: p.again} // the copy says how often it was redriven
	}
	rec := recordOf(s, have)
	if listed && p.again == 0 && sameRecord(rec, it.Record) {
		return nil
	}
	if !listed && (p.reopened || b.tombstones[key]) {
		if err := b.bucket.removeKey(ctx, key); err != nil {
			return err
		}
		delete(b.tombstones, key)
	}
	raw, err := encodeRecord(rec)
	if err != nil {
		return err
	}
	b.writes = append(b.writes, write{
		msg: b.bucket.message(key, raw, it.Revision, 0),
		done: func(revision uint64) {
			list.Set(poller.Item{Record: rec, Revision: revision, Due: b.poller.Due(rec)})
		},
	})
	return nil
}
