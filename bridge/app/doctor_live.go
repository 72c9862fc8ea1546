package app

import (
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// live examines what only a bridge that runs can tell.
func (e *examination) live(ctx context.Context) {
	a := e.running
	if a.cfg.Has(config.RoleIngress) {
		e.report.Ready(a.checks.Reasons())
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		connections := 0
		if a.cfg.Has(config.RoleIngress) {
			connections = a.cfg.Ingress.MaxConnections
		}
		e.report.OpenFiles(uint64(files.Cur), connections) //nolint:unconvert // it is signed on other systems
	}
	status := a.view.Status()
	e.report.View(status.UpToDate, status.Error)
	store := doctor.Store{Embedded: a.store.embedded != nil, Quorum: a.cfg.Ingress.Ack != config.AckLocal}
	why := ""
	if !store.Embedded {
		why = e.reached(ctx, &store)
	}
	e.activeAlarms(ctx, why != "")
	if why != "" {
		for _, check := range []string{doctor.CheckFsync, doctor.CheckReplicas, doctor.CheckRights, doctor.CheckStreams, doctor.CheckWindow} {
			e.report.Unknown(check, why)
		}
		return
	}
	e.streams(ctx, &store)
	if !store.Embedded {
		e.report.Fsync(store)
		e.report.Replicas(store)
	}
}

// activeAlarms examines those that NATS has kept. Without it new ones are in the log alone.
func (e *examination) activeAlarms(ctx context.Context, unkept bool) {
	active, err := e.running.view.ActiveAlarms(ctx, time.Now())
	if err != nil {
		e.report.Unknown(doctor.CheckAlarms, err.Error())
		return
	}
	if unkept && len(active) == 0 {
		e.report.Unknown(doctor.CheckAlarms, "NATS keeps none now: see the log, and the metric hookspan_alarms_active")
		return
	}
	var list []doctor.Alarm
	for _, a := range active {
		list = append(list, doctor.Alarm{Kind: a.Kind, Subject: a.Subject, Text: a.Text})
	}
	e.report.Alarms(list)
}

// reached examines the connection to an external NATS by one of its own, and what may be done
// there. It returns why the streams there cannot be examined, if they cannot.
func (e *examination) reached(ctx context.Context, store *doctor.Store) (why string) {
	a := e.running
	external, err := externalConfig(a.cfg.NATS, a.getenv, zap.NewNop())
	var trial *stream.Trial
	if err == nil {
		bounded, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		trial, err = stream.Try(bounded, external, rightsOf(a.cfg, external))
	}
	if err != nil {
		e.report.Connection(doctor.Connection{Why: err.Error()})
		return "NATS does not answer"
	}
	if trial.Unfit != nil {
		e.report.Connection(doctor.Connection{Connected: true, Unfit: trial.Unfit.Error()})
		return "this NATS cannot serve"
	}
	e.report.Connection(doctor.Connection{Connected: true, Local: trial.Local, TLS: trial.TLS})
	e.report.Rights(len(trial.Tried), trial.Missing)
	store.Servers = trial.Servers
	if trial.Sync != nil {
		store.Sync = &doctor.Sync{Always: trial.Sync.Always, Interval: trial.Sync.Interval}
	}
	return ""
}

func (e *examination) streams(ctx context.Context, store *doctor.Store) {
	a := e.running
	bounded, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	inspected, err := stream.Inspect(bounded, a.store.consume, a.store.streams)
	if err != nil {
		e.report.Unknown(doctor.CheckStreams, err.Error())
		e.report.Unknown(doctor.CheckWindow, err.Error())
		return
	}
	var list []doctor.Stream
	for _, one := range inspected {
		s := doctor.Stream{Name: one.Name, Missing: one.Info == nil, Differences: one.Differences, Lagging: one.Away()}
		if one.Unfit != nil {
			s.Lossy = one.Unfit.Error()
		}
		list = append(list, s)
		if one.Name != a.cfg.Names().EventsStream() || one.Info == nil {
			continue
		}
		store.Replicas = one.Info.Config.Replicas
		e.report.Window(one.Info.Config.Duplicates, e.senders())
		if !store.Embedded && !one.Info.TimeStamp.IsZero() { // the embedded one has the clock of this machine
			e.report.Clock(doctor.Clock{Of: "NATS", Ahead: one.Info.TimeStamp.Sub(one.At), Error: one.Took, MaxAge: e.smallestAge()})
		}
	}
	e.report.Streams(list)
}
