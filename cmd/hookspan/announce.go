package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/hookspan/hookspan/bridge/admin"
	"github.com/hookspan/hookspan/bridge/ingress"
)

// ready is what serve prints once everything listens.
type ready struct {
	Webhooks map[string]string `json:"webhooks"`
	NATS     string            `json:"nats,omitempty"`
	Admin    string            `json:"admin,omitempty"`
	DataDir  string            `json:"data_dir"`
	PID      int               `json:"pid"`
}

// newReady takes nil for what does not run here.
func newReady(cfg *config, in *ingress.Server, operators *admin.Server, store *store) ready {
	r := ready{Webhooks: map[string]string{}, NATS: store.url, DataDir: cfg.DataDir, PID: os.Getpid()}
	if in != nil {
		scheme := "http://"
		if cfg.Ingress.TLS.Cert != "" {
			scheme = "https://"
		}
		for name := range cfg.Sources {
			r.Webhooks[name] = scheme + reachable(in.Addr()) + "/webhooks/" + name
		}
	}
	if operators != nil {
		r.Admin = "http://" + reachable(operators.Addr())
	}
	return r
}

// announce says where everything is, and what to try.
func announce(e *env, cfg *config, r ready) error {
	if e.json {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	out := &printer{w: e.stdout}
	out.printf("hookspan %s is ready\n", version())
	for _, name := range sortedKeys(r.Webhooks) {
		out.printf("  webhooks of %-8s %s\n", name, r.Webhooks[name])
	}
	switch {
	case cfg.NATS.URL != "":
		out.printf("  events in            the external NATS\n")
	case r.NATS == "":
		out.printf("  events in            the embedded NATS, for this process alone\n")
	default:
		out.printf("  events in            %s (hookspan nats-env prints the password)\n", r.NATS)
	}
	out.printf("  data in              %s\n", r.DataDir)
	if r.Admin != "" {
		out.printf("  health and metrics   %s/readyz, %s/metrics\n", r.Admin, r.Admin)
	}
	for _, name := range sortedKeys(r.Webhooks)[:min(1, len(r.Webhooks))] {
		secret := "env:" + defaultSecretEnv
		if refs := cfg.Sources[name].Secrets; len(refs) > 0 {
			secret = string(refs[0])
		}
		path := ""
		if cfg.Sources[name].PathToken != "" {
			path = "/<path token>"
		}
		out.printf("try it:\n  hookspan send --secret %s --url %s%s\n", secret, r.Webhooks[name], path)
	}
	return out.err
}

// reachable is the bound address with a host that a client on this machine can
// use.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// printer keeps the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
