package view

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// A view that is closed while it runs and is read stops both, and leaves the file to another
// one.
func TestCloseWhileRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(says(t, "a", finished))
	for range 5 {
		v, err := Open(Config{Path: filepath.Join(r.dir, "view.db"), JS: r.JS, Names: r.Names, Logger: zap.NewNop()})
		require.NoError(t, err)
		ran, read := make(chan error, 1), make(chan error, 3)
		go func() { ran <- v.Run(t.Context()) }()
		for range cap(read) {
			go func() {
				for {
					if _, err := v.Prediction(t.Context(), "get3w", "a"); err != nil {
						read <- err
						return
					}
				}
			}()
		}
		require.NoError(t, v.Close())
		require.NoError(t, <-ran)
		for range cap(read) {
			err := <-read
			require.True(t, isAny(err, ErrUnavailable, bridge.ErrNotFound), err)
		}
		require.NoError(t, v.Close())
		require.NoError(t, v.Run(t.Context()), "it stays closed")
		require.Nil(t, v.db.Load())
		require.ErrorIs(t, v.SetDue(t.Context(), "get3w", "a", v.Status().Since, 1), ErrUnavailable)
	}
}

// Queries that run while the view is made anew end well, or say that it is not available.
func TestReadersWhileMadeAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "a", finished))
	x.folded()
	stop, done := make(chan struct{}), make(chan error, 4)
	for range cap(done) {
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				_, err := x.Timeline(t.Context(), "get3w", "a", "")
				if err != nil && !isAny(err, ErrUnavailable, bridge.ErrNotFound) {
					done <- err
					return
				}
			}
		}()
	}
	for range 8 {
		x.writing.Lock()
		require.NoError(t, x.makeAnew())
		x.writing.Unlock()
	}
	close(stop)
	for range cap(done) {
		require.NoError(t, <-done)
	}
}

// A file that opens in part, e.g. for lack of descriptors, is closed again.
func TestClosesWhatWasOpened(t *testing.T) {
	t.Parallel()
	for opened := range readConns + 1 {
		db, err := openDatabase(filepath.Join(t.TempDir(), "view.db"))
		require.NoError(t, err)
		for db.opened > opened {
			require.NoError(t, (<-db.readers).close())
			db.opened--
		}
		require.NoError(t, db.close())
	}
}

// A row that SQLite reads and the view cannot makes the view anew, whoever meets it first.
func TestDamagedRow(t *testing.T) {
	t.Parallel()
	for name, meet := range map[string]func(x *viewed){
		"a query":  func(x *viewed) { _, err := x.Prediction(x.r.t.Context(), "get3w", "a"); require.Error(x.r.t, err) },
		"an event": func(x *viewed) { x.r.publish(says(x.r.t, "a", running)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			x := r.start("view.db")
			r.publish(says(t, "a", finished))
			x.folded()
			require.NoError(t, x.write(func(c *conn) error { return c.Exec("UPDATE predictions SET state = '{'") }))
			meet(x)
			r.eventually(func() bool { s, err := x.Prediction(t.Context(), "get3w", "a"); return err == nil && s.Terminal() })
			require.NotZero(t, x.logs.FilterMessageSnippet("made anew").Len())
		})
	}
}

// An error that is over is not shown for ever, also while no stream has anything new.
func TestErrorsPass(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	x.Rebuild()
	r.eventually(func() bool { return x.logs.FilterMessageSnippet("made anew").Len() > 0 })
	r.eventually(func() bool { return x.Status().Error == "" })
}

// A message that leaves its stream after it was read and before it is folded leaves no row.
func TestMessageLeavesBeforeItIsFolded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, filepath.Join(r.dir, "view.db"), 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	v.cfg.JS = r.JS
	x, dead := &viewed{View: v, r: r}, v.streams[1]
	_, err := dead.begin(t.Context())
	require.NoError(t, err)
	fold := func(seq uint64) {
		m := message{seq: seq, stored: dead.at().created, row: &DeadLetter{Sequence: seq, Consumer: "billing", Stored: dead.at().created}}
		require.NoError(t, dead.foldBlock(block{stream: dead, msgs: []message{m}, last: seq, stored: m.stored}))
	}
	for range 3 {
		r.kills("billing", says(t, "a", finished))
	}
	fold(1)
	fold(2)
	stream, err := r.JS.Stream(t.Context(), r.Names.DeadStream())
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 3))
	require.NoError(t, dead.lookAtRows(t.Context()))
	fold(3)
	require.NoError(t, dead.lookAtRows(t.Context()))
	require.Equal(t, 2, x.count("dead"))
}

// Open predictions that come back keep the place that they had, as long as the stream tells
// of them, and what another program wrote among them stops nothing.
func TestRestoredPlaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, filepath.Join(r.dir, "view.db"), 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	r.publish(says(t, "old", running), says(t, "new", running))
	stream, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
	require.NoError(t, err)
	info := stream.CachedInfo()
	state := func(id string, at uint64, later bool) *bridge.PredictionState {
		s := &bridge.PredictionState{Source: "get3w", ID: id, Status: bridge.StatusProcessing, FirstSeen: info.State.FirstTime, Sequence: 2}
		s.Events = []bridge.EventRef{{Sequence: at, ID: id + "/x", Kind: bridge.KindPrediction, StoredAt: info.State.FirstTime}}
		if later {
			s.Events[0].StoredAt = info.State.FirstTime.Add(mayLeave + 1)
		}
		return s
	}
	var odd bridge.PredictionState
	require.NoError(t, json.Unmarshal([]byte(`{"source":"get3w","id":"odd"}`), &odd))
	hostile := *state("hostile", 1, false)
	hostile.Source = "NOT A NAME"
	v.cfg.Restore = func(_ context.Context, put func(*bridge.PredictionState) error) error {
		for _, s := range []*bridge.PredictionState{state("soon gone", 1, false), state("told again", 2, true), state("gone", 0, true), &odd, &hostile} {
			require.NoError(t, put(s))
		}
		return nil
	}
	require.NoError(t, v.events().makeAnew(t.Context(), info, false))
	require.Equal(t, []string{"soon gone", "gone"}, (&viewed{View: v, r: r}).all(Query{}))
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}
