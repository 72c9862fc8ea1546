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
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/streams"
)

// rig is what one round measures: an embedded server on an empty folder, and
// ingresses in front of it. The bare publish has a connection of its own, as the
// ingress has.
type rig struct {
	source    *source.Source
	names     bridge.Names
	publisher *stream.Publisher
	js, bare  jetstream.JetStream
	log       *zap.Logger
	// The addresses of three ingresses: one that publishes as serve does, one
	// that publishes each event by itself, and one that does not publish.
	durable, singles, verify string

	onClose []func() error
}

func newRig(ctx context.Context, dir string) (r *rig, err error) {
	if r, err = openRig(ctx, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if err := allowBatches(ctx, r.bare, r.names.EventsStream()); err != nil {
		return r, err
	}
	nothing := ingress.Deps{Publisher: instant{}, Quarantine: instant{}, Refused: instant{}, Alarms: instant{}}
	singles := nothing
	singles.Publisher = single{r.js, r.names}
	if r.singles, err = r.serve(ctx, singles); err != nil {
		return r, err
	}
	r.verify, err = r.serve(ctx, nothing)
	return r, err
}

// openRig returns one that has no other ingress than the one that serve has.
func openRig(ctx context.Context, dir string) (r *rig, err error) {
	r = &rig{log: discardingLogger()}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.source, err = newSource(); err != nil {
		return r, err
	}
	folder, err := datafolder.Open(dir)
	if err != nil {
		return r, err
	}
	r.onClose = append(r.onClose, folder.Close)
	server, err := stream.StartEmbedded(folder, stream.EmbeddedConfig{Listen: stream.ListenNone}, r.log) //nolint:contextcheck // it goes on until Close
	if err != nil {
		return r, err
	}
	r.onClose = append(r.onClose, func() error { server.Close(); return nil })
	if r.bare, err = r.connect(server, "bare"); err != nil {
		return r, err
	}
	if r.js, err = r.connect(server, "ingress"); err != nil {
		return r, err
	}
	if err := stream.Provision(ctx, r.js, streams.Config{}, r.log); err != nil {
		return r, err
	}
	r.publisher = stream.NewPublisher(r.js, r.names)
	r.onClose = append(r.onClose, func() error { r.publisher.Close(); return nil })
	r.publisher.SetFit(true)
	refused := quarantine.NewRefused(r.publisher, r.names, instant{}, r.log)
	r.run(ctx, refused.Run)
	r.durable, err = r.serve(ctx, ingress.Deps{
		Publisher: r.publisher, Quarantine: quarantine.NewQuarantine(r.publisher, r.names, instant{}), Refused: refused, Alarms: instant{},
	})
	return r, err
}

func (r *rig) connect(server *stream.Embedded, name string) (jetstream.JetStream, error) {
	nc, err := server.Connect(name, r.log)
	if err != nil {
		return nil, err
	}
	r.onClose = append(r.onClose, func() error { nc.Close(); return nil })
	return jetstream.New(nc)
}

// serve runs an ingress until the rig is closed and returns its address.
func (r *rig) serve(ctx context.Context, deps ingress.Deps) (string, error) {
	// A disk that hangs for a while should be measured, not end the run.
	config := ingress.Config{Listen: "127.0.0.1:0", Deadline: ingress.MaxDeadline}
	in, err := ingress.New(config, []ingress.Route{{Source: r.source}}, deps, r.log)
	if err != nil {
		return "", err
	}
	r.run(ctx, in.Run)
	return in.Addr().String(), nil
}

// run runs something until the rig is closed.
func (r *rig) run(ctx context.Context, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	r.onClose = append(r.onClose, func() error { cancel(); return <-done })
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

func (instant) Keep(context.Context, *bridge.KeptDelivery) (bridge.Receipt, error) {
	return bridge.Receipt{Result: bridge.Quarantined}, nil
}

func (instant) Offer(*bridge.KeptDelivery, func(*bridge.KeptDelivery)) {}

func (instant) Raise(bridge.Alarm) {}

// single publishes each event by itself.
type single struct {
	js    jetstream.JetStream
	names bridge.Names
}

func (s single) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	ack, err := s.js.PublishMsg(ctx, message(s.names, e), jetstream.WithRetryAttempts(0))
	if err != nil {
		return bridge.Receipt{}, fmt.Errorf("publishing: %w", err)
	}
	return bridge.Receipt{Result: bridge.Stored, Stream: ack.Stream, Sequence: ack.Sequence}, nil
}

// allowBatches lets the bench's own committer use the stream, whatever the
// publisher under test needs.
func allowBatches(ctx context.Context, js jetstream.JetStream, name string) error {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("looking at the stream of events: %w", err)
	}
	config := stream.CachedInfo().Config
	if config.AllowAtomicPublish {
		return nil
	}
	config.AllowAtomicPublish = true
	if _, err := js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("allowing batches in the stream of events: %w", err)
	}
	return nil
}

// discardingLogger encodes one JSON line for each request, as serve does, and
// writes it nowhere.
func discardingLogger() *zap.Logger {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.Lock(zapcore.AddSync(io.Discard)), zap.InfoLevel))
}

// message is the event as the ingress publishes it.
func message(names bridge.Names, e *bridge.Event) *nats.Msg {
	header := nats.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{e.MsgID()}
	return &nats.Msg{Subject: names.Event(e.Source, e.Status, e.Model), Header: header, Data: e.Body}
}

// messages is what an ingress publishes of each request of the pool.
func messages(p *pool) ([]*nats.Msg, error) {
	src, err := newSource()
	if err != nil {
		return nil, err
	}
	all := make([]*nats.Msg, p.count)
	for i := range all {
		e, err := src.Accept(delivery(p, i))
		if err != nil {
			return nil, fmt.Errorf("reading a webhook of the pool: %w", err)
		}
		all[i] = message(bridge.Names{}, e)
	}
	return all, nil
}

func newSource() (*source.Source, error) {
	return source.New(source.Config{Name: sourceName, Kind: "get3w", Secrets: [][]byte{[]byte(secret)}})
}
