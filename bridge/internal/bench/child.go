package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const secretEnv = "HOOKSPAN_BENCH_SECRET"

// child is a bridge that runs as a process of its own.
type child struct {
	*process
	addr  string // where it takes webhooks
	admin string // where it has its API
	data  string // its data folder
}

// bridgeConfig says how a bridge runs.
type bridgeConfig struct {
	dir string // for its data, made if missing
	// nats is the part of the configuration about NATS, by default an embedded
	// one with room for events of 64 MiB.
	nats string
	// api is where the provider is asked for predictions, by default nowhere.
	api string
	// more is the rest of it.
	more string
	slow bool
}

// maxDeadline is the longest one that a configuration can have.
const maxDeadline = 25 * time.Second

// roomy is an embedded NATS with the default room for events.
const roomy = `{listen: "127.0.0.1:0"}`

// startBridge runs hookspan serve and returns when it says that it is ready.
func (b *bench) startBridge(ctx context.Context, cfg bridgeConfig) (*child, error) {
	c := &child{data: filepath.Join(cfg.dir, "data")}
	if err := os.MkdirAll(cfg.dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting the bridge: %w", err)
	}
	if cfg.nats == "" {
		cfg.nats = `{listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}`
	}
	api := ""
	if cfg.api != "" {
		api = fmt.Sprintf(`, api: {base_url: %q, key: "env:%s"}`, cfg.api, secretEnv)
	}
	file := filepath.Join(cfg.dir, "config.yaml")
	text := fmt.Sprintf(`data_dir: %q
ingress: {listen: "127.0.0.1:0", deadline: %v}
admin: {listen: "127.0.0.1:0"}
nats: %s
sources: {%s: {kind: get3w, secrets: ["env:%s"]%s}}
%s
`, c.data, maxDeadline, cfg.nats, sourceName, secretEnv, api, cfg.more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("starting the bridge: %w", err)
	}
	var err error
	c.process, err = command{
		what: "the bridge", dir: cfg.dir, slow: cfg.slow,
		args: []string{b.hookspan, "serve", "--json", "--config", file},
		env:  []string{secretEnv + "=" + secret}, // nothing else that could change how it runs
	}.start(ctx)
	if err != nil {
		return nil, err
	}
	var ready struct {
		Webhooks map[string]string `json:"webhooks"`
		Admin    string            `json:"admin"`
	}
	if err := json.Unmarshal(c.ready, &ready); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the bridge's first line: %w", err), c.stop())
	}
	u, err := url.Parse(ready.Webhooks[sourceName])
	if err != nil || u.Host == "" {
		return nil, errors.Join(fmt.Errorf("the bridge's first line names no address for webhooks: %q", c.ready), c.stop())
	}
	c.addr, c.admin = u.Host, strings.TrimPrefix(ready.Admin, "http://")
	return c, nil
}

// sendOne posts one webhook and returns when the bridge has it.
func (c *child) sendOne(ctx context.Context, w webhook) (err error) {
	p, err := newPool(1, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew(p.count)
	return c.post(ctx, p)
}

// post sends the first request of the pool.
func (c *child) post(ctx context.Context, p *pool) error {
	s, err := dial(ctx, c.addr)
	if err != nil {
		return c.explain(err)
	}
	defer s.close()
	if err := s.send(p.request(0)); err != nil {
		return c.explain(err)
	}
	return nil
}

// load has n connections send the requests of the pool.
func (c *child) load(ctx context.Context, n int, p *pool, w window) (sample, error) {
	workers, hangUp, err := senders(ctx, c.addr, n, p)
	if err != nil {
		return sample{}, c.explain(err)
	}
	defer hangUp()
	s, err := load(ctx, workers, p, w)
	if err != nil {
		return s, c.explain(err)
	}
	return s, nil
}
