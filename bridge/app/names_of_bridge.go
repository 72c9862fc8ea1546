package app

import (
	"context"
	"maps"
	"slices"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// names is what the API says of the names that exist.
func (s *store) names(cfg *config.Config, submits *submits) func(ctx context.Context) (adminapi.Names, error) {
	fleet := s.fleet(cfg)
	return func(ctx context.Context) (adminapi.Names, error) {
		list, err := fleet.List(ctx)
		if err != nil {
			return adminapi.Names{}, err
		}
		names := adminapi.Names{Consumers: []string{}, Sources: slices.Sorted(maps.Keys(*submits.sources.now.Load()))}
		for _, c := range list {
			names.Consumers = append(names.Consumers, c.Name)
		}
		slices.Sort(names.Consumers)
		return names, nil
	}
}
