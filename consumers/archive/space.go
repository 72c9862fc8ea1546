package archive

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

const (
	// spaceStep is how many bytes are written between two looks at the disk.
	spaceStep = 16 << 20
	// hasRoom ends the alarm.
	hasRoom = "the archive has room again"
	// spacePoll is how often a handler that waits for room looks again.
	spacePoll = 5 * time.Second
)

// noRoom says that a file would take space that the event store may need, or more than the
// archive may have.
type noRoom struct {
	need, free, reserve, promised int64
	// limit is what the archive may hold and used what it holds, when the limit is the reason.
	limit, used int64
}

func (e *noRoom) Error() string {
	if e.limit > 0 {
		return fmt.Sprintf("no room for %s: the archive holds %s of %s, and %s are promised to other files",
			humanBytes(e.need), humanBytes(e.used), humanBytes(e.limit), humanBytes(e.promised))
	}
	return fmt.Sprintf("no room for %s: %s are free, of which %s are reserved for events and %s are promised to other files",
		humanBytes(e.need), humanBytes(e.free), humanBytes(e.reserve), humanBytes(e.promised))
}

func (e *noRoom) remedy() string {
	if e.limit > 0 {
		return "raise consumers.<name>.max_bytes, or remove what is not needed any more"
	}
	return "free some space, or give the archive a disk of its own"
}

// space keeps the archive from taking space that the event store may need, and more than its
// limit. Parallel attempts see the same free bytes, so space promises each byte once.
type space struct {
	free    func() (int64, error)
	reserve func() (int64, error)
	poll    time.Duration
	alarms  bridge.Alarmer
	name    string // of the consumer
	step    int64  // set aside at once for a file of unknown length
	usage   *usage // nil: no limit

	mu       sync.Mutex
	promised int64 // bytes promised to files and not yet written
	waiters  int   // attempts that wait for room
	since    time.Time
	full     *noRoom // why the last of them waits
}

func newSpace(c Config, files store) *space {
	s := &space{
		free: unlimited, reserve: c.Reserve, poll: spacePoll, alarms: c.Alarms, name: c.Name, step: min(spaceStep, c.MaxOutput),
	}
	if dir := c.Location.Dir; dir != "" {
		s.free = func() (int64, error) { return freeSpace(dir) }
	}
	if c.MaxBytes > 0 {
		s.usage = newUsage(c.MaxBytes, files.size)
	}
	return s
}

// unlimited is the free space of a bucket.
func unlimited() (int64, error) { return math.MaxInt64, nil }

// freeSpace is what programs without privileges can still write to the file system of dir, in
// bytes.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	size := uint64(max(st.Bsize, 1))
	return int64(min(st.Bavail, math.MaxInt64/size) * size), nil
}

// promise sets n bytes aside. The error is a *noRoom when there is no room. A promise of 0
// checks the promises made before.
func (s *space) promise(n int64) error {
	reserve, err := s.reserve() // slow, so not under the lock
	if err != nil {
		return fmt.Errorf("asking what must stay free for events: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	free, err := s.free()
	if err != nil {
		return err
	}
	if free-s.promised-n < reserve {
		return &noRoom{need: n, free: free, reserve: reserve, promised: s.promised}
	}
	if s.usage != nil {
		if full := s.usage.hold(n); full != nil {
			return full
		}
	}
	s.promised += n
	return nil
}

// settle takes back a promise of n bytes that are written, or never will be.
func (s *space) settle(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promised -= n
}

// wait returns when there may be room for what full needed, or the cause of ctx's end. It first
// looks at the disk after one interval, so a caller that tries again at once does not spin.
func (s *space) wait(ctx context.Context, full *noRoom) error {
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	defer s.waited()
	for s.waits(1, full); ; s.waits(0, full) {
		s.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmArchiveNoRoom, Subject: s.name, Text: "archive waits: " + full.Error() + "; " + full.remedy(), Over: hasRoom,
			Details: map[string]any{
				"need_bytes": full.need, "free_bytes": full.free, "reserve_bytes": full.reserve, "promised_bytes": full.promised,
				"max_bytes": full.limit, "used_bytes": full.used,
			},
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if full.limit > 0 {
			if err := s.usage.recount(ctx); err != nil {
				return err
			}
		}
		g, err := s.grant(full.need, 0)
		if err == nil {
			g.release()
			return nil
		}
		next, ok := asNoRoom(err)
		if !ok {
			return err
		}
		next.need = full.need
		full = next
	}
}

// waits notes that so many more attempts wait for room, and why.
func (s *space) waits(more int, full *noRoom) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiters += more; s.waiters == more {
		s.since = time.Now()
	}
	s.full = full
}

func (s *space) waited() {
	s.mu.Lock()
	s.waiters--
	last := s.waiters == 0
	s.mu.Unlock()
	if last {
		s.alarms.Raise(bridge.Alarm{Kind: bridge.AlarmArchiveNoRoom, Subject: s.name, Text: hasRoom, Cleared: true})
	}
}

var (
	_ consumers.Gate    = (*Archive)(nil)
	_ consumers.Blocker = (*Archive)(nil)
)

// Blocked returns since when outputs wait for room, or for a store that can be written, and why;
// the zero time while none does.
func (a *Archive) Blocked() (time.Time, string) {
	if since, why := a.outage.now(); !since.IsZero() {
		return since, why + "; " + a.outage.remedy()
	}
	a.space.mu.Lock()
	defer a.space.mu.Unlock()
	if a.space.waiters == 0 {
		return time.Time{}, ""
	}
	return a.space.since, a.space.full.Error() + "; " + a.space.full.remedy()
}

// Wait returns when the store can be written and there is room for further outputs, or when ctx
// has ended. Meanwhile events wait in their stream.
func (a *Archive) Wait(ctx context.Context) {
	a.outage.wait(ctx)
	if a.space.ready(ctx) != nil {
		return // Handle meets the same error and returns it
	}
	if g, err := a.space.grantWait(ctx, a.space.step); err == nil {
		g.release()
	}
}

// ready returns once the size of the archive is known, where there is a limit.
func (s *space) ready(ctx context.Context) error {
	if s.usage == nil {
		return nil
	}
	return s.usage.ready(ctx)
}

// stored says that what is there grew by n bytes.
func (s *space) stored(n int64) {
	if s.usage != nil {
		s.usage.add(n)
	}
}

// removed says that a file is gone.
func (s *space) removed(m measured) {
	if s.usage != nil {
		s.usage.remove(m)
	}
}
