package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/netutil"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/fakeget3w"
)

const (
	fakeConnections = 16384
	fakeStop        = 5 * time.Second
)

type fakeGet3WCmd struct {
	Listen string           `default:"127.0.0.1:8090" help:"Host and port to listen on."`
	Key    config.SecretRef `default:"env:GET3W_API_KEY" help:"The key that is asked for, as env:NAME or file:PATH; empty takes any."`
	Secret config.SecretRef `default:"env:GET3W_WEBHOOK_SECRET" help:"The secret that signs webhooks, as env:NAME or file:PATH."`

	Speed       float64         `default:"1" help:"How much faster than the clock time passes: with 60 a minute takes a second."`
	Duration    time.Duration   `default:"2s" help:"How long a prediction takes."`
	FailEvery   int             `placeholder:"N" help:"Each Nth prediction fails."`
	DropEvery   int             `placeholder:"N" help:"The webhook of each Nth prediction is lost."`
	NeverEvery  int             `placeholder:"N" help:"Each Nth prediction never ends."`
	Tasks       int             `placeholder:"N" help:"How many predictions may run at once (default: any number)."`
	OutputBytes config.ByteSize `default:"64KiB" help:"Size of an output."`
	OutputLife  time.Duration   `default:"168h" help:"How long outputs can be downloaded."`
	Seed        uint64          `placeholder:"N" help:"Makes ids and outputs the same at each start (default: another one at each start)."`
}

type fakeReady struct {
	URL     string `json:"url"`
	BaseURL string `json:"base_url"`
	Seed    uint64 `json:"seed"`
	AnyKey  bool   `json:"any_key"`
}

// Run serves until it is told to stop, and then prints what it did.
func (c *fakeGet3WCmd) Run(e *env) error {
	key, err := c.Key.Resolve(e.getenv)
	if err != nil {
		return err
	}
	secret, err := c.Secret.Require(e.getenv)
	if err != nil {
		return err
	}
	seed := cmp.Or(c.Seed, rand.Uint64N(1<<53)) // the largest integers that every JSON reader takes
	provider, err := fakeget3w.New(fakeget3w.Config{
		Key: key, Secret: secret, Speed: c.Speed, Tasks: c.Tasks, OutputBytes: int64(c.OutputBytes), OutputLife: c.OutputLife, Seed: seed,
		Rules: []fakeget3w.Rule{{Duration: c.Duration, FailEvery: c.FailEvery, DropEvery: c.DropEvery, NeverEvery: c.NeverEvery}},
	})
	if err != nil {
		return err
	}
	defer provider.Close()
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	at := "http://" + app.Reachable(listener.Addr().String())
	if err := c.announce(e, fakeReady{URL: at, BaseURL: at + "/api/v3", Seed: seed, AnyKey: len(key) == 0}); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := serveFake(e.ctx, provider, listener); err != nil {
		return err
	}
	return c.summary(e, provider.Totals())
}

func serveFake(ctx context.Context, provider *fakeget3w.Provider, listener net.Listener) error {
	srv := &http.Server{
		Handler: provider.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, // no WriteTimeout: a stream lasts as long as its prediction
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(listener, fakeConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	provider.Close() // ends the streams, so that the server can end
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), fakeStop)
	defer cancel()
	if err := srv.Shutdown(bounded); err != nil {
		return errors.Join(fmt.Errorf("ending the requests: %w", err), srv.Close())
	}
	return nil
}

func (c *fakeGet3WCmd) announce(e *env, r fakeReady) error {
	u, err := url.Parse(r.URL)
	if err != nil {
		return fmt.Errorf("reading the address of the listener: %w", err)
	}
	return e.print(r, func(out *printer) {
		out.printf("# fake-get3w listens on %s, with seed %d, until Ctrl-C.\n", r.URL, r.Seed)
		if r.AnyKey {
			out.printf("# Any key is accepted, as %s is empty; the bridge needs one all the same.\n", c.Key)
		} else {
			out.printf("# The key is the one of %s.\n", c.Key)
		}
		if listen, _, err := net.SplitHostPort(c.Listen); err != nil || !config.IsLoopback(listen) {
			out.printf("# It listens for more than this machine: whoever has the key can have it post to any address.\n")
		}
		out.printf("# This goes into the bridge's configuration:\n")
		out.printf("sources:\n  get3w:\n    secrets: [%q]\n    api: {base_url: %q, key: %q}\n", c.Secret, r.BaseURL, c.Key)
		out.printf("consumers:\n  archive: {kind: archive, hosts: [%q], allow_private: true}\n", u.Hostname())
	})
}

func (c *fakeGet3WCmd) summary(e *env, t fakeget3w.Totals) error {
	return e.print(t, func(out *printer) {
		out.printf("# %d submitted: %d completed, %d failed. Webhooks: %d delivered, %d abandoned, %d dropped. %d polls, %d downloads.\n",
			t.Submitted, t.Completed, t.Failed, t.Delivered, t.Abandoned, t.Dropped, t.Polls, t.Downloads)
	})
}
