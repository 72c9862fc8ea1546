package erase

import (
	"maps"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// Selection is what one call erases, and what it has learned of it. It belongs to one call.
type Selection struct {
	targets map[Target]bool
	ids     map[string]bool
	// tenant, unless nil: kept deliveries for this tenant go too, whatever they are about.
	tenant func(name string) bool

	// Gone are the messages that were erased, by stream.
	Gone map[string][]uint64

	events map[Target][]uint64
	models map[Target]string
	// recent were erased shortly before.
	recent map[Target]bool
}

func newSelection(targets []Target, tenant func(name string) bool) *Selection {
	s := &Selection{
		targets: map[Target]bool{}, ids: map[string]bool{}, tenant: tenant,
		Gone: map[string][]uint64{}, events: map[Target][]uint64{}, models: map[Target]string{},
	}
	for _, t := range targets {
		s.targets[t], s.ids[t.ID] = true, true
	}
	return s
}

// Targets returns the predictions.
func (s *Selection) Targets() []Target { return slices.Collect(maps.Keys(s.targets)) }

// Has reports whether the prediction is to be erased. An empty source is any one.
func (s *Selection) Has(source, id string) bool {
	if source == "" {
		return s.ids[id]
	}
	return s.targets[Target{source, id}]
}

// Matches reports whether a message is of one of the predictions, or names one.
func (s *Selection) Matches(names bridge.Names, m Message) bool {
	if s.tenant != nil && s.tenant(tenantOf(m.Header)) && keptSource(names, m.Subject) != "" {
		return true
	}
	return known(s.Has).is(names, m)
}

// MatchesRemains is [Selection.Matches] for what is left of messages in files: it includes what
// was erased shortly before, which the server may have written back from its memory.
func (s *Selection) MatchesRemains(names bridge.Names, m Message) bool {
	if s.Matches(names, m) {
		return true
	}
	has := func(source, id string) bool {
		if source != "" {
			return s.recent[Target{source, id}]
		}
		for t := range s.recent {
			if t.ID == id {
				return true
			}
		}
		return false
	}
	return len(s.recent) > 0 && known(has).is(names, m)
}

// tenantOf is the tenant that the sender's URL named, if the source allows that.
func tenantOf(h bridge.Header) string {
	tenant, err := h.Value("hookspan-query-tenant")
	if err != nil {
		return ""
	}
	return tenant
}

// targetOf is the prediction of an event, or of a copy of one.
func targetOf(h bridge.Header) Target {
	source, err := h.Value("ce-source")
	id, err2 := h.Value("ce-subject")
	if err != nil || err2 != nil {
		return Target{}
	}
	return Target{strings.TrimPrefix(source, "/sources/"), id}
}

// note remembers an event that is about to go.
func (s *Selection) note(m Message, seq uint64) {
	t := targetOf(m.Header)
	s.events[t] = append(s.events[t], seq)
	if model, err := m.Header.Value("ce-model"); err == nil && model != "" {
		s.models[t] = model
	}
}
