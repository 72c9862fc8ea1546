package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// journalCmd looks after a journal. A running bridge forwards its journal by itself, so drain,
// export and import work on the folder of a bridge that does not run.
type journalCmd struct {
	Show   journalShowCmd   `cmd:"" help:"Say what is in the journal."`
	Resend journalResendCmd `cmd:"" help:"Send again what was set aside because NATS did not take it."`
	Drain  journalDrainCmd  `cmd:"" help:"Move the journal of a bridge that is gone to NATS, then exit."`
	Export journalExportCmd `cmd:"" help:"Write the journal of a bridge that is gone as lines of JSON. It stays as it is."`
	Import journalImportCmd `cmd:"" help:"Append what was exported to the journal of a folder whose bridge does not run."`
}

// openJournal opens the journal of the folder that the flag means; without any it is that of
// the default configuration.
func (f bridgeFlag) openJournal(e *env, create bool) (*app.Journal, error) {
	meant, err := f.choose(e)
	if err != nil {
		return nil, err
	}
	return meant.openJournal(create)
}

func (p site) openJournal(create bool) (*app.Journal, error) {
	cfg, err := config.Load(p.file)
	if err != nil {
		return nil, err
	}
	cfg.DataDir = cmp.Or(p.dir, cfg.DataDir)
	return app.OpenJournal(cfg, create)
}

// ofFolder calls do with the journal of the folder that the flags mean, or returns false when
// its bridge runs, or is elsewhere, and is to be asked.
func (f *apiFlag) ofFolder(e *env, do func(*app.Journal) error) (done bool, err error) {
	if f.API != "" {
		return false, nil
	}
	meant, err := f.choose(e)
	if err != nil || meant.dir == "" {
		return false, err
	}
	if _, err := app.ReadHolder(meant.dir); !errors.Is(err, app.ErrNotRunning) {
		return false, nil
	}
	j, err := meant.openJournal(false)
	if err != nil {
		return true, err
	}
	return true, errors.Join(do(j), j.Close())
}

type journalShowCmd struct {
	apiFlag
	watchFlag
	SetAside bool `help:"List what was set aside because NATS did not take it."`
}

func (c *journalShowCmd) Run(e *env) error {
	var state adminapi.Journal
	there, err := c.ofFolder(e, func(j *app.Journal) (err error) { state, err = j.State(); return err })
	if err == nil && !there {
		err = c.get(e, "/journal", nil, &state)
	}
	if err != nil {
		return err
	}
	return e.print(state, func(out *printer) {
		out.printf("%s, %v of %v", counted(state.Records, "record"), config.ByteSize(state.Bytes), config.ByteSize(state.MaxBytes))
		if state.Records > 0 {
			out.printf(", the oldest of %s", state.Oldest.Format(time.RFC3339))
		}
		if state.SetAside > 0 {
			out.printf("; %d set aside, which NATS did not take", state.SetAside)
		}
		out.printf("\n")
		if state.Failure != "" {
			out.printf("the journal cannot be written: %s\n", state.Failure)
		}
		if c.SetAside && len(state.Entries) > 0 {
			t := newTable("ACCEPTED", "STREAM", "SIZE", "ID", "CAUSE")
			for _, a := range state.Entries {
				t.row(a.AcceptedAt.Format(time.RFC3339), a.Stream, config.ByteSize(a.Bytes), a.ID, a.Cause)
			}
			t.print(out)
		}
	})
}

type journalResendCmd struct{ apiFlag }

func (c *journalResendCmd) Run(e *env) error {
	var report adminapi.Resent
	there, err := c.ofFolder(e, func(j *app.Journal) (err error) { report.Resent, err = j.Resend(e.ctx); return err })
	if err == nil && !there {
		err = c.call(e, "POST", "/journal/resend", struct{}{}, &report)
	}
	if err != nil {
		return err
	}
	return e.print(report, func(out *printer) { out.printf("on their way again: %s\n", counted(report.Resent, "message")) })
}

type journalDrainCmd struct{ bridgeFlag }

// Run moves everything to NATS. It fails when NATS refuses some of it.
func (c *journalDrainCmd) Run(e *env) (err error) {
	j, err := c.openJournal(e, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	drained, err := j.Drain(e.ctx, app.Options{Getenv: e.getenv, Log: e.stderr})
	if err != nil {
		return err
	}
	state, err := j.State()
	if err != nil {
		return err
	}
	err = e.print(map[string]any{"drained": drained, "set_aside": state.SetAside}, func(out *printer) {
		out.printf("%s moved to NATS, %d set aside that it does not take\n", counted(drained, "message"), state.SetAside)
	})
	if err == nil && state.SetAside > 0 {
		err = errSilent
	}
	return err
}

type journalExportCmd struct {
	bridgeFlag
	To       string `placeholder:"FILE" help:"A file to write, which must not exist; standard output without it."`
	SetAside bool   `help:"Also what was set aside because NATS did not take it."`
}

// Run writes one JSON object a line.
func (c *journalExportCmd) Run(e *env) (err error) {
	j, err := c.openJournal(e, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	out := e.stdout
	if c.To != "" {
		f, err := os.OpenFile(c.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("exporting the journal: %w", err)
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out = f
	}
	n := 0
	err = j.Export(e.ctx, c.SetAside, func(r adminapi.JournalRecord) error {
		n++
		return writeJSON(out, r)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stderr, "%s exported and still in the journal\n", counted(n, "record"))
	return err
}

type journalImportCmd struct {
	bridgeFlag
	From string `arg:"" placeholder:"FILE" help:"The file that was exported; - for standard input."`
}

// Run appends every record, or stops at the first that it cannot take. To run it again does no
// harm: NATS knows the records by their ids.
func (c *journalImportCmd) Run(e *env) (err error) {
	in := e.stdin
	if c.From != "-" {
		f, err := os.Open(c.From)
		if err != nil {
			return fmt.Errorf("importing into the journal: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	j, err := c.openJournal(e, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	n, err := importLines(in, func(block []adminapi.JournalRecord) error { return j.Import(e.ctx, block) })
	if err != nil {
		return fmt.Errorf("importing: in the journal is %s, and then: %w", counted(n, "record"), err)
	}
	return e.print(map[string]any{"imported": n}, func(out *printer) {
		out.printf("%s imported: start the bridge, or move them to NATS with hookspan journal drain\n", counted(n, "record"))
	})
}

const (
	// importMost and importBytes bound how much is appended at once.
	importMost  = 500
	importBytes = 4 << 20
)

// importLines calls take with the records of a file in blocks, and returns how many were taken.
func importLines(in io.Reader, take func([]adminapi.JournalRecord) error) (taken int, err error) {
	dec := json.NewDecoder(in)
	dec.DisallowUnknownFields()
	var block []adminapi.JournalRecord
	bytes := 0
	for {
		var r adminapi.JournalRecord
		err := dec.Decode(&r)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return taken, err
		}
		if !end {
			block, bytes = append(block, r), bytes+len(r.Body)
		}
		if len(block) > 0 && (end || len(block) == importMost || bytes >= importBytes) {
			if err := take(block); err != nil {
				return taken, err
			}
			taken += len(block)
			block, bytes = nil, 0
		}
		if end {
			return taken, nil
		}
	}
}

// counted is a number with its noun.
func counted[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
