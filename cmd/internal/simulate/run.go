package simulate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

const drawEvery = 100 * time.Millisecond

// Run sends everything, waits until the bridge is done with it, and returns the report. When ctx
// ends, it begins nothing more, waits no longer, and reports on what was sent. The error says
// why nothing was sent.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	var list adminapi.ConsumerList
	if _, err := (asker{cfg.API, cfg.Source}).get(ctx, &list, nil, "consumers"); err != nil {
		return nil, fmt.Errorf("nothing was sent: %w", err)
	}
	var server *outputServer
	base := ""
	if cfg.Outputs.Count > 0 {
		var err error
		if server, err = listenOutputs(cfg.Outputs.Listen); err != nil {
			return nil, err
		}
		base = server.base
	}
	p := newPlan(cfg, base)
	if _, err := p.sign("a", nil, cfg.Secret); err != nil {
		return nil, fmt.Errorf("--secret: %w", err)
	}
	if cfg.APIListen != "" {
		stop, err := p.serveAPI()
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	if server != nil {
		server.serve(p)
		defer server.close()
	}
	began, sent := time.Now(), newAccount()
	sent.asks = cfg.Sender.Answers()
	s := newSender(p, sent)
	cfg.show(s.progress, func() { s.run(ctx) })

	report := &Report{Run: p.run, Source: cfg.Source, Seed: cfg.Seed, Seconds: time.Since(began).Seconds()}
	report.add(sent.totals())
	a := newAudit(p, sent.records, report)
	var err error
	cfg.show(a.progress, func() {
		asking := context.WithoutCancel(ctx)
		if err = a.watch(asking, ctx); err == nil {
			err = a.compare(asking)
		}
	})
	report.sender(sent, &s.schedule, s.behind)
	if err != nil {
		report.Unknown = report.Acknowledged - report.Stored - report.Quarantined - report.Waiting - report.Lost
		report.Wrong = append(report.Wrong, fmt.Sprintf("the bridge did not say what became of the webhooks: %v", err))
	}
	if server != nil {
		report.served(server)
	}
	return report, nil
}

// show draws progress while do runs.
func (c *Config) show(progress func() (share float64, words string), do func()) {
	if c.Progress == nil {
		do()
		return
	}
	var drawing sync.WaitGroup
	defer drawing.Wait()
	done := make(chan struct{})
	defer close(done)
	drawing.Go(func() {
		tick := time.NewTicker(drawEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				c.Progress(progress())
			}
		}
	})
	do()
}
