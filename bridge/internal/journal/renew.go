package journal

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/hookspan/hookspan/bridge"
)

// Renew removes what is settled from the disk, also what a file has that is not full yet: it
// begins a new generation, and removes those before it whose records are all settled. It
// returns how many records that may be on the disk are not settled and were there before. The
// errors are those of Append.
func (j *Journal) Renew(ctx context.Context) (waiting uint64, err error) {
	if err := j.submit(ctx, &request{renew: true, answer: make(chan error, 1)}); err != nil {
		return 0, err
	}
	if err := j.writeAndTrim(); err != nil {
		return 0, fmt.Errorf("trimming the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, g := range j.generations {
		if !g.current {
			waiting += g.waiting(j.position.Settled)
		}
	}
	return waiting, nil
}

// Trim removes what is settled now, as the journal does by itself within a second.
func (j *Journal) Trim() error { return j.writeAndTrim() }

// DropAside removes the records that are set aside and that match, and returns how many. With
// keep it only counts them.
func (j *Journal) DropAside(match func(*Record) bool, keep bool) (n int, err error) {
	names, err := j.asideNames()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		a, _, err := j.readAside(name)
		if err != nil || !match(&a.Record) {
			continue // a damaged one has its alarm
		}
		if !keep {
			if err := j.removeAside(name); err != nil {
				return n, fmt.Errorf("removing a record that is set aside: %w", err)
			}
		}
		n++
	}
	return n, nil
}

// Old reports whether the disk has generations before the newest one: what was settled there is
// still in their files.
func (j *Journal) Old() (bool, error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return false, fmt.Errorf("looking at the journal: %w: %w", bridge.ErrUnavailable, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		_, is := parseGeneration(e.Name())
		return is && (len(j.generations) == 0 || e.Name() != j.generations[len(j.generations)-1].name)
	}), nil
}
