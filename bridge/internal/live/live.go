package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streamread"
)

// maxAlarmBytes bounds an alarm on the wire. A bridge's have at most 16 KiB.
const maxAlarmBytes = 64 << 10

// Streams tells of events and alarms as they are stored. It is safe for concurrent use.
type Streams struct {
	js     jetstream.JetStream
	names  bridge.Names
	filter func(consumer string) (bridge.Filter, bool)
	erased func(source, prediction string) bool

	events, alarms *hub
}

// New returns the live streams of what js has. Filter returns the filter of a configured
// consumer, and erased reports whether a prediction was erased, of which nothing is told any
// more; both are called concurrently. Call [Streams.Close] before the connection is closed.
func New(
	js jetstream.JetStream, names bridge.Names, filter func(consumer string) (bridge.Filter, bool), erased func(source, prediction string) bool, log *zap.Logger,
) *Streams {
	log = log.Named("live")
	return &Streams{
		js: js, names: names, filter: filter, erased: erased,
		events: newHub(config{
			js: js, stream: names.EventsStream(), subject: names.AllEvents(), headersOnly: true, decode: decodeEvent, log: log, limits: standard,
		}),
		alarms: newHub(config{
			js: js, stream: names.AlarmsStream(), subject: names.AlarmsSubjects()[0], decode: decodeAlarm, log: log, limits: standard,
		}),
	}
}

// Close ends all who follow, and returns when nothing is read any more.
func (s *Streams) Close() {
	s.events.close()
	s.alarms.close()
}

// Events calls tell with events as they are stored, until ctx ends or tell returns an error, which
// Events returns. Tell is called at once, also while NATS is away, and at least once in 15 s; with
// no items it only shows that the client still reads. The error can also be [ErrClosed],
// [ErrSlow]. When the consumer cannot be looked up, tell was not called; the error wraps
// [bridge.ErrNotFound] when there is none of that name.
func (s *Streams) Events(ctx context.Context, sel adminapi.LiveEvents, tell func([]adminapi.LiveItem) error) error {
	r := request{LivePlace: sel.LivePlace, subjects: []string{s.names.AllEvents()}}
	reads := func(*message) bool { return true }
	filtered := !sel.Filter.IsZero() || sel.Consumer == ""
	if sel.Consumer != "" {
		filter, configured := s.filter(sel.Consumer)
		if configured {
			r.subjects, _ = filter.Subjects(s.names)
			reads = func(m *message) bool { return filter.Match(m.event) }
			if sel.Filter.Event == "" {
				sel.Filter.Event = filter.Event
			}
		} else {
			subjects, err := s.subjectsOf(ctx, sel.Consumer)
			if err != nil {
				return err
			}
			reads = func(m *message) bool {
				for _, pattern := range subjects {
					if streamread.SubjectMatches(pattern, m.subject) {
						return true
					}
				}
				return false
			}
		}
	}
	if filtered {
		r.subjects, _ = sel.Filter.Subjects(s.names)
	}
	r.match = func(m *message) bool {
		return (!filtered || sel.Filter.Match(m.event)) && (sel.Prediction == "" || sel.Prediction == m.event.PredictionID) && reads(m) &&
			!s.erased(m.event.Source, m.event.PredictionID) // the ring may have it still
	}
	return s.events.follow(ctx, r, tell)
}

// Alarms is [Streams.Events] for alarms.
func (s *Streams) Alarms(ctx context.Context, sel adminapi.LiveAlarms, tell func([]adminapi.LiveItem) error) error {
	return s.alarms.follow(ctx, request{
		LivePlace: sel.LivePlace, subjects: s.names.AlarmsSubjects(),
		match: func(m *message) bool {
			return (sel.Kind == "" || sel.Kind == m.alarm.Kind) && (sel.Subject == "" || sel.Subject == m.alarm.Subject)
		},
	}, tell)
}

// subjectsOf returns what a durable reads that the configuration does not name.
func (s *Streams) subjectsOf(ctx context.Context, consumer string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := s.js.Consumer(ctx, s.names.EventsStream(), consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrInvalidConsumerName) {
		return nil, fmt.Errorf("looking at consumer %.40q: %w: %w", consumer, bridge.ErrNotFound, err)
	}
	if err != nil {
		return nil, fmt.Errorf("looking at consumer %.40q: %w", consumer, err)
	}
	return streamread.Filters(c.CachedInfo().Config), nil
}

// decodeEvent makes a row of an event's header; a message that is no event has none.
func decodeEvent(meta *jetstream.MsgMetadata, m jetstream.Msg) (message, bool) {
	header := bridge.Header(m.Headers())
	e, err := bridge.DecodeEvent(header, nil)
	if err != nil {
		return message{}, false
	}
	size, err := strconv.Atoi(header.Get(nats.MsgSize))
	if err != nil { // the server sent the body
		size = len(m.Data())
	}
	row := adminapi.NewEvent(&adminapi.EventEntry{Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp.UTC(), Event: e})
	row.BodyBytes = size
	data, err := json.Marshal(row)
	return message{
		seq: meta.Sequence.Stream, subject: m.Subject(), name: adminapi.LiveEvent, data: data,
		event: &bridge.Event{Type: e.Type, Source: e.Source, Status: e.Status, Model: e.Model, PredictionID: e.PredictionID},
	}, err == nil
}

func decodeAlarm(meta *jetstream.MsgMetadata, m jetstream.Msg) (message, bool) {
	row := struct {
		Seq      uint64    `json:"seq"`
		StoredAt time.Time `json:"stored_at"`
		bridge.Alarm
	}{Seq: meta.Sequence.Stream, StoredAt: meta.Timestamp.UTC()}
	if len(m.Data()) > maxAlarmBytes || json.Unmarshal(m.Data(), &row.Alarm) != nil {
		return message{}, false
	}
	data, err := json.Marshal(row)
	return message{
		seq: row.Seq, name: adminapi.LiveAlarm, data: data, alarm: &bridge.Alarm{Kind: row.Kind, Subject: row.Subject},
	}, err == nil
}

// Collectors returns the metrics.
func (s *Streams) Collectors() []prometheus.Collector {
	clients := func() float64 { return float64(s.events.listening() + s.alarms.listening()) }
	dropped := func() float64 { return float64(s.events.dropped.Load() + s.alarms.dropped.Load()) }
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hookspan_live_clients", Help: "Clients of live streams of events and alarms.",
		}, clients),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "hookspan_live_dropped_total", Help: "Clients of live streams that were dropped because they did not read.",
		}, dropped),
	}
}
