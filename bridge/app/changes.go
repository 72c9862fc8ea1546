package app

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Change is one effect of a new configuration on events that wait.
type Change struct {
	// Kind is removed or narrowed, of a consumer, or moved: the events are in another store.
	Kind     string `json:"kind"`
	Consumer string `json:"consumer,omitempty"`
	Waiting  uint64 `json:"waiting"`
	Text     string `json:"text"`
}

// Kinds of a [Change].
const (
	changeRemoved  = "removed"
	ChangeNarrowed = "narrowed"
	changeMoved    = "moved"
)

// Waiting counts the events that wait in a running bridge.
type Waiting struct {
	// Consumers are the states of all durables.
	Consumers []adminapi.ConsumerState
	// Skips counts the events that wait for a consumer and that the filter does not pick.
	Skips func(ctx context.Context, consumer string, filter bridge.Filter) (uint64, error)
}

// Changes compares the configuration with the one that its data folder has served last. Running
// counts in the bridge that runs on the folder; with nil the numbers are those that were
// recorded last. Changes is empty for a folder without such a record.
func Changes(ctx context.Context, cfg *config.Config, running *Waiting) ([]Change, error) {
	record, err := durables.ReadRecord(datafolder.OpenMemory(filepath.Join(cfg.DataDir, recordFile)))
	if err != nil || record == nil {
		return []Change{}, err
	}
	waiting, most := waitingEvents(record, running)
	out := []Change{}
	next, at := placeOf(cfg), record.Place()
	if next.Store != at.Store || next.Prefix != at.Prefix {
		// In another store all consumers are made anew.
		if most > 0 {
			out = append(out, Change{changeMoved, "", most, leftText(at, most)})
		}
		return out, nil
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		n := waiting[name]
		cons, kept := cfg.Consumers[name]
		if !kept {
			text := durables.Orphan(adminapi.ConsumerState{Name: name, Pending: n})
			out = append(out, Change{changeRemoved, name, n, text})
			continue
		}
		filter := cons.Base().Filter.Filter()
		if filter.Covers(record.Consumers()[name].Filter) || n == 0 {
			continue
		}
		// NATS can count exactly only what subjects say of a filter.
		skips, exactly := n, false
		if _, rest := filter.Subjects(bridge.Names{}); running != nil && !rest {
			exactly = true
			if skips, err = running.Skips(ctx, name, filter); err != nil {
				return nil, err
			}
		}
		if !exactly || skips > 0 {
			out = append(out, Change{ChangeNarrowed, name, skips, narrowText(name, skips, exactly)})
		}
	}
	return out, nil
}

// waitingEvents counts the events that wait for the consumers of the configuration served last,
// and for orphaned consumers: in the running bridge, or from the record. Most is the largest of
// the numbers of all consumers.
func waitingEvents(record *durables.Record, running *Waiting) (waiting map[string]uint64, most uint64) {
	waiting = map[string]uint64{}
	for name := range record.Consumers() {
		waiting[name] = 0
		if running == nil {
			waiting[name] = record.Waiting(name)
		}
	}
	if running == nil {
		return waiting, record.Waiting("")
	}
	for _, s := range running.Consumers {
		most = max(most, s.Outstanding())
		if _, served := waiting[s.Name]; served || s.Orphaned {
			waiting[s.Name] = s.Outstanding()
		}
	}
	return waiting, most
}

func narrowText(name string, skips uint64, exactly bool) string {
	upTo := ""
	if !exactly {
		upTo = "up to "
	}
	return fmt.Sprintf("consumer %s: its filter will not pick %s%d of the events that wait for it, and they will not be given to it", name, upTo, skips)
}
