package housekeeping

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/streamread"
)

const (
	// minScrubRate reads 10 GiB in a day.
	minScrubRate = 128 << 10
	scrubDay     = 24 * 60 * 60
	// readCost is the least that one read counts for, in bytes.
	readCost     = 1 << 10
	defaultPause = time.Hour
	scrubTimeout = 10 * time.Second
	// scrubRetry is how long a pass waits after the stream did not answer.
	scrubRetry = 30 * time.Second
	// maxAgain bounds the repeated reads for a replica that is behind.
	maxAgain = 5
)

// ScrubConfig of a [Scrub]. Zero values are defaults.
type ScrubConfig struct {
	// Streams to read.
	Streams []string
	// Kept are those of them that lose only their oldest messages.
	Kept []string
	// Erased reports whether that message of a kept stream was erased, which is no loss. Nil is
	// never.
	Erased func(sequence uint64) bool
	// BytesPerSecond is the rate. By default a full stream takes a day, at no less than 128
	// KiB/s. A message counts as at least 1 KiB.
	BytesPerSecond int
	// Pause between the end of a pass and the next one, default 1 h.
	Pause  time.Duration
	Alarms bridge.Alarmer
	Logger *zap.Logger
}

// Scrub reads every message of some streams again and again. Nothing else reveals a damaged
// file: the message stays counted, while the server skips it for every consumer and answers
// "not found" to direct reads.
//
// Scrub reads message by message, by sequence. The server checks a message when it loads its
// block from the disk, and caches blocks in use: damage to the newest block shows in the first
// pass after that block left the cache.
type Scrub struct {
	js         jetstream.JetStream
	checkpoint *Checkpoint
	cfg        ScrubConfig
	unsure     map[string]gap // in replicated streams, by name

	read    *prometheus.CounterVec
	passEnd *prometheus.GaugeVec
}

// NewScrub returns a scrub that is not running yet. The checkpoint keeps its position across
// restarts.
func NewScrub(js jetstream.JetStream, checkpoint *Checkpoint, cfg ScrubConfig) *Scrub {
	cfg.Pause = cmp.Or(cfg.Pause, defaultPause)
	if cfg.Erased == nil {
		cfg.Erased = func(uint64) bool { return false }
	}
	s := &Scrub{
		js: js, checkpoint: checkpoint, cfg: cfg, unsure: map[string]gap{},
		read: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_scrub_messages_total", Help: "Messages that the scrub has read.",
		}, []string{"stream"}),
		passEnd: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hookspan_scrub_pass_end_seconds", Help: "When the scrub last came to the end of the stream, in Unix time.",
		}, []string{"stream"}),
	}
	for _, name := range cfg.Streams {
		s.read.WithLabelValues(name) // present as zero from the start
		s.passEnd.WithLabelValues(name)
	}
	return s
}

// Collectors returns the metrics.
func (s *Scrub) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.read, s.passEnd}
}

// Run scrubs until ctx ends, and returns nil.
func (s *Scrub) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		pause := s.cfg.Pause
		for _, name := range s.cfg.Streams {
			if err := s.Pass(ctx, name); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Info("the scrub waits for a stream", zap.String("stream", name), zap.Error(err))
				pause = min(pause, scrubRetry)
			}
		}
		backoff.Sleep(ctx, pause)
	}
	return nil
}

// Pass reads one stream from the interrupted position, or else from its beginning, to its
// present end. Findings are alarms. The error says that the stream did not answer.
func (s *Scrub) Pass(ctx context.Context, name string) error {
	stream, err := streamread.Open(ctx, s.js, name)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	p := &pass{Scrub: s, name: name, stream: stream, last: info.State.LastSeq}
	perSecond := cmp.Or(s.cfg.BytesPerSecond, max(minScrubRate, int(info.Config.MaxBytes/scrubDay)))
	p.limit = rate.NewLimiter(rate.Limit(perSecond), max(perSecond, readCost))

	for next := max(1, s.checkpoint.scrubbed(name), info.State.FirstSeq); next <= p.last; {
		if next, err = p.step(ctx, next); err != nil {
			return err
		}
		s.checkpoint.change(func(b *content) { b.Scrub[name] = next })
	}
	p.reportRest()
	s.checkpoint.change(func(b *content) { delete(b.Scrub, name) })
	s.passEnd.WithLabelValues(name).SetToCurrentTime()
	return nil
}

func (b *Checkpoint) scrubbed(stream string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Scrub[stream]
}

type pass struct {
	*Scrub
	name   string
	stream *streamread.Stream
	last   uint64
	limit  *rate.Limiter
	before time.Time // time of the last message read
	again  int       // repeated reads of the same sequences

	gaps              int
	restGaps, restMsg uint64 // of gaps beyond namedGaps
}

// step reads the first message from sequence at on, examines the gap before it, and returns the
// sequence to go on from.
func (p *pass) step(ctx context.Context, at uint64) (uint64, error) {
	m, err := p.next(ctx, at)
	if errors.Is(err, bridge.ErrNotFound) {
		m, err = streamread.Behind(at, p.last, func(seq uint64) (*jetstream.RawStreamMsg, error) { return p.next(ctx, seq) })
	}
	if err != nil {
		return 0, err
	}
	end := p.last + 1
	var after time.Time
	if m != nil {
		end, after = m.Sequence, m.Time
	}
	if end > at {
		again, err := p.examine(ctx, at, min(end-1, p.last), after)
		if err != nil {
			return 0, err
		}
		if p.again++; again && p.again < maxAgain {
			return at, nil
		}
	}
	p.again = 0
	if m == nil {
		return end, nil
	}
	p.before = m.Time
	p.read.WithLabelValues(p.name).Inc()
	return end + 1, nil
}

func (p *pass) next(ctx context.Context, at uint64) (*jetstream.RawStreamMsg, error) {
	if err := p.limit.WaitN(ctx, readCost); err != nil {
		return nil, err
	}
	m, err := p.get(ctx, at, ">")
	if err == nil {
		// Paid after the read, which reveals the size.
		p.limit.ReserveN(time.Now(), min(max(0, len(m.Data)-readCost), p.limit.Burst()))
	}
	return m, err
}

// get returns the message at the sequence or, with a subject pattern, the first one from there
// on that matches.
func (p *pass) get(ctx context.Context, at uint64, pattern string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, scrubTimeout)
	defer cancel()
	return streamread.GetNextReadable(ctx, p.stream, at, pattern)
}
