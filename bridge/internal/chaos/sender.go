package main

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// Some webhooks come twice on purpose, as when an answer is lost on its way.
const (
	everyRepeated = 20 // again once it was acknowledged
	everyAtOnce   = 23 // two of it at the same time
)

// job is one attempt to deliver one webhook.
type job struct {
	serial  int
	attempt int // counts from 0
	due     time.Time
	// extra: a copy beside the schedule, which is not tried again.
	extra bool
}

// sender plays the provider: many webhooks, each delivered by its schedule until
// it is acknowledged or abandoned, over a bounded number of connections.
type sender struct {
	addr     string
	schedule schedule
	// conns is how many requests are made at a time, rate how many new webhooks
	// are begun in a second at most.
	conns, rate int
	writer      *writer
	book        *book

	mu     sync.Mutex
	later  jobs
	open   int // jobs that a worker has or is about to get
	ending bool
	wake   chan struct{}
	begun  time.Time // of the pace
	paced  int
}

func newSender(addr string, s schedule, conns, rate int, w *writer, b *book) *sender {
	return &sender{addr: addr, schedule: s, conns: conns, rate: rate, writer: w, book: b, wake: make(chan struct{}, 1)}
}

// run sends until [sender.finish], and returns when every webhook that was begun
// is acknowledged or abandoned, or when ctx ends.
func (s *sender) run(ctx context.Context) {
	s.begun = time.Now()
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range s.conns {
		workers.Go(func() {
			c := &client{addr: s.addr, timeout: s.schedule.timeout}
			defer c.close()
			for j := range jobs {
				s.deliver(ctx, c, j)
			}
		})
	}
	s.dispatch(ctx, jobs)
	close(jobs)
	workers.Wait()
}

// finish begins no new webhooks from now on.
func (s *sender) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.nudge()
}

// nudge has the dispatcher look again.
func (s *sender) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) dispatch(ctx context.Context, out chan<- job) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		j, wait, more := s.next(time.Now())
		if !more {
			return
		}
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-s.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case out <- j:
		case <-ctx.Done():
			return
		}
	}
}

// idle is how long the dispatcher waits when it knows of nothing to do.
const idle = time.Second

// next returns what is to be sent now, or how long to wait; more is false when
// everything is done. What is due again goes before what is new.
func (s *sender) next(now time.Time) (j job, wait time.Duration, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = idle
	if len(s.later) > 0 {
		if wait = s.later[0].due.Sub(now); wait <= 0 {
			s.open++
			return heap.Pop(&s.later).(job), 0, true
		}
	}
	if s.ending {
		return job{}, wait, len(s.later) > 0 || s.open > 0
	}
	// A sender that was held up does not make up for it.
	due := s.begun.Add(time.Duration(s.paced) * time.Second / time.Duration(s.rate))
	if pause := due.Sub(now); pause > 0 {
		return job{}, min(wait, pause), true
	}
	if now.Sub(due) > time.Second {
		s.begun, s.paced = now, 0
	}
	s.paced++
	j = job{serial: s.book.begin()}
	if j.serial%everyAtOnce == 1 {
		heap.Push(&s.later, job{serial: j.serial, due: now, extra: true})
	}
	s.open++
	return j, 0, true
}

// deliver makes one attempt and plans what follows from its end.
func (s *sender) deliver(ctx context.Context, c *client, j job) {
	begun := time.Now()
	a, err := c.post(ctx, s.writer.request(j.serial))
	var next *job
	switch {
	case ctx.Err() != nil: // the connection was cut by us
	case err == nil:
		first := s.book.acknowledge(j.serial, s.writer.id(j.serial), begun, a)
		if first && j.serial%everyRepeated == 1 {
			next = &job{serial: j.serial, due: time.Now(), extra: true}
		}
	default:
		if r, ok := errors.AsType[*refusal](err); ok {
			s.book.refuse(r.why)
		}
		if j.extra {
			break
		}
		gap, again := s.schedule.after(j.attempt)
		if again {
			next = &job{serial: j.serial, attempt: j.attempt + 1, due: time.Now().Add(gap)}
		} else {
			s.book.abandon(j.serial)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if next != nil {
		heap.Push(&s.later, *next)
	}
	s.nudge()
}

// jobs is a heap, the first due at its top.
type jobs []job

func (q jobs) Len() int           { return len(q) }
func (q jobs) Less(i, k int) bool { return q[i].due.Before(q[k].due) }
func (q jobs) Swap(i, k int)      { q[i], q[k] = q[k], q[i] }
func (q *jobs) Push(x any)        { *q = append(*q, x.(job)) }

func (q *jobs) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
