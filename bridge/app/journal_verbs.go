package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Journal is the journal in the data folder of a bridge that does not run. A running bridge
// forwards its journal itself.
type Journal struct {
	journal *journal.Journal
	cfg     *config.Config
	folder  *datafolder.Folder
}

// OpenJournal locks the data folder. The caller calls Close. The error wraps [ErrFolderInUse]
// while a bridge runs. Unless create is set, a folder without a journal is an error.
func OpenJournal(cfg *config.Config, create bool) (*Journal, error) {
	folder, err := datafolder.Open(cfg.DataDir)
	if errors.Is(err, ErrFolderInUse) {
		return nil, fmt.Errorf("%w; a running bridge forwards its journal by itself", err)
	}
	if err != nil {
		return nil, err
	}
	if !create && !folder.Has(datafolder.JournalPart) {
		return nil, errors.Join(fmt.Errorf("there is no journal in %s", folder.Dir()), folder.Close())
	}
	j, err := openStoppedJournal(folder, cfg)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return &Journal{journal: j, cfg: cfg, folder: folder}, nil
}

// Close unlocks the folder.
func (j *Journal) Close() error { return errors.Join(j.journal.Close(), j.folder.Close()) }

// State returns what is in the journal.
func (j *Journal) State() (adminapi.Journal, error) { return journalState(j.journal) }

// Resend takes what is set aside back into the journal, and returns how many messages.
func (j *Journal) Resend(ctx context.Context) (int, error) { return j.journal.Resend(ctx) }

// Export calls visit for each record, and, when they are asked for, for those set aside, until
// visit returns an error. Everything stays in the journal.
func (j *Journal) Export(ctx context.Context, setAside bool, visit func(adminapi.JournalRecord) error) error {
	return exportJournal(ctx, j.journal, setAside, visit)
}

func exportJournal(ctx context.Context, j *journal.Journal, setAside bool, visit func(adminapi.JournalRecord) error) error {
	err := j.Each(ctx, func(r journal.Record) error { return visit(exported(r)) })
	if err != nil || !setAside {
		return err
	}
	entries, err := j.Aside()
	if err != nil {
		return err
	}
	for _, e := range entries {
		whole, err := j.AsideRecord(e.Sequence)
		if err != nil {
			return err
		}
		if err := visit(exported(whole.Record)); err != nil {
			return err
		}
	}
	return nil
}

func exported(r journal.Record) adminapi.JournalRecord {
	return adminapi.JournalRecord{Stream: r.Stream, Subject: r.Subject, Header: r.Header, Body: r.Body, AcceptedAt: r.At}
}

// Import appends records that were exported, of this journal or of another one, all or none.
func (j *Journal) Import(ctx context.Context, records []adminapi.JournalRecord) error {
	names := j.cfg.Names()
	block := make([]*journal.Record, len(records))
	for i, r := range records {
		switch {
		case names.StreamOf(r.Subject) == "" || names.StreamOf(r.Subject) != r.Stream:
			return fmt.Errorf("a record for stream %q is none of nats.prefix %s", r.Stream, j.cfg.NATS.Prefix)
		case bridge.Header(r.Header).Get(bridge.HeaderMsgID) == "":
			return errors.New("a record has no message id, by which it is known again")
		}
		block[i] = &journal.Record{Stream: r.Stream, Subject: r.Subject, Header: r.Header, Body: r.Body, At: r.AcceptedAt}
	}
	return j.journal.Import(ctx, block...)
}

// Drain moves the records to NATS, except those that NATS refuses, and returns how many it
// moved. Drain provisions first, since a publish needs streams that can keep it.
func (j *Journal) Drain(ctx context.Context, opts Options) (drained uint64, err error) {
	e, err := newEnv(j.cfg, opts, nil)
	if err != nil {
		return 0, err
	}
	e.folder = j.folder
	defer func() { err = errors.Join(err, e.onStop.run()) }()
	store, err := connectStore(e) //nolint:contextcheck // what it starts goes on until onStop
	if err != nil {
		return 0, err
	}
	if err := newProvisioner(store).untilUsable(ctx); err != nil {
		return 0, err
	}
	f := stream.NewForwarder(j.journal, store.publisher, nil, forwarderConfig(store), store.alarms, e.log)
	f.Start() //nolint:contextcheck // it ends with Close
	err = f.Empty(ctx)
	f.Close(0) //nolint:contextcheck // it waits for nothing
	return f.Forwarded(), err
}

// journalState returns the state with the first entries that are set aside.
func journalState(j *journal.Journal) (adminapi.Journal, error) {
	s := j.State()
	out := adminapi.Journal{
		Records: s.Records, Bytes: s.Bytes, MaxBytes: s.MaxBytes, Oldest: s.Oldest,
		SetAside: s.SetAside, SetAsideBytes: s.SetAsideBytes, Failure: s.Failure, Entries: []adminapi.AsideEntry{},
	}
	entries, err := j.Aside()
	for _, e := range entries[:min(len(entries), adminapi.MaxAsideEntries)] {
		out.Entries = append(out.Entries, adminapi.AsideEntry{
			ID: bridge.Header(e.Header).Get(bridge.HeaderMsgID), Stream: e.Stream, Subject: e.Subject, Bytes: e.Size,
			Cause: e.Cause, AcceptedAt: e.At, SetAsideAt: e.SetAsideAt,
		})
	}
	return out, err
}

// journalOperator is the journal as the API calls it.
type journalOperator struct{ journal *journal.Journal }

func (o journalOperator) Journal() (adminapi.Journal, error) { return journalState(o.journal) }

func (o journalOperator) Resend(ctx context.Context) (int, error) { return o.journal.Resend(ctx) }
