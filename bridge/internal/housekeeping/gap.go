package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// namedGaps is how many gaps of a pass get an alarm of their own.
	namedGaps = 16
	// maxDeleted bounds the removed messages that the server lists.
	maxDeleted = 100_000
)

// examine finds out why the server skipped the sequences from to to, and raises an alarm for a
// loss. after is the time of the message behind the gap, zero if there is none. It returns true
// when the sequences must be read again: a replica may have been behind.
func (p *pass) examine(ctx context.Context, from, to uint64, after time.Time) (again bool, err error) {
	if _, err = p.get(ctx, to, ""); err == nil {
		return true, nil
	}
	if !errors.Is(err, bridge.ErrNotFound) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, scrubTimeout)
	defer cancel()
	info, err := p.stream.Info(ctx)
	if err != nil {
		return false, err
	}
	if info.State.LastSeq < to {
		return false, nil // the auditor reports this
	}
	from = max(from, info.State.FirstSeq) // messages before it were purged or aged out
	if from > to {
		return false, nil
	}
	unreadable, removed := to-from+1, uint64(0)
	switch deleted := info.State.NumDeleted; {
	case deleted == 0:
	case deleted > maxDeleted:
		unreadable, removed = 0, unreadable
	default:
		info, err := p.stream.Info(ctx, jetstream.WithDeletedDetails(true))
		if err != nil {
			return false, err
		}
		// Messages are removed meanwhile, and the list has none before the first that is left.
		if from = max(from, info.State.FirstSeq); from > to {
			return false, nil
		}
		unreadable = to - from + 1
		for _, sequence := range info.State.Deleted {
			if sequence >= from && sequence <= to {
				removed++
			}
		}
		unreadable -= removed
	}
	kept := slices.Contains(p.cfg.Kept, p.name)
	for seq := from; seq <= to && removed > 0 && kept; seq++ {
		if p.cfg.Erased(seq) {
			removed--
		}
	}
	if unreadable > 0 || removed > 0 && kept {
		if err := p.confirm(from, info); err != nil {
			return false, err
		}
	}
	switch {
	case unreadable > 0:
		p.report(bridge.AlarmStoreCorrupt, unreadable, from, to, after, "cannot be read, their file is damaged, and no consumer gets them as they were")
	case removed > 0 && kept:
		p.report(bridge.AlarmStoreMissing, removed, from, to, after, "are gone: somebody removed them, or the server did because their file is damaged")
	}
	return false, nil
}

// gap is one that was found in a replicated stream.
type gap struct {
	from  uint64
	since time.Time
}

var errUnsure = errors.New("a replica may lack what the others have, and is read again later")

// confirm returns an error as long as a gap may be that of the replica that answered. One that
// was cut off from the others, or that follows again, answers too.
func (p *pass) confirm(from uint64, info *jetstream.StreamInfo) error {
	if info.Cluster == nil || len(info.Cluster.Replicas) == 0 {
		return nil
	}
	if p.unsure[p.name].from != from {
		p.unsure[p.name] = gap{from, time.Now()}
	}
	lacking := func(peer *jetstream.PeerInfo) bool { return !peer.Current || peer.Offline }
	if time.Since(p.unsure[p.name].since) < lagTime || slices.ContainsFunc(info.Cluster.Replicas, lacking) {
		return errUnsure
	}
	return nil
}

func (p *pass) report(kind string, count, from, to uint64, after time.Time, what string) {
	if p.gaps++; p.gaps > namedGaps {
		p.restGaps++
		p.restMsg += count
		return
	}
	p.cfg.Alarms.Raise(bridge.Alarm{
		Kind: kind, Subject: fmt.Sprintf("%s %d-%d", p.name, from, to),
		Text: fmt.Sprintf("%s: %d messages between sequences %d and %d %s; restore a backup, or have the sender send again what came between %s and %s",
			p.name, count, from, to, what, timeText(p.before), timeText(after)),
		Details: map[string]any{"stream": p.name, "from": from, "to": to, "count": count, "after": p.before, "before": after},
	})
}

func (p *pass) reportRest() {
	if p.restGaps == 0 {
		return
	}
	p.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmStoreCorrupt, Subject: p.name + " rest",
		Text: fmt.Sprintf("%s: beyond those that are named, %d messages in %d more places are gone or cannot be read: replace the disk and restore a backup",
			p.name, p.restMsg, p.restGaps),
		Details: map[string]any{"stream": p.name, "count": p.restMsg, "places": p.restGaps},
	})
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}
