package app

import "github.com/hookspan/hookspan/bridge/internal/live"

// openLive makes the live streams of the API, which end with the process.
func (a *App) openLive() error {
	a.live = live.New(a.store.consume, a.cfg.Names(), a.filterOf, a.store.erased.Has, a.log)
	a.group.Go(func() error { <-a.ctx.Done(); a.live.Close(); return nil })
	return a.register(a.live.Collectors()...)
}
