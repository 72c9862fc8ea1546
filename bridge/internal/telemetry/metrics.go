package telemetry

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build identifies the program.
type Build struct {
	Version string // of Hookspan
	NATS    string // of the NATS server that it embeds
}

// NewRegistry returns a registry with metrics of the process, the Go runtime and the build.
// Hookspan never uses the registry that client_golang shares between all packages of a program.
func NewRegistry(b Build) (*prometheus.Registry, error) {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "hookspan_build_info",
		Help:        "1, with the versions of this program as labels.",
		ConstLabels: prometheus.Labels{"version": b.Version, "go_version": runtime.Version(), "nats_server": b.NATS},
	})
	info.Set(1)
	err := errors.Join(
		reg.Register(info),
		reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, fmt.Errorf("registering metrics of the process: %w", err)
	}
	return reg, nil
}
