package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/internal/redial"
	"github.com/hookspan/hookspan/internal/streamread"
	"github.com/hookspan/hookspan/internal/streams"
)

// headerSpooledFor is added to messages from the spool: how long they were there, as a Go
// duration.
const headerSpooledFor = "hookspan-spooled-for"

// SpoolConfig of a [Spool].
type SpoolConfig struct {
	Names bridge.Names
	// MaxBytes is the limit of the spool.
	MaxBytes int64
	// Duplicates is how long message ids are remembered, at least [streams.MinDuplicates].
	Duplicates time.Duration
}

// Spool keeps messages on this machine until NATS takes them. It is a stream of its own NATS
// server inside this process, which syncs every write before it acknowledges it and which no
// other process can reach. It is safe for concurrent use.
type Spool struct {
	names  bridge.Names
	server *Embedded
	js     *redial.JetStream
	stream streamread.Handle
	group  *committer
}

// OpenSpool opens the spool in the folder's "spool" part, with the messages of earlier
// processes. The folder must stay open until [Spool.Close] has returned. Messages of another
// prefix are an error.
func OpenSpool(ctx context.Context, folder *datafolder.Folder, cfg SpoolConfig, log *zap.Logger) (_ *Spool, err error) {
	log = log.Named("spool")
	s := &Spool{names: cfg.Names}
	if s.server, err = startSpoolServer(ctx, folder, cfg.MaxBytes, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	// Its credentials cannot be refused, and other reasons are in the log.
	dial := func() (*nats.Conn, error) { return s.server.Connect("hookspan-spool", log) }
	if s.js, err = redial.Open(dial, func(*nats.Conn, nats.Status) {}, log.Sugar().Warnw); err != nil { //nolint:contextcheck // runs until Close
		return nil, err
	}
	want := jetstream.StreamConfig{
		Name:        cfg.Names.SpoolStream(),
		Description: "Hookspan: accepted, and not yet in NATS",
		Subjects:    cfg.Names.SpoolSubjects(),
		// A work queue would sync each acknowledgement, and forget the ids of acknowledged
		// messages.
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardNew,
		Storage:            jetstream.FileStorage,
		MaxBytes:           cfg.MaxBytes,
		Duplicates:         max(cfg.Duplicates, streams.MinDuplicates),
		Replicas:           1,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
	if _, err := ensureStream(ctx, s.js, want, log); err != nil {
		return nil, fmt.Errorf("provisioning the spool: %w", err)
	}
	if err := s.checkNoOther(ctx); err != nil {
		return nil, err
	}
	s.group = newCommitter(s.js, want.Name, groupConfig{})
	return s, nil
}

// checkNoOther refuses a spool with messages of another prefix, which nothing would move any
// more.
func (s *Spool) checkNoOther(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the list early
	streams := s.js.ListStreams(ctx)
	for other := range streams.Info() {
		if other.Config.Name != s.names.SpoolStream() && other.State.Msgs > 0 {
			return fmt.Errorf("the spool holds %d accepted messages of another nats.prefix, in stream %s: set nats.prefix back and let the spool drain before you change it",
				other.State.Msgs, other.Config.Name)
		}
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("looking at the spool: %w", err)
	}
	return nil
}

// Store makes m durable on this machine; see [Storer]. stream is the destination of m, which
// its subject also determines.
func (s *Spool) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	if s.names.StreamOf(m.Subject) != stream {
		return bridge.Receipt{}, fmt.Errorf("spooling: subject %s is not one of stream %s", m.Subject, stream)
	}
	ack, err := s.group.commit(ctx, &nats.Msg{Subject: s.names.Spool(m.Subject), Header: m.Header, Data: m.Data})
	if err != nil {
		return bridge.Receipt{}, fmt.Errorf("spooling: %w: %w", classify(err), err)
	}
	r, err := receipt(ack, s.names.SpoolStream())
	if err == nil && r.Result == bridge.Stored {
		r.Result = bridge.Spooled
	}
	return r, err
}

// SpoolState describes the content of a spool.
type SpoolState struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	// Oldest is when the first message was spooled; zero if there is none.
	Oldest time.Time `json:"oldest,omitzero"`
	// Stuck is how many of them NATS will never take, see [Drainer].
	Stuck uint64 `json:"stuck"`

	last uint64 // sequence
}

func (s *Spool) open(ctx context.Context) (jetstream.Stream, error) {
	stream, err := s.stream.Open(ctx, s.js, s.names.SpoolStream())
	if err != nil {
		return nil, fmt.Errorf("looking at the spool: %w", err)
	}
	return stream, nil
}

// State returns the state of the spool.
func (s *Spool) State(ctx context.Context) (SpoolState, error) {
	stuck := s.names.StuckSubjects()
	stream, err := s.open(ctx)
	if err != nil {
		return SpoolState{}, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(stuck))
	if err != nil {
		return SpoolState{}, fmt.Errorf("looking at the spool: %w", err)
	}
	out := SpoolState{Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes, last: info.State.LastSeq}
	if out.Messages > 0 {
		out.Oldest = info.State.FirstTime
	}
	for _, n := range info.State.Subjects {
		out.Stuck += n
	}
	return out, nil
}

// StoreBytes is how much the spool may still grow.
func (s *Spool) StoreBytes() (int64, error) { return s.server.StoreBytes() }

// Watch is [Embedded.Watch] of the spool's own server.
func (s *Spool) Watch(ctx context.Context, alarms bridge.Alarmer, log *zap.Logger) error {
	return s.server.Watch(ctx, alarms, log)
}

// Close ends the spool's server. The messages stay.
func (s *Spool) Close() {
	if s.group != nil {
		s.group.close()
	}
	if s.js != nil {
		s.js.Close()
	}
	s.server.Close()
}

// SpooledMessage is one message of a spool, as JSON.
type SpooledMessage struct {
	// Subject is the destination of the message.
	Subject string              `json:"subject"`
	Header  map[string][]string `json:"header"`
	// Body is base64 in JSON.
	Body      []byte    `json:"body"`
	SpooledAt time.Time `json:"spooled_at"`
	Stuck     bool      `json:"stuck,omitempty"`
}

// Each calls f for every message of the spool, in order, and returns the first error of f.
func (s *Spool) Each(ctx context.Context, f func(SpooledMessage) error) error {
	state, err := s.State(ctx)
	if err != nil || state.Messages == 0 {
		return err
	}
	consumer, err := s.js.OrderedConsumer(ctx, s.names.SpoolStream(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	it, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(blockMessages, readAhead))
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		if err := f(SpooledMessage{
			Subject: s.names.Unspool(m.Subject()), Header: m.Headers(), Body: m.Data(),
			SpooledAt: meta.Timestamp, Stuck: s.names.IsStuck(m.Subject()),
		}); err != nil {
			return err
		}
		// The last messages may be gone, and others may come.
		if meta.NumPending == 0 || meta.Sequence.Stream >= state.last {
			return nil
		}
	}
}
