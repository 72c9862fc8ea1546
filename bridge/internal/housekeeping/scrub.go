package housekeeping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// readCost is what reading a message costs at least, in bytes of the rate.
	readCost     = 1 << 10
	defaultPause = time.Hour
	scrubTimeout = 10 * time.Second
	// scrubRetry is how long a pass waits for a stream that does not answer.
	scrubRetry = 30 * time.Second
	// maxAgain is how often a replica that was behind is asked again.
	maxAgain = 5
)

// ScrubConfig of a [Scrub]. Zero values are defaults.
type ScrubConfig struct {
	// Streams are read.
	Streams []string
	// Kept are those of them out of which single messages never go.
	Kept []string
	// BytesPerSecond is the rate, by default such that a full stream takes a
	// day, and at least 128 KiB. A message counts as 1 KiB or more.
	BytesPerSecond int
	// Pause between the end of a pass and the next one, default 1 h.
	Pause  time.Duration
	Alarms bridge.Alarmer
	Logger *zap.Logger
}

// Scrub reads every message of some streams again and again. Damage to a file
// shows in nothing else: the message stays counted, the server leaves it out for
// every consumer, and says that it is not found to who asks for it.
//
// It asks for one message after the other by sequence. The server checks a
// message when it reads its block from the disk, and keeps a block that is in
// use in memory: damage to the newest block shows in the pass after it was left.
type Scrub struct {
	js         jetstream.JetStream
	checkpoint *Checkpoint
	cfg        ScrubConfig

	read    *prometheus.CounterVec
	passEnd *prometheus.GaugeVec
}

// NewScrub returns a scrub that is not running yet. It keeps in the checkpoint how far
// it is, so that a restart does not begin the pass anew.
func NewScrub(js jetstream.JetStream, checkpoint *Checkpoint, cfg ScrubConfig) *Scrub {
	cfg.Pause = cmp.Or(cfg.Pause, defaultPause)
	s := &Scrub{
		js: js, checkpoint: checkpoint, cfg: cfg,
		read: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_scrub_messages_total", Help: "Messages that the scrub has read.",
		}, []string{"stream"}),
		passEnd: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hookspan_scrub_pass_end_seconds", Help: "When the scrub last came to the end of the stream, in Unix time.",
		}, []string{"stream"}),
	}
	for _, name := range cfg.Streams {
		s.read.WithLabelValues(name) // a zero, and not nothing, until the first
		s.passEnd.WithLabelValues(name)
	}
	return s
}

// Collectors are the metrics.
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

// Pass reads one stream from where the last pass was interrupted, or from its
// beginning, to what is its end now. An error says that the stream did not
// answer; what was found is alarms.
func (s *Scrub) Pass(ctx context.Context, name string) error {
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("looking up stream %s: %w", name, err)
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

// pass is one pass over one stream.
type pass struct {
	*Scrub
	name   string
	stream jetstream.Stream
	last   uint64
	limit  *rate.Limiter
	before time.Time // of the message that was read last
	again  int       // times the same sequences were read

	gaps              int
	restGaps, restMsg uint64 // of those that were not named
}

// step reads the message at or after a sequence, looks into what it had to leave
// out, and returns where to go on.
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
	m, err := p.get(ctx, at, jetstream.WithGetMsgSubject(">"))
	if err == nil {
		// Paid for afterwards: its size was not known.
		p.limit.ReserveN(time.Now(), min(max(0, len(m.Data)-readCost), p.limit.Burst()))
	}
	return m, err
}

func (p *pass) get(ctx context.Context, at uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, scrubTimeout)
	defer cancel()
	return streamread.GetReadable(ctx, p.stream, at, opts...)
}
