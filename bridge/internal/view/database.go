package view

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
)

//go:embed schema.sql
var schema string

// schemaVersion is the PRAGMA user_version of files that this program reads. Raise it with
// every change of schema.sql and of what the columns mean.
const schemaVersion = 4

const (
	// readConns bounds the queries that run at the same time; more wait.
	readConns = 3
	// writeCache and readCache bound the page cache of one connection, in KiB. The system's
	// own cache holds the rest of the file.
	writeCache, readCache = 8 << 10, 2 << 10
	// checkpointPages is how many pages the write-ahead log holds before they are moved to the
	// file; walBytes is the size that it is cut back to.
	checkpointPages = 4000
	walBytes        = 32 << 20
)

// errVersion: the file was made by another version of this program.
var errVersion = errors.New("it has another schema")

// errDamaged: a row has what the view never wrote. SQLite does not check the bytes of a row.
var errDamaged = errors.New("a row is damaged")

// database is an open file: one connection that writes, which its owner guards, and a pool
// of connections that read.
type database struct {
	path    string
	writer  *conn
	readers chan *conn // that no query has; closed with the database
	opened  int        // readers
	file    os.FileInfo
}

// openDatabase opens the file or makes it. The error wraps errVersion or an error of SQLite.
func openDatabase(path string) (db *database, err error) {
	db = &database{path: path, readers: make(chan *conn, readConns)}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.close())
		}
	}()
	index, err := newIndex()
	if err != nil {
		return db, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(index)) }()
	uri := databaseURI(path, filepath.Join(index, "index"))
	if db.writer, err = openConn(uri, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE, writeCache); err != nil {
		return db, err
	}
	if err := db.writer.makeSchema(); err != nil {
		return db, err
	}
	if db.file, err = os.Stat(path); err != nil {
		return db, err
	}
	for range readConns {
		c, err := openConn(uri, sqlite3.OPEN_READONLY, readCache)
		if err != nil {
			return db, err
		}
		db.readers <- c
		db.opened++
	}
	return db, nil
}

func (c *conn) makeSchema() error {
	var version int
	if err := c.query("PRAGMA user_version", func(s *sqlite3.Stmt) error { version = s.ColumnInt(0); return nil }); err != nil {
		return err
	}
	if version == schemaVersion {
		return nil
	}
	tables := 0
	if err := c.query("SELECT count(*) FROM sqlite_schema", func(s *sqlite3.Stmt) error { tables = s.ColumnInt(0); return nil }); err != nil {
		return err
	}
	if version != 0 || tables != 0 {
		return fmt.Errorf("%w: %d, this program has %d", errVersion, version, schemaVersion)
	}
	return c.Exec(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %d; COMMIT", schema, schemaVersion))
}

// same reports whether the path still leads to the open file.
func (db *database) same() bool {
	now, err := os.Stat(db.path)
	return err == nil && os.SameFile(db.file, now)
}

// close waits until no query runs. The writer goes last: it moves the write-ahead log to the
// file, which those that read cannot.
func (db *database) close() error {
	var errs []error
	for range db.opened {
		errs = append(errs, (<-db.readers).close())
	}
	close(db.readers)
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	return errors.Join(errs...)
}

// removeFiles removes the file and what SQLite keeps beside it.
func removeFiles(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// broken reports whether the error means that the file has to be made anew.
func broken(err error) bool {
	return errors.Is(err, errVersion) || errors.Is(err, errDamaged) || errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB) ||
		errors.Is(err, sqlite3.IOERR_SHORT_READ) || errors.Is(err, sqlite3.ERROR)
}

// read runs f with a connection for reading, in one snapshot, until ctx ends.
func (db *database) read(ctx context.Context, f func(*conn) error) (err error) {
	var c *conn
	select {
	case <-ctx.Done():
		return ctx.Err()
	case c = <-db.readers:
	}
	if c == nil {
		return errClosed
	}
	defer func() { db.readers <- c }()
	defer c.SetInterrupt(c.SetInterrupt(ctx))
	return c.transaction("BEGIN", func() error { return f(c) })
}
