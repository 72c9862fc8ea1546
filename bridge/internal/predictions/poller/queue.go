package poller

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// window is how many due predictions of each sort the poller knows at once. Finding them
	// sorts all that are due.
	window = 64
	// windowAge is how long a window is used: predictions that become due meanwhile wait for
	// the next one.
	windowAge = 10 * time.Second
	// lookAgain spaces the looks while all that are due are with a poll.
	lookAgain = time.Second
)

// queue hands out the due predictions of one source in the order of their turns, each to one
// poll at a time. It is safe for concurrent use; one goroutine takes.
type queue struct {
	leadership Leadership
	source     string
	// given is told when a prediction was given back.
	given chan struct{}

	mu sync.Mutex
	// proved and claimed are what is left of the window, which is of the time looked.
	proved, claimed []string
	looked          time.Time
	claims          bool // whose turn is next, when both have predictions
	// taken are with a poll or, unless zero, are left alone until then.
	taken map[string]time.Time
}

func newQueue(d Leadership, source string) *queue {
	return &queue{leadership: d, source: source, given: make(chan struct{}, 1), taken: map[string]time.Time{}}
}

// look reports whether a prediction can be taken; otherwise it returns when to look again
// unless something changes, zero for never.
func (q *queue) look(ctx context.Context, now time.Time) (due bool, next time.Time, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.proved)+len(q.claimed) > 0 && now.Sub(q.looked) < windowAge {
		return true, time.Time{}, nil
	}
	for id, until := range q.taken {
		if !until.IsZero() && !until.After(now) {
			delete(q.taken, id)
		}
	}
	// Predictions that are taken can still count as due.
	proved, claimed, err := q.leadership.Due(ctx, q.source, now, window+len(q.taken))
	if err != nil {
		return false, time.Time{}, err
	}
	q.proved, q.claimed, q.looked = q.free(proved), q.free(claimed), now
	if len(q.proved)+len(q.claimed) > 0 {
		return true, time.Time{}, nil
	}
	next, err = q.leadership.NextDue(ctx, q.source)
	if !next.IsZero() && !next.After(now) { // that one is with a poll
		next = now.Add(lookAgain)
	}
	for _, until := range q.taken {
		if !until.IsZero() && (next.IsZero() || until.Before(next)) {
			next = until
		}
	}
	return false, next, err
}

// free returns those that are not taken. The caller holds the lock.
func (q *queue) free(ids []string) []string {
	return slices.DeleteFunc(ids, func(id string) bool { _, taken := q.taken[id]; return taken })
}

// take takes the next due prediction. Every second one is more than claimed, so that made-up
// predictions never starve the others. The caller must give it back.
func (q *queue) take() (id string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	from := &q.proved
	if len(q.claimed) > 0 && (q.claims || len(q.proved) == 0) {
		from = &q.claimed
	}
	if len(*from) == 0 {
		return "", false
	}
	q.claims = from == &q.proved
	id, *from = (*from)[0], (*from)[1:]
	q.taken[id] = time.Time{}
	return id, true
}

// give gives a taken prediction back, to be polled when it is due. When that cannot be
// written down it returns why, and this process alone knows the time.
func (q *queue) give(ctx context.Context, id string, due time.Time, polls int) error {
	err := q.leadership.PutOff(ctx, q.source, id, due, polls)
	if err == nil {
		q.drop(id)
	} else {
		q.hold(id, due)
	}
	select {
	case q.given <- struct{}{}:
	default:
	}
	return err
}

// hold gives a taken prediction back, to be taken again from a time on.
func (q *queue) hold(id string, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken[id] = until
}

// drop gives back a prediction that is not open any more.
func (q *queue) drop(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.taken, id)
}
