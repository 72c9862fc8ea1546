package view

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// Whatever happened to the file while no process had it, the view is whole again, and says
// that it was made anew.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"empty":       func(path string) error { return os.Truncate(path, 0) },
		"truncated":   func(path string) error { return os.Truncate(path, 5000) },
		"half a page": func(path string) error { return os.Truncate(path, 100) },
		"no database": func(path string) error {
			return os.WriteFile(path, []byte("this is a text, and long enough to be read"), 0o600)
		},
		"zeros":        zeros(0),
		"zeros inside": zeros(8192),
		"version 99":   sql("PRAGMA user_version = 99"),
		"version 0":    sql("PRAGMA user_version = 0"),
		"no table":     sql("DROP TABLE events"),
		"removed":      os.Remove,
		"a lost log":   func(path string) error { return os.WriteFile(path+"-wal", []byte("no log"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			x := r.start("view.db")
			for i := range 50 {
				r.publish(says(t, fmt.Sprint("p", i), finished))
			}
			x.folded()
			want := x.rows()
			x.stop()
			require.NoError(t, change(filepath.Join(r.dir, "view.db")))
			x = r.start("view.db")
			r.eventually(func() bool { return x.UpToDate() && !x.Status().Rebuilding && len(x.tryRows()) == len(want) }, "%+v", x.Status())
			require.Equal(t, want, x.rows())
			r.publish(says(t, "later", finished))
			x.change(Ended)
			require.Empty(t, x.Status().Error)
		})
	}
}

// tryRows reads every row, and nothing when that fails: so damage is found by whoever reads.
func (x *viewed) tryRows() []string {
	var out []string
	err := x.read(x.r.t.Context(), func(c *conn) error {
		for _, table := range derived {
			if err := c.query("SELECT * FROM "+table, func(s *sqlite3.Stmt) error { out = append(out, s.ColumnText(0)); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return out
}

// zeros overwrites from an offset to the end.
func zeros(from int64) func(path string) error {
	return func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(make([]byte, max(0, info.Size()-from)), from)
		if err == nil {
			err = f.Close()
		}
		return err
	}
}

func sql(text string) func(path string) error {
	return func(path string) error {
		c, err := openConn(path, sqlite3.OPEN_READWRITE, 100)
		if err != nil {
			return err
		}
		if err := c.Exec(text); err != nil {
			return err
		}
		return c.close()
	}
}

// A file that is removed, replaced or damaged while the view has it open is noticed.
func TestDamageWhileOpen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"removed":   removeFiles,
		"replaced":  func(path string) error { return os.Rename(path+".other", path) },
		"truncated": func(path string) error { return os.Truncate(path, 4096) },
		"zeros":     zeros(0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			x := r.start("view.db")
			r.publish(says(t, "a", finished), says(t, "b", running))
			x.folded()
			want := x.rows()
			path := filepath.Join(r.dir, "view.db")
			require.NoError(t, os.WriteFile(path+".other", []byte("x"), 0o600))
			x.writing.Lock()
			require.NoError(t, x.db.Load().writer.run("PRAGMA wal_checkpoint(TRUNCATE)")) // so that the file matters
			require.NoError(t, change(path))
			x.writing.Unlock()
			for i := 0; len(x.logs.FilterMessageSnippet("made anew").All()) == 0; i++ {
				_, _ = x.Prediction(t.Context(), "get3w", "a") // damage is found by whoever reads or writes
				r.publish(says(t, "c", fmt.Sprint(running, `,"n":`, i)))
			}
			r.eventually(func() bool { return x.UpToDate() && !x.Status().Rebuilding && len(x.tryRows()) >= len(want) })
			require.True(t, x.state("a").Terminal())
			require.True(t, x.state("b").Open())
		})
	}
}

// A full disk, and a file that cannot be written, stop the view alone, and only for so long.
func TestFullAndReadOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stop, resume, says string }{
		"full":      {"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000", "full"},
		"read-only": {"PRAGMA query_only = ON", "PRAGMA query_only = OFF", "readonly"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			x := r.start("view.db")
			r.publish(says(t, "a", finished))
			x.folded()
			pragma := func(text string) {
				x.writing.Lock()
				defer x.writing.Unlock()
				require.NoError(t, x.db.Load().writer.Exec(text))
			}
			pragma(c.stop)
			for i := range 200 {
				r.publish(says(t, fmt.Sprint("b", i), finished))
			}
			r.eventually(func() bool { return x.Status().Error != "" })
			require.Contains(t, x.Status().Error, c.says)
			require.True(t, x.state("a").Terminal(), "it serves what it has")
			pragma(c.resume)
			x.folded()
			require.Len(t, x.all(Query{}), 201)
			r.eventually(func() bool { return x.Status().Error == "" })
		})
	}
}

// A path that cannot be used now is tried again.
func TestFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.dir, "view.db")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in the way"), 0o700))
	x := r.start("view.db")
	r.publish(says(t, "a", finished))
	r.eventually(func() bool { return x.Status().Error != "" })
	_, err := x.Prediction(t.Context(), "get3w", "a")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, x.SetDue(t.Context(), "get3w", "a", x.Status().Since, 1), ErrUnavailable)
	require.False(t, x.UpToDate())
	require.NoError(t, os.RemoveAll(path))
	x.folded()
	require.True(t, x.state("a").Terminal())
}

// Two processes cannot have one file.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	_, err := Open(Config{Path: filepath.Join(r.dir, "view.db"), JS: r.JS})
	require.ErrorIs(t, err, ErrInUse)
	x.stop()
	r.start("view.db")
	for _, bad := range []Config{{JS: r.JS}, {Path: "x"}, {Path: "x", JS: r.JS, Keep: -1}, {Path: filepath.Join(r.dir, "none", "x"), JS: r.JS}} {
		_, err := Open(bad)
		require.Error(t, err)
	}
}

// A query ends with its context, and leaves its connection usable.
func TestQueriesEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "a", finished))
	x.folded()
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 * readConns {
		begun := make(chan struct{}, 1)
		done := make(chan error, 1)
		go func() {
			done <- x.read(ctx, func(c *conn) error {
				begun <- struct{}{}
				return c.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n", func(*sqlite3.Stmt) error { return nil })
			})
		}()
		<-begun
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		ctx, cancel = context.WithCancel(t.Context())
	}
	cancel()
	require.True(t, x.state("a").Terminal())
	_, err := x.Prediction(ctx, "get3w", "a")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, bridge.ErrNotFound)
}
