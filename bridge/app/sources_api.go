package app

import (
	"strings"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// sourceList returns the senders whose webhooks this process takes.
func (a *App) sourceList() adminapi.SourceList {
	cfg := a.force.Load().cfg
	base, public := strings.TrimSuffix(cfg.Ingress.PublicURL, "/"), cfg.Ingress.PublicURL != ""
	if !public {
		base = a.webhooksURL()
	}
	list := adminapi.SourceList{Sources: []adminapi.Source{}}
	e := examination{cfg: cfg, getenv: a.getenv}
	for _, sender := range e.senders() {
		s := cfg.Sources[sender.Name]
		one := adminapi.Source{
			Name: sender.Name, Kind: s.Kind, Webhook: base + "/webhooks/" + sender.Name, Public: public, PathToken: s.PathToken != "",
			HasSecret: sender.HasSecret, Secrets: []string{},
		}
		for _, ref := range s.Secrets {
			one.Secrets = append(one.Secrets, string(ref))
		}
		if kind, err := s.Sender(); err == nil && len(kind.ProofHeaders()) > 0 {
			one.SignatureHeader = kind.ProofHeaders()[0]
		}
		list.Sources = append(list.Sources, one)
	}
	return list
}
