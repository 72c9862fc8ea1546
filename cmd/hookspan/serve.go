package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/ingress"
	"github.com/hookspan/hookspan/bridge/queue"
)

type serveCmd struct {
	configFlag
}

// Run serves until it is told to stop, and ends what it began in reverse order.
func (c *serveCmd) Run(e *env) (err error) {
	cfg, err := load(c.File)
	if err != nil {
		return err
	}
	log, err := newLogger(cfg.Log, e.stderr)
	if err != nil {
		return err
	}
	var onStop cleanup
	defer func() { err = errors.Join(err, onStop.run()) }()

	folder, err := queue.OpenFolder(cfg.DataDir)
	if err != nil {
		return err
	}
	onStop.add(folder.Close)

	routes, err := routes(cfg, e.getenv, log)
	if err != nil {
		return err
	}
	store, err := openStore(cfg, folder, e.getenv, log, &onStop)
	if err != nil {
		return err
	}
	in, err := ingress.New(cfg.ingress(), routes, store.publisher, log.Named("ingress"))
	if err != nil {
		return err
	}
	onStop.add(func() error { return ignoreClosed(in.Close()) })
	consumers, err := newConsumers(cfg, store, log, &onStop)
	if err != nil {
		return err
	}

	running, stop := context.WithCancel(e.ctx)
	defer stop()
	group, ctx := errgroup.WithContext(running)
	if err := store.provision(ctx, group, cfg.Ingress.MaxBody); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	group.Go(func() error { return in.Run(ctx) })
	for _, consumer := range consumers {
		group.Go(func() error {
			// One that cannot go on must not take the ingress with it.
			if err := consumer.Run(ctx); err != nil {
				log.Error("a consumer has ended; webhooks are still accepted and kept for it", zap.Error(err))
			}
			return nil
		})
	}
	if err := announce(e, cfg, in.Addr(), store.url); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	<-ctx.Done()
	log.Info("stopping")
	return group.Wait()
}

// cleanup ends things in the reverse order of their beginning.
type cleanup []func() error

func (c *cleanup) add(f func() error) { *c = append(*c, f) }

func (c *cleanup) run() error {
	var errs []error
	for i := range slices.Backward(*c) {
		errs = append(errs, (*c)[i]())
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *config) ingress() ingress.Config {
	return ingress.Config{
		Listen:           c.Ingress.Listen,
		Deadline:         time.Duration(c.Ingress.Deadline),
		MaxBody:          int64(c.Ingress.MaxBody),
		MaxInFlight:      c.Ingress.MaxInFlight,
		MaxInFlightBytes: int64(c.Ingress.MaxInFlightBytes),
	}
}

func newLogger(cfg logConfig, w io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if cfg.Format == "console" {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout(time.TimeOnly)
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level)), nil
}

// ready is what serve prints once everything listens.
type ready struct {
	Webhooks map[string]string `json:"webhooks"`
	NATS     string            `json:"nats,omitempty"`
	DataDir  string            `json:"data_dir"`
	PID      int               `json:"pid"`
}

// announce says where everything is, and what to try.
func announce(e *env, cfg *config, addr net.Addr, natsURL string) error {
	r := ready{Webhooks: map[string]string{}, NATS: natsURL, DataDir: cfg.DataDir, PID: os.Getpid()}
	for name := range cfg.Sources {
		r.Webhooks[name] = "http://" + reachable(addr) + "/webhooks/" + name
	}
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
	case natsURL == "":
		out.printf("  events in            the embedded NATS, for this process alone\n")
	default:
		out.printf("  events in            %s (hookspan nats-env prints the password)\n", natsURL)
	}
	out.printf("  data in              %s\n", cfg.DataDir)
	name := sortedKeys(r.Webhooks)[0]
	secret := "env:" + defaultSecretEnv
	if refs := cfg.Sources[name].Secrets; len(refs) > 0 {
		secret = string(refs[0])
	}
	path := ""
	if cfg.Sources[name].PathToken != "" {
		path = "/<path token>"
	}
	out.printf("try it:\n  hookspan send --secret %s --url %s%s\n", secret, r.Webhooks[name], path)
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
