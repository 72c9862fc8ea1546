package app

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/consumers/forward"
)

func (e *examination) secrets() {
	var list []doctor.Secret
	look := func(key string, ref config.SecretRef, optional bool) {
		if ref == "" {
			return
		}
		s := doctor.Secret{Key: key, Place: string(ref)}
		if optional {
			s.Value, s.Err = ref.Resolve(e.getenv)
		} else {
			s.Value, s.Err = ref.Require(e.getenv)
		}
		if path, is := strings.CutPrefix(string(ref), "file:"); is {
			s.Mode = modeOf(path)
		}
		list = append(list, s)
	}
	c := e.cfg
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s, key := c.Sources[name], "sources."+name
		if c.Has(config.RoleIngress) {
			for _, ref := range s.Secrets {
				look(key+".secrets", ref, true)
			}
			look(key+".path_token", s.PathToken, false)
		}
		if c.AsksProviders() {
			look(key+".api.key", s.API.Key, false)
		}
	}
	names, of := consumersOf[*config.Forward](c)
	for _, name := range names {
		refs, which := of[name].Signing()
		for _, ref := range refs {
			look("consumers."+name+"."+which, ref, false)
			s := &list[len(list)-1]
			if err := forward.CheckSecret(s.Value); s.Err == nil && err != nil {
				s.Err = fmt.Errorf("%s: %w", ref, err)
			}
		}
	}
	if c.Has(config.RoleAdmin) {
		for _, t := range c.Admin.Tokens {
			look("admin.tokens: "+t.Name, t.Secret, false)
		}
	}
	look("nats.password", c.NATS.Password, false)
	for key, path := range map[string]string{
		"ingress.tls.key": c.Ingress.TLS.Key, "admin.tls.key": c.Admin.TLS.Key, "nats.tls.key": c.NATS.TLS.Key, "nats.creds": c.NATS.Creds, "nats.nkey": c.NATS.NKey,
	} {
		if path != "" { // what is in it is checked where it is used
			list = append(list, doctor.Secret{Key: key, Place: "file:" + path, Mode: modeOf(path)})
		}
	}
	slices.SortStableFunc(list, func(a, b doctor.Secret) int { return strings.Compare(a.Key, b.Key) })
	e.report.Secrets(list)
}

// modeOf is the mode of a file, 0 when it is not there.
func modeOf(path string) os.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Mode()
}

// senders are the configured sources, as far as this process takes webhooks.
func (e *examination) senders() []doctor.Source {
	var list []doctor.Source
	if !e.cfg.Has(config.RoleIngress) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(e.cfg.Sources)) {
		s := e.cfg.Sources[name]
		kind, err := s.Sender()
		if err != nil {
			continue // cannot happen: the configuration was checked
		}
		one := doctor.Source{
			Name: name, MaxAge: time.Duration(s.MaxAge), LastAttempt: kind.Forgives, RetrySpan: kind.RetrySpan, OutputLife: kind.OutputLife,
			// Another process may poll, which has the same configuration.
			Polled: s.API.Key != "", HasSecret: !kind.NeedsSecret(), NoWebhook: kind.NoWebhook, Unproved: kind.Confirm == source.ConfirmAlways,
		}
		for _, ref := range s.Secrets {
			secret, err := ref.Resolve(e.getenv)
			one.HasSecret = one.HasSecret || err == nil && len(secret) > 0
		}
		list = append(list, one)
	}
	return list
}

func (e *examination) sources() {
	for _, s := range e.senders() {
		e.report.Source(s)
	}
}

func (e *examination) listeners() {
	c := e.cfg
	if address, _ := c.Admin.ListenAddress(); c.Has(config.RoleAdmin) && address != "" {
		e.report.Admin(doctor.Listener{Key: "admin.listen", Loopback: onLoopback(address), TLS: c.Admin.TLS.Cert != "", Tokens: len(c.Admin.Tokens) > 0})
	}
	if address, _ := c.NATS.ListenAddress(); !c.NATS.External() && address != "" {
		e.report.EmbeddedListener(doctor.Listener{Key: "nats.listen", Loopback: onLoopback(address)})
	}
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && config.IsLoopback(host)
}
