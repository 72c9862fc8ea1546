package app

import (
	"context"
	"sync"
	"time"
)

const (
	// freshFor is how long an answer serves others who ask.
	freshFor = time.Second
	// freshTime bounds one question.
	freshTime = 3 * time.Second
)

// fresh asks once for all who want to know the same within a second, so that a page that many
// look at costs NATS no more than one that one looks at. An error serves the others too: they
// would wait as long for theirs. It is safe for concurrent use.
type fresh[T any] struct {
	ask func(ctx context.Context) (T, error)
	// life is [freshFor], unless a test needs longer.
	life time.Duration

	mu   sync.Mutex
	last *asked[T]
}

// asked is one question. What follows done is set when that is closed.
type asked[T any] struct {
	done   chan struct{}
	at     time.Time
	answer T
	err    error
}

func newFresh[T any](ask func(ctx context.Context) (T, error)) *fresh[T] {
	return &fresh[T]{ask: ask, life: freshFor}
}

// get returns the answer, which is shared and must not be changed. The first one who asks does so
// for all, and so for [freshTime] at most also when its own ctx has ended.
func (f *fresh[T]) get(ctx context.Context) (T, error) {
	q, mine := f.question()
	if mine {
		func() {
			defer close(q.done)
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), freshTime)
			defer cancel()
			q.answer, q.err = f.ask(asking)
			q.at = time.Now()
		}()
	}
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// question returns the last question, or when that is too old a new one, which is the caller's.
func (f *fresh[T]) question() (q *asked[T], mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil {
		select {
		case <-f.last.done:
			if time.Since(f.last.at) < f.life {
				return f.last, false
			}
		default:
			return f.last, false
		}
	}
	f.last = &asked[T]{done: make(chan struct{})}
	return f.last, true
}
