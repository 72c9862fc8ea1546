package archive

import (
	"context"
	"errors"
)

// grant is the room that one file may fill. It belongs to one goroutine, and must be
// released.
type grant struct {
	space *space
	// whole is what the file needs altogether, as far as it is known.
	whole int64
	// open: the file may need more than whole, since nobody said how long it is.
	open      bool
	left      int64 // promised and not yet written
	held      int64 // promised, written or not
	unchecked int64 // written since the disk was looked at
}

// grant sets aside the length of a file. One of unknown length, -1, gets at least
// need, and more as it grows. The error is a *noRoom when it is not to be had.
func (s *space) grant(length, need int64) (*grant, error) {
	g := &grant{space: s, whole: length, open: length < 0}
	if g.open {
		g.whole = max(need, s.step)
	}
	if err := s.promise(g.whole); err != nil {
		return nil, err
	}
	g.left, g.held = g.whole, g.whole
	return g, nil
}

// grantWait is grant for a file that can wait until there is room for it.
func (s *space) grantWait(ctx context.Context, length int64) (*grant, error) {
	for {
		g, err := s.grant(length, 0)
		full, ok := asNoRoom(err)
		if !ok {
			return g, err
		}
		if err := s.wait(ctx, full); err != nil {
			return nil, err
		}
	}
}

// take says that n bytes are about to be written. It returns a *noRoom that names
// what the whole file needs when there is no more room.
func (g *grant) take(n int64) error {
	if g.open && g.left < n {
		step := g.space.step
		if err := g.ask(step); err != nil {
			return err
		}
		g.whole, g.left, g.held = g.whole+step, g.left+step, g.held+step
	}
	if g.unchecked += n; g.unchecked >= spaceStep {
		if err := g.ask(0); err != nil {
			return err
		}
		g.unchecked = 0
	}
	g.left -= n
	g.space.settle(n)
	return nil
}

func (g *grant) ask(n int64) error {
	err := g.space.promise(n)
	if full, ok := asNoRoom(err); ok {
		full.need = g.whole
		if g.open { // as much as came, and some more
			full.need += g.space.step
		}
	}
	return err
}

// release gives back what was not written. What was, and stays, is for whoever knows
// that to tell by [space.stored].
func (g *grant) release() {
	g.space.settle(g.left)
	if g.space.usage != nil {
		g.space.usage.drop(g.held)
	}
	g.left, g.held = 0, 0
}

func asNoRoom(err error) (*noRoom, bool) {
	var full *noRoom
	ok := errors.As(err, &full)
	return full, ok
}
