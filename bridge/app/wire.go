package app

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
)

// newIngress returns nil when this process has no such role.
func newIngress(cfg *config.Config, sources sourceSet, deps ingress.Deps, metrics prometheus.Registerer, log *zap.Logger, onStop *cleanup) (*ingress.Server, error) {
	if !cfg.Has(config.RoleIngress) {
		return nil, nil
	}
	routes, err := sources.routes()
	if err != nil {
		return nil, err
	}
	ingressConfig, err := ingressOf(cfg.Ingress)
	if err != nil {
		return nil, err
	}
	in, err := ingress.New(ingressConfig, routes, deps, log.Named("ingress"))
	if err != nil {
		return nil, err
	}
	onStop.add("ingress", func() error { return ignoreClosed(in.Close()) })
	return in, register(metrics, in.Collectors()...)
}

// register adds metrics to those that are served.
func register(metrics prometheus.Registerer, collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := metrics.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// ingressOf is the configuration of the ingress, which was checked.
func ingressOf(in config.Ingress) (ingress.Config, error) {
	proxies, err := in.Proxies()
	return ingress.Config{
		Listen:                   in.Listen,
		Deadline:                 time.Duration(in.Deadline),
		MaxBody:                  int64(in.MaxBody),
		MaxInFlight:              in.MaxInFlight,
		MaxInFlightBytes:         int64(in.MaxInFlightBytes),
		MaxConnections:           in.MaxConnections,
		IdleTimeout:              time.Duration(in.IdleTimeout),
		MaxConnectionsPerAddress: in.MaxConnectionsPerAddress,
		RatePerAddress:           float64(in.RatePerAddress),
		BurstPerAddress:          in.BurstPerAddress,
		TLSCert:                  in.TLS.Cert,
		TLSKey:                   in.TLS.Key,
		TrustedProxies:           proxies,
		ShutdownDelay:            time.Duration(in.ShutdownDelay),
	}, err
}
