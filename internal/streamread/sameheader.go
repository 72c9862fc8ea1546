package streamread

import (
	"maps"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// SameHeader reports whether two headers are of one message that was made twice: the headers
// that travel on are equal, and both are dead letters of the same failure, or neither is one.
// What a dead letter says of the attempts may differ, since its writers may know more or less
// of them.
func SameHeader(a, b bridge.Header) bool {
	return maps.EqualFunc(withoutDeath(a), withoutDeath(b), slices.Equal[[]string]) && sameDeath(a, b)
}

func withoutDeath(h bridge.Header) bridge.Header {
	out := h.Republish()
	maps.DeleteFunc(out, func(key string, _ []string) bool { return strings.HasPrefix(key, bridge.HeaderDeadPrefix) })
	return out
}

func sameDeath(a, b bridge.Header) bool {
	x, errX := bridge.DecodeDeadLetter(a)
	y, errY := bridge.DecodeDeadLetter(b)
	if errX != nil || errY != nil {
		return errX != nil && errY != nil
	}
	return x.Consumer == y.Consumer && x.Redrives == y.Redrives && (x.Cause == bridge.DeadExpired) == (y.Cause == bridge.DeadExpired)
}
