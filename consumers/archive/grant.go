package archive

import (
	"context"
	"errors"
)

// grant is the room that one file may fill. One goroutine owns and releases it.
type grant struct {
	space *space
	// whole is the size of the file, as far as it is known.
	whole int64
	// open: the length of the file is unknown, so it may need more than whole.
	open      bool
	left      int64 // bytes promised and not yet written
	held      int64 // bytes promised, written or not
	unchecked int64 // bytes written since the last look at the disk
}

// grant sets the length of a file aside. A file of unknown length, -1, gets at least need, and
// more as it grows. The error is a *noRoom when there is no room.
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

// take notes that n bytes are about to be written. When there is no more room, it returns a
// *noRoom that names what the whole file needs.
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
		if g.open { // what has come, and a step more
			full.need += g.space.step
		}
	}
	return err
}

// release gives back the room that was not filled. For bytes that stay the caller calls
// [space.stored].
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
