package main

import (
	"os"
	"strings"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// versionAt is the program of a turn: the earlier one, then the one under test, and so on.
func (l *lab) versionAt(turn int) string { return []string{l.before, l.binary}[turn%2] }

// upgrade begins with the earlier version on a new data folder. At each turn, of which there are
// as many as of kills, the other version goes on with the same folder.
func upgrade(l *lab) {
	l.config.Binary = l.before
	l.begin()
	turn := 0
	l.crash(l.kills()+1, func() {
		turn++
		l.config.Binary = l.versionAt(turn)
		if turn%4 < 2 {
			rig.Must(l.bridge.Stop())
			return
		}
		l.bridge.Kill()
	})
	l.note("%d changes of the version, every other two by a kill", turn)
	l.end()
}

// twoVersions: the bridges agree on the streams, so none changes again and again what the other
// has made.
func twoVersions(l *lab) {
	const turns = 5 // then they are of two versions
	ran := l.pair(turns, func(b *rig.Bridge) { rig.Must(b.Stop()) }, func(turn int, c *rig.BridgeConfig) {
		c.Binary = l.versionAt(turn / 2)
	})
	changes := func() (n int) {
		for _, b := range ran {
			n += strings.Count(string(rig.Must(os.ReadFile(b.Log))), "changing a stream")
		}
		return n
	}
	before := changes()
	l.Pause(2*provisionEvery + patience/10)
	if again := changes() - before; again > 0 {
		l.wrong("streams were changed %d times while nobody began", again)
	}
}

// provisionEvery is how often a bridge looks at the streams.
const provisionEvery = 30 * time.Second
