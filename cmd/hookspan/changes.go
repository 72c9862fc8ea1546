package main

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/admin"
	"github.com/hookspan/hookspan/bridge/fleet"
	"github.com/hookspan/hookspan/bridge/queue"
)

// change is what a configuration changes for events that wait, before it takes effect.
type change struct {
	// Kind is removed or narrowed, of a consumer, or moved: the events are elsewhere.
	Kind     string `json:"kind"`
	Consumer string `json:"consumer,omitempty"`
	Waiting  uint64 `json:"waiting"`
	Text     string `json:"text"`
}

const (
	changeRemoved  = "removed"
	changeNarrowed = "narrowed"
	changeMoved    = "moved"
)

// changes compares the configuration with the one that its data folder has served last,
// and has the bridge count that runs on the folder. Without one the numbers are those
// that were counted last.
func (c *config) changes(e *env) ([]change, error) {
	record, err := fleet.ReadRecord(queue.OpenMemory(filepath.Join(c.DataDir, recordFile)))
	if err != nil || record == nil {
		return []change{}, err
	}
	counts, err := c.counter(e, record)
	if err != nil {
		return nil, err
	}
	out := []change{}
	next, at := c.place(), record.Place()
	if next.Store != at.Store || next.Prefix != at.Prefix {
		// Its consumers are all made anew.
		if waiting := counts.most(); waiting > 0 {
			out = append(out, change{changeMoved, "", waiting, leftText(at, waiting)})
		}
		return out, nil
	}
	for _, name := range counts.names() {
		cons, kept := c.Consumers[name]
		waiting := counts.waiting(name)
		if !kept {
			text := fleet.Orphan(bridge.ConsumerState{Name: name, Pending: waiting})
			out = append(out, change{changeRemoved, name, waiting, text})
			continue
		}
		served := record.Consumers()[name]
		filter := cons.Filter.filter()
		if filter.Covers(served.Filter) || waiting == 0 {
			continue
		}
		skips, exactly, err := counts.skips(e, name, filter)
		if err != nil {
			return nil, err
		}
		if !exactly || skips > 0 {
			out = append(out, change{changeNarrowed, name, skips, narrowText(name, skips, exactly)})
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
	record *fleet.Record
	api    apiFlag // of the bridge, if there is one
	states map[string]bridge.ConsumerState
}

func (c *config) counter(e *env, record *fleet.Record) (counter, error) {
	n := counter{record: record}
	holder, err := queue.ReadHolder(c.DataDir)
	if errors.Is(err, queue.ErrNotRunning) || err == nil && holder.AdminURL == "" {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	n.api.API = holder.AdminURL
	var list admin.ConsumerList
	if err := n.api.get(e, apiRoute("consumers"), nil, &list); err != nil {
		return n, nil //nolint:nilerr // its NATS is away: what was counted last is known
	}
	n.states = map[string]bridge.ConsumerState{}
	for _, s := range list.Consumers {
		n.states[s.Name] = s
	}
	return n, nil
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
	return sortedKeys(all)
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
func (n counter) skips(e *env, name string, filter bridge.Filter) (skips uint64, exactly bool, err error) {
	if n.states == nil {
		return n.record.Waiting(name), false, nil
	}
	if _, rest := filter.Subjects(bridge.Names{}); rest {
		return n.waiting(name), false, nil
	}
	var answer admin.FilterSkips
	err = n.api.call(e, http.MethodPost, apiRoute("consumers", name, "filter-skips"),
		admin.FilterCall{Event: filter.Event, Sources: filter.Sources, Statuses: filter.Statuses, Model: filter.Model}, &answer)
	return answer.Skips, true, err
}
