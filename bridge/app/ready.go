package app

import (
	"net"
	"os"
	"strings"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
)

// Ready says where a bridge listens and keeps its data. It is printed as JSON.
type Ready struct {
	Webhooks map[string]string `json:"webhooks"`
	NATS     string            `json:"nats,omitempty"`
	Admin    string            `json:"admin,omitempty"`
	DataDir  string            `json:"data_dir"`
	PID      int               `json:"pid"`
}

// newReady takes nil for what does not run here.
func newReady(cfg *config.Config, in *ingress.Server, operators *admin.Server, store *store) Ready {
	r := Ready{Webhooks: map[string]string{}, DataDir: cfg.DataDir, PID: os.Getpid()}
	if store.url != "" {
		r.NATS = "nats://" + Reachable(strings.TrimPrefix(store.url, "nats://"))
	}
	if in != nil {
		scheme := "http://"
		if cfg.Ingress.TLS.Cert != "" {
			scheme = "https://"
		}
		for name := range cfg.Sources {
			r.Webhooks[name] = scheme + Reachable(in.Addr().String()) + "/webhooks/" + name
		}
	}
	if operators != nil {
		r.Admin = "http://" + Reachable(operators.Addr().String())
	}
	return r
}

// reachable is a bound address with a host that a client on this machine can use.
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
