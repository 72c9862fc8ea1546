package app

import (
	"context"
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/audit"
	"github.com/hookspan/hookspan/internal/natserr"
)

// startAdmin serves operators from now on until every later part has ended, so that operators
// see the parts start and end. Health and metrics are served whatever the roles are.
func (a *App) startAdmin() (err error) {
	listen, standard := a.cfg.Admin.ListenAddress()
	log := a.log.Named("admin")
	a.saySocket(a.opts.Admin, "admin.listen", listen, listen != "")
	if listen == "" {
		return nil
	}
	cfg := admin.Config{
		Listen: listen, FreePort: standard, Hosts: a.cfg.Admin.Hosts, TLSCert: a.cfg.Admin.TLS.Cert, TLSKey: a.cfg.Admin.TLS.Key,
	}
	if a.opts.Admin != nil {
		cfg.Socket = a.opts.Admin
	}
	deps := admin.Deps{Checks: a.checks, Metrics: a.registry, NoAPI: !a.cfg.Has(config.RoleAdmin)}
	var collectors []prometheus.Collector
	if !deps.NoAPI {
		if cfg.Tokens, err = readTokens(a.cfg, a.getenv); err != nil {
			return err
		}
		a.audit = audit.New(a.folder.Dir(), log)
		a.onStop.add("audit", a.audit.Close)
		deps.Audit, deps.Away, deps.Console, deps.ConfigSchema = a.audit, natserr.Away, a.console, config.Schema()
		collectors = a.audit.Collectors()
	}
	if a.operators, err = admin.New(cfg, deps, log); err != nil {
		return err
	}
	if err := a.register(append(collectors, a.operators.Collectors()...)...); err != nil {
		return errors.Join(err, a.operators.Close())
	}
	if tcp, ok := a.operators.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		warning := "health and metrics are served beyond this machine without a token: restrict who can reach the address"
		switch {
		case deps.NoAPI:
		case len(cfg.Tokens) == 0:
			warning += "; the API is not served, name who may call it in admin.tokens"
		case cfg.TLSCert == "":
			warning += "; tokens travel as they are, set admin.tls or put a proxy with TLS before it"
		}
		log.Warn(warning, zap.Stringer("admin.listen", tcp))
	}
	a.onStop.background(a.ctx, "admin listener", func(ctx context.Context) {
		if err := a.operators.Run(ctx); err != nil {
			// Webhooks do not need the admin listener, so its end is not that of the App.
			log.Error("health, metrics and the API are not served any more; webhooks are still accepted", zap.Error(err))
		}
	})
	return nil
}
