package fakeget3w

import (
	"container/list"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hookspan/hookspan/internal/sending"
)

// Provider is the stand-in. It is safe for concurrent use.
type Provider struct {
	cfg      Config
	schedule sending.Schedule
	client   *sending.Client
	// stopped ends when Close is called, and everything that waits with it.
	stopped context.Context
	stop    context.CancelFunc
	senders sync.WaitGroup
	// due are the predictions whose webhook is to be sent now. It has room for all kept ones,
	// so that adding never blocks.
	due chan *prediction

	// mu guards the fields below, and the changing fields of every prediction. Nothing blocks
	// under it.
	mu          sync.Mutex
	predictions map[string]*prediction
	// order has the predictions as they were submitted, settled those that have nothing to
	// come, in the order in which they settled.
	order, settled *list.List
	fits           []int // submissions by rule
	ids            uint64
	running        int
	totals         Totals
	// quiet is closed once nothing is to come of any prediction; nil while nobody waits.
	quiet chan struct{}
	// busy is how many predictions have an end or a webhook to come.
	busy int
}

// New returns a provider that runs until [Provider.Close]. The error names the invalid field of
// cfg.
func New(cfg Config) (*Provider, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("fake provider: %w", err)
	}
	schedule := sending.NewSchedule(cfg.Speed)
	p := &Provider{
		cfg:         cfg,
		schedule:    schedule,
		client:      sending.NewClient(sending.Options{Timeout: schedule.Timeout, Conns: cfg.Senders}),
		due:         make(chan *prediction, cfg.MaxPredictions),
		predictions: map[string]*prediction{},
		order:       list.New(),
		settled:     list.New(),
		fits:        make([]int, len(cfg.Rules)),
	}
	p.stopped, p.stop = context.WithCancel(context.Background())
	for range cfg.Senders {
		p.senders.Go(p.send)
	}
	return p, nil
}

// Close stops time: nothing ends any more, webhooks on their way are abandoned, and requests
// that wait for an end are answered with the present state. It returns when the senders have
// ended. The server of the handler must be stopped after it.
func (p *Provider) Close() {
	p.stop()
	p.mu.Lock()
	for _, one := range p.predictions {
		if one.timer != nil {
			one.timer.Stop()
		}
	}
	p.mu.Unlock()
	p.senders.Wait()
	p.client.Close()
}

func (p *Provider) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / p.cfg.Speed)
}

// Handler serves the API v3 under /api/v3/, v1 under /v1/ and outputs under /outputs/. Request
// bodies are limited to 1 MiB.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	v3 := func(pattern string, h handler) { mux.Handle(pattern, p.api(h, writeV3)) }
	v3("POST /api/v3/{model...}", p.submit)
	v3("GET /api/v3/predictions/{id}", p.poll)
	v3("GET /api/v3/predictions/{id}/result", p.poll)
	v3("DELETE /api/v3/predictions/{id}", p.remove)
	v3("GET /api/v3/models", p.models)
	v3("GET /api/v3/balance", p.balance)
	v3("/api/", p.nothing)
	v1 := func(pattern string, h handler) { mux.Handle(pattern, p.api(h, writeV1)) }
	v1("POST /v1/{model...}", p.submitV1)
	v1("GET /v1/requests/{id}", p.pollV1)
	v1("/v1/", p.nothing)
	mux.HandleFunc("GET /outputs/{name}", p.output)
	return mux
}
