package live

import "time"

// Limits are those that tests change. Zero fields stay as they are.
type Limits struct {
	Idle, Heartbeat, Gather, JumpEvery  time.Duration
	Batch, RingMessages, Burst, CatchUp int
	Behind                              uint64
}

// SetLimits changes the limits of both streams. Call it before anybody follows.
func (s *Streams) SetLimits(l Limits) {
	for _, h := range []*hub{s.events, s.alarms} {
		for to, d := range map[*time.Duration]time.Duration{&h.limits.idle: l.Idle, &h.limits.heartbeat: l.Heartbeat, &h.limits.gather: l.Gather, &h.limits.pace: l.Gather, &h.limits.jumpEvery: l.JumpEvery} {
			if d != 0 {
				*to = d
			}
		}
		for to, n := range map[*int]int{&h.limits.batch: l.Batch, &h.limits.ringMessages: l.RingMessages, &h.limits.burst: l.Burst, &h.limits.catchUp: l.CatchUp} {
			if n != 0 {
				*to = n
			}
		}
		if l.Behind != 0 {
			h.limits.behind = l.Behind
		}
	}
}

// Listening is how many clients there are.
func (s *Streams) Listening() int { return s.events.listening() + s.alarms.listening() }

// Dropped is how many clients were dropped because they did not read.
func (s *Streams) Dropped() uint64 { return s.events.dropped.Load() + s.alarms.dropped.Load() }

// Held is how many bytes the ring of events takes.
func (s *Streams) Held() int {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	if s.events.feed == nil {
		return 0
	}
	return s.events.feed.bytes
}

// Read is the last sequence of the events that was read, false before the reader has a place.
func (s *Streams) Read() (uint64, bool) {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	if s.events.feed == nil {
		return 0, false
	}
	return s.events.feed.last, s.events.feed.ready
}
