package predictions

import (
	"context"
	"maps"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Sources returns the sources of known with their open predictions, and others that have some,
// at most [adminapi.MaxStatusSources] of those: events can be of any source.
func Sources(ctx context.Context, v *view.View, known map[string]adminapi.SourceStatus, now time.Time) (map[string]adminapi.SourceStatus, error) {
	names, err := v.OpenSources(ctx, len(known)+adminapi.MaxStatusSources)
	if err != nil {
		return nil, err
	}
	all := make(map[string]adminapi.SourceStatus, len(known)+len(names))
	maps.Copy(all, known)
	for _, name := range names {
		s, configured := all[name]
		if !configured && len(all) >= len(known)+adminapi.MaxStatusSources {
			continue
		}
		if s.Open, s.Overdue, s.Oldest, err = v.Counts(ctx, name, now); err != nil {
			return nil, err
		}
		all[name] = s
	}
	return all, nil
}
