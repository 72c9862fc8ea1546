package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a filter. Each combination of a source and a status is one filter subject of
// the durable.
const (
	maxFilterSubjects = 256
	maxModelGlob      = 1 << 10
)

// wildcard means everything, in a filter and in a NATS subject.
const wildcard = "*"

// Filter picks events of one kind. The zero value picks every event of [KindPrediction].
type Filter struct {
	// Event is the kind of the events; empty is [KindPrediction].
	Event string
	// Sources are names of configured senders; none, or "*", means every one.
	Sources []string
	// Statuses are normalised; none, or "*", means every one. Only events of
	// [KindPrediction] are filtered by them.
	Statuses []string
	// Model is a glob in which only '*' is special: it matches any run of characters, '/'
	// too. Empty matches every model, and events without one.
	Model string
}

// Validate returns an error that names the first invalid field.
func (f Filter) Validate() error {
	if kind := f.kind(); !slices.Contains(eventKinds, kind) {
		return fmt.Errorf("filter event %.40q: use one of %s", kind, strings.Join(eventKinds, ", "))
	}
	for _, s := range f.Sources {
		if s == wildcard {
			continue
		}
		if err := CheckName("filter source", s); err != nil {
			return err
		}
	}
	for _, s := range f.Statuses {
		if _, err := DecodeToken(s); err != nil && s != wildcard && !errors.Is(err, ErrShortened) {
			return fmt.Errorf("filter status: %w: use a normalised status such as %s", err, StatusCompleted)
		}
	}
	if n := max(1, len(f.Sources)) * max(1, len(f.Statuses)); n > maxFilterSubjects {
		return fmt.Errorf("filter: %d combinations of source and status, at most %d are possible", n, maxFilterSubjects)
	}
	if len(f.Model) > maxModelGlob {
		return fmt.Errorf("filter model: %d bytes, at most %d are possible", len(f.Model), maxModelGlob)
	}
	return nil
}

// Match reports whether the filter picks the event.
func (f Filter) Match(e *Event) bool {
	return f.kind() == e.Kind() &&
		(every(f.Sources) || slices.Contains(f.Sources, e.Source)) &&
		(f.kind() != KindPrediction || every(f.Statuses) || slices.Contains(f.Statuses, e.Status)) &&
		(f.Model == "" || globMatch(f.Model, e.Model))
}

// Covers reports whether every event that passes other surely passes f too.
func (f Filter) Covers(other Filter) bool {
	return f.kind() == other.kind() &&
		includes(f.Sources, other.Sources) &&
		(f.kind() != KindPrediction || includes(f.Statuses, other.Statuses)) &&
		(f.Model == "" || f.Model == other.Model)
}

// includes reports whether list picks everything that other picks.
func includes(list, other []string) bool {
	return every(list) || !every(other) && !slices.ContainsFunc(other, func(s string) bool { return !slices.Contains(list, s) })
}

// Subjects returns NATS subjects that cover every event of the filter and do not overlap.
// When rest is true they cover other events too, and readers must check [Filter.Match].
func (f Filter) Subjects(n Names) (subjects []string, rest bool) {
	model, rest := modelFilter(f.Model)
	for _, source := range orAny(f.Sources) {
		if f.kind() != KindPrediction {
			subjects = append(subjects, n.prefix()+".events."+source+"."+f.kind()+"."+model)
			continue
		}
		for _, status := range orAny(f.Statuses) {
			subjects = append(subjects, n.prefix()+".events."+source+"."+KindPrediction+"."+status+"."+model)
		}
	}
	return subjects, rest
}

// IsZero reports whether f picks every event of [KindPrediction].
func (f Filter) IsZero() bool {
	return f.Event == "" && len(f.Sources) == 0 && len(f.Statuses) == 0 && f.Model == ""
}

func (f Filter) kind() string { return cmp.Or(f.Event, KindPrediction) }

func every(list []string) bool { return len(list) == 0 || slices.Contains(list, wildcard) }

// orAny returns list sorted and without repetitions, or the wildcard if list picks
// everything.
func orAny(list []string) []string {
	if every(list) {
		return []string{wildcard}
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// modelFilter returns the subject tokens that express as much of the glob as NATS wildcards
// can, and whether the glob is stricter than they are.
func modelFilter(glob string) (tokens string, rest bool) {
	if glob == "" {
		return ">", false
	}
	if !strings.Contains(glob, "*") {
		return strings.Join(modelTokens(glob), "."), false
	}
	parts := strings.Split(glob, "/")
	literal := slices.IndexFunc(parts, func(p string) bool { return strings.Contains(p, "*") })
	// The last token may hold several parts of a model, so one part cannot select it.
	kept := min(literal, maxModelTokens-1)
	for _, p := range parts[:kept] {
		tokens += EncodeToken(p) + "."
	}
	whole := kept == literal && literal == len(parts)-1 && parts[literal] == "*"
	return tokens + ">", !whole
}

// globMatch reports whether glob matches s; only '*' is special.
func globMatch(glob, s string) bool {
	first, rest, star := strings.Cut(glob, "*")
	if !star {
		return s == glob
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}
