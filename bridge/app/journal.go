package app

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// drainPatience is how long a bridge that ends tries to empty its journal.
const drainPatience = 10 * time.Second

// openJournal opens the journal where webhooks are taken. Otherwise it opens only what an
// earlier configuration or version left, to empty it.
func (s *store) openJournal(ctx context.Context) error {
	keeps := s.cfg.Has(config.RoleIngress) && s.cfg.Ingress.Ack != config.AckStream
	if !keeps && !s.folder.Has(datafolder.JournalPart) && !s.folder.Has(datafolder.SpoolPart) {
		return nil
	}
	j, err := journal.Open(s.folder.Path(datafolder.JournalPart), journal.Config{MaxBytes: int64(s.cfg.Journal.MaxBytes), Alarms: s.journalAlarms(), Log: s.log})
	if err != nil {
		return err
	}
	s.journal = j
	s.onStop.add("journal", j.Close)
	if keeps {
		if err := j.Begin(); err != nil { //nolint:contextcheck // the disk is waited for
			return fmt.Errorf("%w: webhooks are kept there before they are answered, so make room on the disk of data_dir, or let this user write there", err)
		}
	}
	if s.folder.Has(datafolder.SpoolPart) {
		if err := stream.MoveOldSpool(ctx, s.folder, s.cfg.Names(), j, s.log); err != nil {
			return err
		}
	}
	s.forwarder = stream.NewForwarder(j, s.publisher, []jetstream.JetStream{s.consume}, forwarderConfig(s), s.journalAlarms(), s.log)
	if keeps {
		s.keeper = stream.NewKeeper(s.forwarder, stream.KeeperConfig{
			Names: s.cfg.Names(), Quorum: s.cfg.Ingress.Ack == config.AckQuorum, Duplicates: s.cfg.Duplicates(),
		})
		if err := s.keeper.Remember(ctx); err != nil {
			return err
		}
	}
	s.forwarder.Start() //nolint:contextcheck // it ends with Close
	patience := drainPatience
	if s.successor {
		patience = 0 // webhooks wait for the next process, which goes on with the journal
	}
	s.onStop.add("forwarder", func() error { s.forwarder.Close(patience); return nil }) //nolint:contextcheck // it has its own time
	return nil
}

func forwarderConfig(s *store) stream.ForwarderConfig {
	return stream.ForwarderConfig{Names: s.cfg.Names(), Cluster: s.embedded == nil, Duplicates: s.cfg.Duplicates(), Erased: s.erased, Tracer: s.tracer}
}
