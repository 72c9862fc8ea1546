package app

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// startAdmin serves operators from now on until every later part has ended, so that operators
// see the parts start and end.
func (a *App) startAdmin() (err error) {
	listen, standard := a.cfg.Admin.ListenAddress()
	log := a.log.Named("admin")
	served := a.cfg.Has(config.RoleAdmin) && listen != ""
	a.saySocket(a.opts.Admin, "admin.listen", listen, served)
	if !served {
		return nil
	}
	cfg := admin.Config{Listen: listen, FreePort: standard, Hosts: a.cfg.Admin.Hosts}
	if a.opts.Admin != nil {
		cfg.Socket = a.opts.Admin
	}
	if a.operators, err = admin.New(cfg, admin.Deps{Checks: a.checks, Metrics: a.registry}, log); err != nil {
		return err
	}
	if tcp, ok := a.operators.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("health and metrics are served beyond this machine without a token, and the API is not served: restrict who can reach the address",
			zap.Stringer("admin.listen", tcp))
	}
	a.onStop.background(a.ctx, "admin listener", func(ctx context.Context) {
		if err := a.operators.Run(ctx); err != nil {
			// Webhooks do not need the admin listener, so its end is not that of the App.
			log.Error("health, metrics and the API are not served any more; webhooks are still accepted", zap.Error(err))
		}
	})
	return nil
}
