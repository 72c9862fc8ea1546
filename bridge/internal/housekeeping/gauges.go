package housekeeping

import (
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// rateWindow is the period over which the arrival rate is measured.
const rateWindow = 10 * time.Minute

type gauges struct {
	bytes, maxBytes, messages, last, untilFull *prometheus.GaugeVec

	mu   sync.Mutex
	seen map[string][]sample // within rateWindow, oldest first
}

type sample struct {
	at      time.Time
	created time.Time
	last    uint64
}

// newGauges returns gauges that are NaN until their stream is observed.
func newGauges(streams []string) *gauges {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hookspan_stream_" + name, Help: help}, []string{"stream"})
	}
	g := &gauges{
		bytes:    gauge("bytes", "What the stream holds, in bytes."),
		maxBytes: gauge("max_bytes", "The limit of what the stream may hold, in bytes; -1 is none."),
		messages: gauge("messages", "Messages in the stream."),
		last:     gauge("last_sequence", "Sequence of the stream's last message."),
		untilFull: gauge("seconds_until_full", "How long until the stream is full if messages go on arriving as in the last 10 minutes "+
			"and none is removed; +Inf when none arrive."),
		seen: map[string][]sample{},
	}
	for _, of := range []*prometheus.GaugeVec{g.bytes, g.maxBytes, g.messages, g.last, g.untilFull} {
		for _, stream := range streams {
			of.WithLabelValues(stream).Set(math.NaN())
		}
	}
	return g
}

// Collectors returns the metrics of all the streams.
func (a *Auditor) Collectors() []prometheus.Collector {
	g := a.gauges
	return []prometheus.Collector{g.bytes, g.maxBytes, g.messages, g.last, g.untilFull}
}

func (g *gauges) observe(stream string, info *jetstream.StreamInfo, now time.Time) {
	s, limit := info.State, info.Config.MaxBytes
	g.bytes.WithLabelValues(stream).Set(float64(s.Bytes))
	g.maxBytes.WithLabelValues(stream).Set(float64(limit))
	g.messages.WithLabelValues(stream).Set(float64(s.Msgs))
	g.last.WithLabelValues(stream).Set(float64(s.LastSeq))

	rate := g.rate(stream, sample{now, info.Created, s.LastSeq})
	until := math.Inf(1)
	if rate > 0 && s.Msgs > 0 && limit > 0 {
		size := float64(s.Bytes) / float64(s.Msgs)
		until = max(0, float64(limit)-float64(s.Bytes)) / (rate * size)
	}
	g.untilFull.WithLabelValues(stream).Set(until)
}

// rate returns messages per second within the window.
func (g *gauges) rate(stream string, is sample) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen[stream]
	for len(seen) > 0 && (is.at.Sub(seen[0].at) > rateWindow || !seen[0].created.Equal(is.created) || seen[0].last > is.last) {
		seen = seen[1:]
	}
	seen = append(seen, is)
	g.seen[stream] = seen
	if took := is.at.Sub(seen[0].at).Seconds(); took > 0 {
		return float64(is.last-seen[0].last) / took
	}
	return 0
}
