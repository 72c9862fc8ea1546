package live

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sort"
	"time"

	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

// chunk bounds the messages of one write to a client, but for those of the past.
const chunk = 256

// request is what one client wants.
type request struct {
	adminapi.LivePlace

	// subjects cover everything that match picks, without an overlap.
	subjects []string
	match    func(*message) bool
}

// follower is one client.
type follower struct {
	*hub
	request

	feed *feed
	tell func([]adminapi.LiveItem) error
	rate *rate.Limiter
	// The client has everything up to at, of that generation. Until past it is not sampled.
	at         uint64
	generation int
	past       uint64
	// begun: the reader knew its place; placed: the client has one.
	begun, placed bool
	// told and examined count what was read for this client alone.
	told, examined int
}

// follow calls tell with what is stored, in order, until ctx ends or tell returns an error. Tell
// is called at once, and at least once in 15 s; with no items it only shows that the client still
// reads. The error is that of ctx or tell, [ErrClosed] or [ErrSlow].
func (h *hub) follow(ctx context.Context, r request, tell func([]adminapi.LiveItem) error) error {
	f, err := h.join() //nolint:contextcheck // the reader outlives the first client
	if err != nil {
		return err
	}
	defer h.leave(f)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)() //nolint:contextcheck // the end of the reader ends its clients too
	if r.Rate <= 0 || r.Rate > adminapi.MaxLiveRate {
		r.Rate = adminapi.MaxLiveRate
	}
	w := &follower{hub: h, request: r, feed: f, tell: tell, rate: rate.NewLimiter(rate.Limit(r.Rate), h.limits.burst*r.Rate)}
	err = w.run(ctx)
	if errors.Is(err, ErrSlow) || errors.Is(err, os.ErrDeadlineExceeded) {
		h.dropped.Add(1)
	}
	if f.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

func (w *follower) run(ctx context.Context) error {
	if err := w.tell(nil); err != nil {
		return err
	}
	beat := time.NewTicker(w.limits.heartbeat)
	defer beat.Stop()
	for ctx.Err() == nil {
		items, more, changed, err := w.take()
		if err != nil {
			return err
		}
		if w.begun && !w.placed {
			if err := w.catchUp(ctx); err != nil {
				return err
			}
			continue
		}
		if len(items) > 0 {
			if err := w.tell(items); err != nil {
				return err
			}
		}
		if more {
			continue
		}
		if len(items) > 0 && !backoff.Sleep(ctx, w.limits.pace) {
			break
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := w.beat(); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// beat tells the place, so that a client that selects little does not come again from far behind.
func (w *follower) beat() error {
	if !w.placed {
		return w.tell(nil)
	}
	return w.tell([]adminapi.LiveItem{{Sequence: w.at}})
}

// take returns what the ring has behind the client's place, whether there is more, and what is
// closed when there is.
func (w *follower) take() (items []adminapi.LiveItem, more bool, changed <-chan struct{}, err error) {
	w.mu.Lock()
	f := w.feed
	changed = f.changed
	if !f.ready {
		w.mu.Unlock()
		return nil, false, changed, nil
	}
	if !w.begun {
		w.begun, w.generation = true, f.generation
		switch {
		case w.After == nil:
			w.at, w.placed = f.last, true
			items = append(items, adminapi.LiveItem{Sequence: w.at})
		case *w.After >= f.from && *w.After <= f.last:
			w.at, w.past, w.placed = *w.After, f.last, true
		default:
			w.at = *w.After
		}
	}
	if w.generation != f.generation {
		w.generation, w.at, w.past, w.placed = f.generation, f.from, 0, true
		items = append(items, leftOut(adminapi.LiveGap, adminapi.LeftOut{Cause: adminapi.GapAnew, After: w.at, Until: w.at}))
	}
	if !w.placed {
		w.mu.Unlock()
		return nil, false, changed, nil
	}
	if w.at < f.from {
		w.mu.Unlock()
		return nil, false, nil, ErrSlow
	}
	ring, last := f.ring, f.last
	w.mu.Unlock()

	first := sort.Search(len(ring), func(i int) bool { return ring[i].seq > w.at })
	var skipped adminapi.LeftOut
	now, spent := time.Now(), false // the rate permits nothing more now
	for i := first; i < len(ring) && !more; i++ {
		m := &ring[i]
		switch told := m.name == adminapi.LiveSampled; {
		case !told && !w.match(m):
		case told || m.seq <= w.past || !spent && w.rate.AllowN(now, 1):
			items = append(items, adminapi.LiveItem{Name: m.name, Sequence: m.seq, Data: m.data})
		default:
			spent = true
			if skipped.LeftOut++; skipped.LeftOut == 1 {
				skipped.After = w.at
			}
		}
		w.at = m.seq
		more = len(items) >= chunk && i+1 < len(ring)
	}
	if !more {
		w.at = max(w.at, last)
	}
	if skipped.LeftOut > 0 {
		skipped.Until = w.at
		items = append(items, leftOut(adminapi.LiveSampled, skipped))
	}
	return items, more, changed, nil
}

// leftOut is an item behind which a client that comes again goes on.
func leftOut(name string, l adminapi.LeftOut) adminapi.LiveItem {
	data, _ := json.Marshal(l) // numbers and a word
	return adminapi.LiveItem{Name: name, Sequence: l.Until, Data: data}
}
