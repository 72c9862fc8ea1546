package main

import (
	"bytes"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// forwarding has a bridge post stored events to a service, and a client post as many.
func forwarding() scenario {
	const (
		events = 20_000
		atOnce = 64
	)
	return scenario{
		name: "forward", title: "Forwarding to a service",
		begin: func(_ *bench, r *rig.Rig) [][]way {
			target := &service{}
			url := target.serve(r)
			p := r.NewPool(events, failedWebhook())
			return [][]way{{
				{"forward", func(r *rig.Rig) metrics {
					p.Renew(events)
					bridge := startBridge(r, rig.BridgeConfig{})
					sendAll(bridge, 256, p)
					bridge.MustStop()
					target.begin(0, http.StatusNoContent)
					bridge = startBridge(r, rig.BridgeConfig{More: forwardTo(url, atOnce, ", start: all")})
					return metrics{"rate": rate(target.wait(r, events)), "peak": peak(bridge.Process)}
				}},
				{"plain", func(r *rig.Rig) metrics {
					p.Renew(events)
					target.begin(0, http.StatusNoContent)
					postAll(r, url, p, atOnce)
					return metrics{"rate": rate(target.wait(r, events))}
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("%d stored events are posted to a service on the same machine that answers 204 at once, %d at once: `hookspan serve` with a consumer of kind forward in a process of its own. "+
				"**plain** is a client that posts as many webhooks of the same size, as many at once, without a store, a signature or a log. The first fifth is not measured.", events, atOnce)
			s.head = []string{" way", "events/s", "to plain", "memory"}
			s.row("forward", integer(d.of("forward rate")), percent(d.ratio("forward rate", "plain rate")), mibs(d.of("forward peak")))
			s.row("plain", integer(d.of("plain rate")), "", "")
			s.atLeast(5000, d.of("forward rate"), perSecond, "forwarding to a service on the same machine, 64 at once: at least 5,000 events a second")
			s.under(consumeMemory, d.of("forward peak"), mibs, "forwarding: never over 96 MiB")
		},
	}
}

// postAll posts the bodies of a pool without a bridge.
func postAll(r *rig.Rig, url string, p *rig.Pool, atOnce int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}, Timeout: rig.AnswerTimeout}
	defer client.CloseIdleConnections()
	var group errgroup.Group
	for range atOnce {
		group.Go(func() error {
			for i, ok := p.Take(); ok; i, ok = p.Take() {
				request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, url, bytes.NewReader(p.Body(i)))
				if err != nil {
					return err
				}
				answer, err := client.Do(request)
				if err == nil {
					err = answer.Body.Close()
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	rig.Check(group.Wait())
}
