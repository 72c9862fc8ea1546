package view

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// conn is a connection with its prepared statements. It belongs to one goroutine at a time.
type conn struct {
	*sqlite3.Conn // its Close fails while statements are open, see close

	prepared map[string]*sqlite3.Stmt
}

func openConn(uri string, flags sqlite3.OpenFlag, cacheKiB int) (*conn, error) {
	raw, err := sqlite3.OpenFlags(uri, flags|sqlite3.OPEN_URI)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, prepared: map[string]*sqlite3.Stmt{}}
	settings := fmt.Sprintf("PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 2000;", cacheKiB)
	if flags&sqlite3.OPEN_READWRITE != 0 {
		// A view that loses its last transactions in a crash of the machine folds them again. What
		// is deleted is overwritten, since predictions can be erased for good.
		settings += fmt.Sprintf("PRAGMA secure_delete = ON; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d;", checkpointPages, walBytes)
	}
	// The question opens the index.
	if err := c.Exec(settings + " PRAGMA user_version;"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *conn) close() error {
	c.SetInterrupt(context.Background())
	var errs []error
	for _, s := range c.prepared {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.Close())...)
}

// statement returns the statement with the arguments bound to it.
func (c *conn) statement(sql string, args []any) (*sqlite3.Stmt, error) {
	s := c.prepared[sql]
	if s == nil {
		var err error
		if s, _, err = c.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT); err != nil {
			return nil, fmt.Errorf("preparing %.60q: %w", sql, err)
		}
		c.prepared[sql] = s
	}
	for i, arg := range args {
		if err := bind(s, i+1, arg); err != nil {
			return nil, fmt.Errorf("binding argument %d of %.60q: %w", i+1, sql, err)
		}
	}
	return s, nil
}

func bind(s *sqlite3.Stmt, n int, arg any) error {
	switch v := arg.(type) {
	case nil:
		return s.BindNull(n)
	case int:
		return s.BindInt(n, v)
	case int64:
		return s.BindInt64(n, v)
	case uint64:
		return s.BindInt64(n, int64(min(v, math.MaxInt64))) //nolint:gosec // bounded
	case bool:
		return s.BindBool(n, v)
	case string:
		return s.BindText(n, v)
	case float64:
		return s.BindFloat(n, v)
	case []byte:
		return s.BindBlob(n, v)
	case time.Time:
		if v.IsZero() {
			return s.BindNull(n)
		}
		return s.BindInt64(n, nanos(v))
	}
	return fmt.Errorf("%T cannot be bound", arg)
}

// nanos is t in nanoseconds since 1970, or the nearest possible number.
func nanos(t time.Time) int64 {
	switch year := t.UTC().Year(); {
	case year < 1678:
		return math.MinInt64
	case year > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// timeOf is the inverse of nanos; NULL is the zero time.
func timeOf(s *sqlite3.Stmt, column int) time.Time {
	if s.ColumnType(column) == sqlite3.NULL {
		return time.Time{}
	}
	return time.Unix(0, s.ColumnInt64(column)).UTC()
}

// run runs a statement that returns no rows.
func (c *conn) run(sql string, args ...any) error {
	s, err := c.statement(sql, args)
	if err != nil {
		return err
	}
	return s.Exec()
}

// query calls row for each row of the result, until it returns an error.
func (c *conn) query(sql string, row func(*sqlite3.Stmt) error, args ...any) error {
	s, err := c.statement(sql, args)
	if err != nil {
		return err
	}
	for s.Step() {
		if err := row(s); err != nil {
			return errors.Join(err, s.Reset())
		}
	}
	return errors.Join(s.Err(), s.Reset())
}

// transaction runs f between begin and a commit, or rolls back.
func (c *conn) transaction(begin string, f func() error) error {
	if err := c.run(begin); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = c.run("COMMIT")
	}
	if err != nil && !c.GetAutocommit() {
		// Also after its time is over, or the connection would hold its snapshot.
		before := c.SetInterrupt(context.Background())
		err = errors.Join(err, c.run("ROLLBACK"))
		c.SetInterrupt(before)
	}
	return err
}
