package bridge

import (
	"maps"
	"slices"
	"strings"
)

// SameHeader reports whether two headers are those of one message that was made twice:
// what travels on is equal, and both are letters of one death, or none is. What a dead
// letter tells of the attempts may differ, since whoever makes it again may know more or
// less of them.
func SameHeader(a, b Header) bool {
	return maps.EqualFunc(withoutDeath(a), withoutDeath(b), slices.Equal[[]string]) && sameDeath(a, b)
}

func withoutDeath(h Header) Header {
	out := h.Republish()
	maps.DeleteFunc(out, func(key string, _ []string) bool { return strings.HasPrefix(key, deadPrefix) })
	return out
}

func sameDeath(a, b Header) bool {
	x, errX := DecodeDeadLetter(a)
	y, errY := DecodeDeadLetter(b)
	if errX != nil || errY != nil {
		return errX != nil && errY != nil
	}
	return x.Consumer == y.Consumer && x.Redrives == y.Redrives && (x.Cause == DeadExpired) == (y.Cause == DeadExpired)
}
