package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/redial"
	"github.com/hookspan/hookspan/internal/streamread"
	"github.com/hookspan/hookspan/internal/streams"
)

// spoolFolder is the part of the data folder that the spool's server has.
const spoolFolder = "spool"

// headerSpooledFor is added to what comes out of the spool: how long it lay
// there, as a Go duration.
const headerSpooledFor = "hookspan-spooled-for"

// SpoolConfig of a [Spool].
type SpoolConfig struct {
	Names bridge.Names
	// MaxBytes is what the spool holds.
	MaxBytes int64
	// Duplicates is how long the id of a message is remembered, at least
	// [streams.MinDuplicates].
	Duplicates time.Duration
}

// Spool keeps messages on this machine until NATS takes them. It is a stream of a
// NATS server of its own inside this process, which syncs every write before it
// acknowledges it, and which nobody else can reach. It is safe for concurrent
// use.
type Spool struct {
	names  bridge.Names
	server *Embedded
	js     *redial.JetStream
	stream streamread.Handle
	group  *committer
}

// OpenSpool starts the spool on the folder's "spool" part, with whatever an
// earlier process left there. The folder must stay open until [Spool.Close] has
// returned. What was left under another prefix is an error.
func OpenSpool(ctx context.Context, folder *Folder, cfg SpoolConfig, log *zap.Logger) (_ *Spool, err error) {
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
	// Nobody can refuse its credentials, and what else closes it is in the log.
	dial := func() (*nats.Conn, error) { return s.server.Connect("hookspan-spool", log) }
	if s.js, err = redial.Open(dial, func(*nats.Conn, nats.Status) {}, log); err != nil { //nolint:contextcheck // it goes on until Close
		return nil, err
	}
	want := jetstream.StreamConfig{
		Name:        cfg.Names.SpoolStream(),
		Description: "Hookspan: accepted, and not yet in NATS",
		Subjects:    cfg.Names.SpoolSubjects(),
		// A work queue would sync each acknowledgement, and forget the ids of
		// what was acknowledged.
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

// checkNoOther refuses a spool in which an earlier process with another prefix
// has left what nobody would move any more.
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

// HasSpool reports whether an earlier process had a spool in the folder.
func (f *Folder) HasSpool() bool { return exists(f.path(spoolFolder)) }

// Store makes m durable on this machine; see [Storer]. The stream is the one that
// m is on its way to, which its subject says too.
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

// SpoolState says what lies in a spool.
type SpoolState struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	// Oldest is when the first of them was spooled; zero when there is none.
	Oldest time.Time `json:"oldest,omitzero"`
	// Stuck is how many of them NATS will never take, see [Drainer].
	Stuck uint64 `json:"stuck"`

	last uint64 // sequence
}

// open returns the stream of the spool.
func (s *Spool) open(ctx context.Context) (jetstream.Stream, error) {
	stream, err := s.stream.Open(ctx, s.js, s.names.SpoolStream())
	if err != nil {
		return nil, fmt.Errorf("looking at the spool: %w", err)
	}
	return stream, nil
}

// State looks at the spool.
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

// Close ends the spool's server. What lies in it stays.
func (s *Spool) Close() {
	if s.group != nil {
		s.group.close()
	}
	if s.js != nil {
		s.js.Close()
	}
	s.server.Close()
}

// SpooledMessage is one message of a spool, for people and programs outside.
type SpooledMessage struct {
	// Subject is where the message is on its way to.
	Subject string              `json:"subject"`
	Header  map[string][]string `json:"header"`
	// Body is base64 in JSON.
	Body      []byte    `json:"body"`
	SpooledAt time.Time `json:"spooled_at"`
	Stuck     bool      `json:"stuck,omitempty"`
}

// Each calls f with every message that lies in the spool, in order, until f
// returns an error, which it returns.
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
		// The last ones may be gone, and more may come.
		if meta.NumPending == 0 || meta.Sequence.Stream >= state.last {
			return nil
		}
	}
}
