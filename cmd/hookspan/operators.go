package main

import (
	"context"
	"net"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/admin"
)

// phase is why a process that has not begun, or is about to end, is not ready.
func phase(running context.Context, started *atomic.Bool) string {
	switch {
	case running.Err() != nil:
		return "shutting down"
	case !started.Load():
		return "starting"
	}
	return ""
}

// startAdmin serves operators from now on until all that begins later has ended,
// so that they can see it begin and end. It returns nil when the configuration
// wants no such listener.
func startAdmin(ctx context.Context, cfg *config, deps admin.Deps, log *zap.Logger, onStop *cleanup) (*admin.Server, error) {
	listen := cfg.Admin.Listen
	if !cfg.has(roleAdmin) || listen != nil && *listen == "" {
		return nil, nil
	}
	var address string
	if listen != nil {
		address = *listen
	}
	s, err := admin.New(admin.Config{Listen: address, Hosts: cfg.Admin.Hosts}, deps, log)
	if err != nil {
		return nil, err
	}
	if tcp, ok := s.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("health and metrics are served beyond this machine to whoever asks, and the API is not served: let only those reach it who may",
			zap.Stringer("admin.listen", tcp))
	}
	onStop.background(ctx, func(ctx context.Context) error {
		if err := s.Run(ctx); err != nil {
			// Webhooks do not need it.
			log.Error("health, metrics and the API are not served any more; webhooks are still accepted", zap.Error(err))
		}
		return nil
	})
	return s, nil
}
