package view

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/hookspan/hookspan/internal/backoff"
)

// Key names a prediction.
type Key struct{ Source, ID string }

const (
	// eraseAtOnce bounds the predictions that one transaction removes, findAtOnce those that one
	// query looks at.
	eraseAtOnce, findAtOnce = 100, 5000
	// shortText is below how many bytes a text is not searched for in the file: it stands there
	// for other things.
	shortText = 8
)

// CountErased counts the rows of predictions, and of their dead letters.
func (v *View) CountErased(ctx context.Context, keys []Key) (rows int, err error) {
	err = v.read(ctx, func(c *conn) error {
		for _, k := range keys {
			for _, sql := range []string{countPrediction, countDeadOf} {
				if err := c.query(sql, func(s *sqlite3.Stmt) error { rows += s.ColumnInt(0); return nil }, k.Source, k.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return rows, err
}

// Erase removes every row of the predictions, and of the messages that left their streams, and
// returns how many predictions and dead letters that were. What was overwritten is gone from
// the files as well: they are searched, and the view is packed anew when something is found.
// Until then it folds nothing; queries go on.
func (v *View) Erase(ctx context.Context, keys []Key, gone map[string][]uint64) (rows int, err error) {
	var texts [][]byte
	for len(keys) > 0 || len(gone) > 0 {
		some := keys[:min(len(keys), eraseAtOnce)]
		keys = keys[len(some):]
		n, more, err := v.eraseRows(some, gone)
		if err != nil {
			return rows, err
		}
		gone = nil
		rows, texts = rows+n, append(texts, more...)
	}
	return rows, v.overwrite(ctx, texts)
}

// EraseAll is [View.Erase] for the predictions that has reports.
func (v *View) EraseAll(ctx context.Context, has func(source, id string) bool) error {
	// What is folded at this moment may be of a prediction that has just been erased.
	v.writing.Lock()
	v.writing.Unlock() //nolint:staticcheck // waiting is the purpose
	var found []Key
	for after, more := (Key{}), true; more; {
		more = false
		err := v.read(ctx, func(c *conn) error {
			n := 0
			err := c.query(nextKeys, func(s *sqlite3.Stmt) error {
				after = Key{s.ColumnText(0), s.ColumnText(1)}
				if n++; has(after.Source, after.ID) {
					found = append(found, after)
				}
				return nil
			}, after.Source, after.ID, findAtOnce)
			more = n == findAtOnce
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	_, err := v.Erase(ctx, found, nil)
	return err
}

// eraseRows returns the texts that should be in the files no more.
func (v *View) eraseRows(keys []Key, gone map[string][]uint64) (rows int, texts [][]byte, err error) {
	err = v.write(func(c *conn) error {
		used := map[string]string{} // statement that finds it, by text
		removed, groupsDone := countRemovedDead(c)
		for _, k := range keys {
			num := int64(0)
			err := c.query(selectNum, func(s *sqlite3.Stmt) error {
				num = s.ColumnInt64(0)
				state, err := stateOf(s, 1)
				if err == nil && state.Announced != nil {
					used[state.Announced.Reference], used[state.Announced.Tenant] = numsByReference, numsByTenant
				}
				return err
			}, k.Source, k.ID)
			if err != nil && !errors.Is(err, errDamaged) {
				return err
			}
			texts = append(texts, []byte(k.ID))
			if quoted, err := json.Marshal(k.ID); err == nil && string(quoted) != `"`+k.ID+`"` {
				texts = append(texts, quoted)
			}
			if num != 0 {
				rows++
				if err := removePrediction(c, num); err != nil {
					return err
				}
			}
			err = c.query(deleteDeadOf, func(s *sqlite3.Stmt) error { rows++; return removed(s) }, k.Source, k.ID)
			if err != nil {
				return err
			}
		}
		if err := groupsDone(); err != nil {
			return err
		}
		for _, s := range v.streams {
			if s.removed.one == "" {
				continue
			}
			if err := s.removed.from(c, 0, gone[s.name]); err != nil {
				return err
			}
		}
		// A reference or a tenant that other predictions have stays.
		for text, sql := range used {
			still := false
			if err := c.query(sql, func(*sqlite3.Stmt) error { still = true; return nil }, text, int64(1)<<62, 1); err != nil {
				return err
			}
			if text != "" && !still {
				texts = append(texts, []byte(text))
			}
		}
		return nil
	})
	return rows, texts, err
}

// overwrite returns once the texts are in the files no more. Rows that are deleted are
// overwritten at once, but a page that was split can still have a copy of what moved to another
// one.
func (v *View) overwrite(ctx context.Context, texts [][]byte) error {
	if len(texts) == 0 {
		return nil
	}
	v.writing.Lock()
	defer v.writing.Unlock()
	db := v.db.Load()
	if db == nil {
		return errClosed
	}
	if err := db.writer.emptyLog(ctx); err != nil {
		return err
	}
	found := false
	for _, suffix := range []string{"", "-wal"} {
		has, err := fileHas(ctx, db.path+suffix, texts)
		if err != nil {
			return fmt.Errorf("searching the files of the view: %w", err)
		}
		found = found || has
	}
	if !found {
		return nil
	}
	if err := db.writer.pack(ctx); err != nil {
		return fmt.Errorf("packing the view anew: %w: make room on its disk for a second copy of it", err)
	}
	return db.writer.emptyLog(ctx)
}

// logPatience is how long queries may hold up the write-ahead log.
const logPatience = 15 * time.Second

// emptyLog moves the write-ahead log to the file and cuts it to nothing.
func (c *conn) emptyLog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	for {
		busy := false
		err := c.query("PRAGMA wal_checkpoint(TRUNCATE)", func(s *sqlite3.Stmt) error { busy = s.ColumnInt(0) != 0; return nil })
		if err == nil && !busy {
			return nil
		}
		if !backoff.Sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("emptying the write-ahead log of the view: queries hold it: try again: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// pack writes the file anew without anything that was deleted. The copy is a file, too: a view
// may be larger than the memory.
func (c *conn) pack(ctx context.Context) error {
	before := c.SetInterrupt(ctx)
	defer c.SetInterrupt(before)
	return errors.Join(c.Exec("PRAGMA temp_store = FILE; VACUUM"), c.Exec("PRAGMA temp_store = MEMORY"))
}

// fileHas reports whether a file has one of the texts. What is too short to be looked for counts
// as found.
func fileHas(ctx context.Context, path string, texts [][]byte) (bool, error) {
	longest := 0
	for _, t := range texts {
		if len(t) < shortText {
			return true, nil
		}
		longest = max(longest, len(t))
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // opened for reading
	buffer, kept := make([]byte, 1<<20+longest), 0
	for ctx.Err() == nil {
		n, err := io.ReadFull(f, buffer[kept:])
		part := buffer[:kept+n]
		for _, t := range texts {
			if bytes.Contains(part, t) {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(buffer, part[len(part)-min(len(part), longest):])
	}
	return false, ctx.Err()
}
