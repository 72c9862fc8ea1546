package stream

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// alarmFresh is how long a repeated alarm is only counted, and alarmRepeat one of what lasts.
	alarmFresh, alarmRepeat = 10 * time.Minute, time.Hour
	// alarmActive is for how long an alarm of what has happened is active.
	alarmActive = 15 * time.Minute
	// alarmSettled is for how long what lasted must not hold before it is over: what comes and goes
	// is one alarm.
	alarmSettled = 10 * time.Minute
	// alarmLasts is for how long an alarm of what lasts is active: until it is told again, which may
	// be late.
	alarmLasts = alarmRepeat + alarmSettled + 5*time.Minute
	// alarmSubjects bounds the fresh alarms of one kind, since subjects may come from outside.
	// Alarms beyond it are only counted.
	alarmSubjects = 64
	// alarmKinds bounds the kinds that are told apart; it is far above the number of kinds.
	alarmKinds      = 64
	alarmsWaiting   = 256
	alarmTimeout    = 5 * time.Second
	alarmRetry      = 5 * time.Second
	alarmFarewell   = time.Second
	maxAlarmBytes   = 16 << 10
	alarmKindOfRest = "other"
)

// Alarms logs and counts alarms, and stores them in the stream of alarms. It is safe for
// concurrent use.
type Alarms struct {
	names   bridge.Names
	log     *zap.Logger
	waiting chan *nats.Msg
	total   *prometheus.CounterVec
	dropped prometheus.Counter

	mu   sync.Mutex
	told map[string]map[string]*told // by kind and subject
}

// NewAlarms returns alarms that [Alarms.Run] stores; up to 256 wait for that. It needs no
// store, so that connections can raise alarms before the store is open.
func NewAlarms(names bridge.Names, log *zap.Logger) *Alarms {
	a := &Alarms{
		names: names, log: log,
		waiting: make(chan *nats.Msg, alarmsWaiting),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_alarms_total", Help: "Alarms raised, repeated ones too.",
		}, []string{"kind"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookspan_alarms_dropped_total", Help: "Alarms that were logged and could not be kept in the stream of alarms.",
		}),
		told: map[string]map[string]*told{},
	}
	for _, kind := range bridge.AlarmKinds {
		a.total.WithLabelValues(kind) // present as zero from the start
	}
	return a
}

// Collectors returns the metrics.
func (a *Alarms) Collectors() []prometheus.Collector {
	return []prometheus.Collector{a.total, a.dropped, activeAlarms{a}}
}

// Raise counts the alarm. Unless one of the same kind and subject was told within the last 10
// minutes, or within the last hour if it tells of what lasts, it also logs the alarm and hands it to
// [Alarms.Run]. A cleared alarm is not counted. It is logged and handed on: at once, or when what
// lasted has not come again for 10 minutes. Raise never blocks.
func (a *Alarms) Raise(alarm bridge.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if alarm.Cleared && a.clear(alarm) {
		return
	}
	if alarm.Cleared || a.remember(&alarm) {
		a.tell(alarm)
	}
}

// tell logs the alarm and hands it on. The caller holds mu, so that an end and a new beginning are
// told in their order.
func (a *Alarms) tell(alarm bridge.Alarm) {
	if alarm.Time.IsZero() {
		alarm.Time = time.Now()
	}
	alarm.Text = printable.Sentences(alarm.Text) // one line, also for an error of several lines
	level := zap.ErrorLevel
	if alarm.Cleared {
		level = zap.InfoLevel
	}
	a.log.Log(level, alarm.Text, zap.String("alarm", alarm.Kind), zap.String("subject", alarm.Subject), zap.Bool("cleared", alarm.Cleared), zap.Any("details", alarm.Details))
	text, err := json.Marshal(alarm)
	if err != nil || len(text) > maxAlarmBytes {
		alarm.Details = nil // not JSON, but logged above
		text, err = json.Marshal(alarm)
	}
	if err != nil {
		a.drop(alarm.Kind, err)
		return
	}
	m := &nats.Msg{
		Subject: a.names.Alarm(bridge.EncodeToken(alarm.Kind)),
		Header:  nats.Header{bridge.HeaderMsgID: {bridge.MsgID("alarm", alarm.Kind, cmp.Or(alarm.ID, rand.Text()))}},
		Data:    text,
	}
	select {
	case a.waiting <- m:
	default:
		a.drop(alarm.Kind, nil)
	}
}

func (a *Alarms) drop(kind string, err error) {
	a.dropped.Inc()
	a.log.Error("an alarm could not be kept in the stream of alarms", zap.String("alarm", kind), zap.Error(err))
}

// Run stores alarms until ctx ends, and returns nil. While the store is away they wait; at the
// end Run tries the waiting ones once more, for a second.
func (a *Alarms) Run(ctx context.Context, store Storer) error {
	for {
		select {
		case <-ctx.Done():
			a.farewell(context.WithoutCancel(ctx), store)
			return nil
		case m := <-a.waiting:
			for !a.keep(ctx, store, m) {
				if !backoff.Sleep(ctx, alarmRetry) {
					a.farewell(context.WithoutCancel(ctx), store, m)
					return nil
				}
			}
		}
	}
}

func (a *Alarms) keep(ctx context.Context, store Storer, m *nats.Msg) bool {
	ctx, cancel := context.WithTimeout(ctx, alarmTimeout)
	defer cancel()
	// Store may change its message, and a retry needs the original.
	_, err := store.Store(ctx, a.names.AlarmsStream(), &nats.Msg{Subject: m.Subject, Header: nats.Header{
		bridge.HeaderMsgID: m.Header[bridge.HeaderMsgID],
	}, Data: m.Data})
	return err == nil
}

func (a *Alarms) farewell(ctx context.Context, store Storer, rest ...*nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, alarmFarewell)
	defer cancel()
	for {
		for _, m := range rest {
			if !a.keep(ctx, store, m) {
				a.drop(m.Subject, ctx.Err())
			}
		}
		select {
		case m := <-a.waiting:
			rest = []*nats.Msg{m}
		default:
			return
		}
	}
}
