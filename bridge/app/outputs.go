package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/consumers/archive"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// archivedOutputs opens outputs in the archives of the configuration. The process need not have
// the role consumers.
type archivedOutputs struct {
	app     *App
	readers []*archive.Reader
}

func (a *App) openArchives() (archivedOutputs, error) {
	all := archivedOutputs{app: a}
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Consumers)) {
		c, ok := a.cfg.Consumers[name].(*config.Archive)
		if !ok {
			continue
		}
		at, err := a.cfg.ArchiveLocation(c)
		if err != nil {
			return all, fmt.Errorf("consumers.%s: %w", name, err)
		}
		r := archive.NewReader(archive.Config{Name: name, Location: at, AllowPrivate: c.AllowPrivate})
		a.onStop.add("reader of "+name, r.Close)
		all.readers = append(all.readers, r)
	}
	return all, nil
}

// Erased implements [admin.Outputs].
func (o archivedOutputs) Erased(source, id string) bool { return o.app.store.erased.Has(source, id) }

// Open implements [admin.Outputs]. Two archives can have the same address, in buckets of one
// name at two endpoints.
func (o archivedOutputs) Open(ctx context.Context, source, id string, n int, address string) (*admin.OutputFile, error) {
	missing := adminapi.ErrNoArchive
	for _, r := range o.readers {
		f, err := r.Open(ctx, address, archive.Prediction{Source: source, ID: id}, n)
		switch {
		case err == nil:
			return (*admin.OutputFile)(f), nil
		case errors.Is(err, archive.ErrNotHere):
		case errors.Is(err, fs.ErrNotExist):
			missing = err
		default:
			return nil, err
		}
	}
	return nil, missing
}

var _ admin.Outputs = archivedOutputs{}
