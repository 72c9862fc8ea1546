package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/ingress"
	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/source"
)

// rig is what one round measures: an embedded server on an empty folder, and two
// ingresses of which only one publishes to it. The bare publish has a connection
// of its own, as the ingress has.
type rig struct {
	source  *source.Source
	names   bridge.Names
	bare    jetstream.JetStream
	durable string // address of the ingress that publishes
	verify  string // address of the ingress that does not

	onClose []func() error
}

func newRig(ctx context.Context, dir string) (r *rig, err error) {
	r = &rig{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	log := discardingLogger()
	if r.source, err = source.New(source.Config{Name: sourceName, Kind: "get3w", Secrets: [][]byte{[]byte(secret)}}); err != nil {
		return r, err
	}
	folder, err := queue.OpenFolder(dir)
	if err != nil {
		return r, err
	}
	r.onClose = append(r.onClose, folder.Close)
	server, err := queue.StartEmbedded(folder, queue.EmbeddedConfig{Listen: queue.ListenNone}, log)
	if err != nil {
		return r, err
	}
	r.onClose = append(r.onClose, func() error { server.Close(); return nil })
	if r.bare, err = r.connect(server, "bare", log); err != nil {
		return r, err
	}
	js, err := r.connect(server, "ingress", log)
	if err != nil {
		return r, err
	}
	if err := queue.Provision(ctx, js, queue.StreamsConfig{}, log); err != nil {
		return r, err
	}
	publisher := queue.NewPublisher(js, r.names)
	publisher.SetFit(true)
	if r.durable, err = r.serve(ctx, publisher, log); err != nil {
		return r, err
	}
	r.verify, err = r.serve(ctx, instant{}, log)
	return r, err
}

func (r *rig) connect(server *queue.Embedded, name string, log *zap.Logger) (jetstream.JetStream, error) {
	nc, err := server.Connect(name, log)
	if err != nil {
		return nil, err
	}
	r.onClose = append(r.onClose, func() error { nc.Close(); return nil })
	return jetstream.New(nc)
}

// serve runs an ingress until the rig is closed and returns its address.
func (r *rig) serve(ctx context.Context, publisher ingress.Publisher, log *zap.Logger) (string, error) {
	// A disk that hangs for a while should be measured, not end the run.
	config := ingress.Config{Listen: "127.0.0.1:0", Deadline: ingress.MaxDeadline}
	in, err := ingress.New(config, []ingress.Route{{Source: r.source}}, publisher, log)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	r.onClose = append(r.onClose, func() error { cancel(); return <-done })
	return in.Addr().String(), nil
}

// close ends everything in the reverse order of its beginning.
func (r *rig) close() error {
	var errs []error
	for _, end := range slices.Backward(r.onClose) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// instant answers at once and stores nothing.
type instant struct{}

func (instant) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{Result: bridge.Stored, Stream: bridge.Names{}.EventsStream(), Sequence: 1}, nil
}

// discardingLogger encodes one JSON line for each request, as serve does, and
// writes it nowhere.
func discardingLogger() *zap.Logger {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.Lock(zapcore.AddSync(io.Discard)), zap.InfoLevel))
}

// message is what the ingress publishes of request i of the pool.
func (r *rig) message(p *pool, i int) (*nats.Msg, error) {
	e, err := r.source.Accept(delivery(p, i))
	if err != nil {
		return nil, fmt.Errorf("reading a webhook of the pool: %w", err)
	}
	header := nats.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{e.MsgID()}
	return &nats.Msg{Subject: r.names.Event(e.Source, e.Status, e.Model), Header: header, Data: e.Body}, nil
}
