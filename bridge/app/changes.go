package app

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Change is what a configuration changes for events that wait, before it takes effect.
type Change struct {
	// Kind is removed or narrowed, of a consumer, or moved: the events are elsewhere.
	Kind     string `json:"kind"`
	Consumer string `json:"consumer,omitempty"`
	Waiting  uint64 `json:"waiting"`
	Text     string `json:"text"`
}

const (
	changeRemoved  = "removed"
	ChangeNarrowed = "narrowed"
	changeMoved    = "moved"
)

// Waiting counts events that wait in a bridge that runs.
type Waiting struct {
	// Consumers are the states of all durables.
	Consumers []adminapi.ConsumerState
	// Skips returns how many of the events that wait for a consumer a filter does not pick.
	Skips func(ctx context.Context, consumer string, filter bridge.Filter) (uint64, error)
}

// Changes compares the configuration with the one that its data folder has served last,
// and has the bridge count that runs on the folder. Nil: none runs or can count, so the
// numbers are those that were counted last. Changes is empty for a folder without memory.
func Changes(ctx context.Context, cfg *config.Config, running *Waiting) ([]Change, error) {
	record, err := durables.ReadRecord(stream.OpenMemory(filepath.Join(cfg.DataDir, recordFile)))
	if err != nil || record == nil {
		return []Change{}, err
	}
	counts := newCounter(record, running)
	out := []Change{}
	next, at := placeOf(cfg), record.Place()
	if next.Store != at.Store || next.Prefix != at.Prefix {
		// Its consumers are all made anew.
		if waiting := counts.most(); waiting > 0 {
			out = append(out, Change{changeMoved, "", waiting, leftText(at, waiting)})
		}
		return out, nil
	}
	for _, name := range counts.names() {
		cons, kept := cfg.Consumers[name]
		waiting := counts.waiting(name)
		if !kept {
			text := durables.Orphan(adminapi.ConsumerState{Name: name, Pending: waiting})
			out = append(out, Change{changeRemoved, name, waiting, text})
			continue
		}
		served := record.Consumers()[name]
		filter := cons.Base().Filter.Filter()
		if filter.Covers(served.Filter) || waiting == 0 {
			continue
		}
		skips, exactly, err := counts.skips(ctx, name, filter)
		if err != nil {
			return nil, err
		}
		if !exactly || skips > 0 {
			out = append(out, Change{ChangeNarrowed, name, skips, narrowText(name, skips, exactly)})
		}
	}
	return out, nil
}

func narrowText(name string, skips uint64, exactly bool) string {
	upTo := ""
	if !exactly {
		upTo = "up to "
	}
	return fmt.Sprintf("consumer %s: its filter will not pick %s%d of the events that wait for it, and they will not be given to it", name, upTo, skips)
}

// counter counts what waits: by the bridge that runs, or as it is remembered.
type counter struct {
	record  *durables.Record
	running *Waiting
	states  map[string]adminapi.ConsumerState // nil: no bridge runs
}

func newCounter(record *durables.Record, running *Waiting) counter {
	n := counter{record: record, running: running}
	if running != nil {
		n.states = map[string]adminapi.ConsumerState{}
		for _, s := range running.Consumers {
			n.states[s.Name] = s
		}
	}
	return n
}

// names are the consumers of the configuration that was served last, and those that no
// configuration names any more.
func (n counter) names() []string {
	all := map[string]bool{}
	for name := range n.record.Consumers() {
		all[name] = true
	}
	for name, s := range n.states {
		if s.Orphaned {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (n counter) waiting(name string) uint64 {
	if n.states == nil {
		return n.record.Waiting(name)
	}
	return n.states[name].Outstanding()
}

func (n counter) most() uint64 {
	if n.states == nil {
		return n.record.Waiting("")
	}
	most := uint64(0)
	for _, s := range n.states {
		most = max(most, s.Outstanding())
	}
	return most
}

// skips is how many of the waiting events a filter does not pick; not exactly when
// nobody can count them, or the filter says more than NATS can tell.
func (n counter) skips(ctx context.Context, name string, filter bridge.Filter) (skips uint64, exactly bool, err error) {
	if n.states == nil {
		return n.record.Waiting(name), false, nil
	}
	if _, rest := filter.Subjects(bridge.Names{}); rest {
		return n.waiting(name), false, nil
	}
	skips, err = n.running.Skips(ctx, name, filter)
	return skips, true, err
}
