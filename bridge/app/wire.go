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
	in, err := ingress.New(ingressOf(cfg.Ingress), routes, deps, log.Named("ingress"))
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

// config is what the ingress is given; it runs on a configuration that was
// checked.
func ingressOf(in config.IngressConfig) ingress.Config {
	out := ingress.Config{
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
		ShutdownDelay:            time.Duration(in.ShutdownDelay),
	}
	for _, text := range in.TrustedProxies {
		if network, err := ingress.ParseProxy(text); err == nil {
			out.TrustedProxies = append(out.TrustedProxies, network)
		}
	}
	return out
}
