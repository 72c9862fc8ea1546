package view

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// ErrUnavailable is wrapped by queries when the view's file cannot be used at the moment.
var ErrUnavailable = adminapi.ErrUnavailable

var errClosed = fmt.Errorf("%w: it is being opened anew", ErrUnavailable)

// ErrInUse is wrapped by [Open] when another process has the view.
var ErrInUse = errors.New("another process has the view")

// queryTimeout bounds one query.
const queryTimeout = 5 * time.Second

// View is an open view. It is safe for concurrent use.
type View struct {
	cfg  Config
	log  *zap.Logger
	lock *os.File

	// writing guards the connection that writes, and the change of db.
	writing sync.Mutex
	db      atomic.Pointer[database] // nil while the file cannot be used

	running sync.Mutex    // held by Run
	closing chan struct{} // closed by Close
	closed  sync.Once

	streams []*stream
	rebuild chan struct{} // holds a request
	status  status

	attempts attempts

	counting sync.Mutex
	counted  map[string]counts // slow results, by source

	// toldLarge is when the log last said that the view is too large. It belongs to prune.
	toldLarge time.Time
}

// Open takes the view's lock and opens its file; both are made when missing. A file that
// cannot be used now is no error: [View.Run] tries again, and [View.Status] says why. The
// error wraps [ErrInUse] when another process has the view.
func Open(cfg Config) (*View, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	v := &View{cfg: cfg, log: cfg.Logger, closing: make(chan struct{}), rebuild: make(chan struct{}, 1), counted: map[string]counts{}}
	v.streams = v.allStreams()
	if v.lock, err = os.OpenFile(cfg.Path+".lock", os.O_RDWR|os.O_CREATE, 0o640); err != nil {
		return nil, fmt.Errorf("opening the lock of the view: %w: make its folder writable", err)
	}
	if err := unix.Flock(int(v.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: stop that process or give this one another data folder", cfg.Path, ErrInUse), v.lock.Close())
	}
	if err := v.open(); err != nil {
		v.status.fail(err)
		v.log.Error("the view cannot be opened, and is tried again", zap.String("path", cfg.Path), zap.Error(err))
	}
	return v, nil
}

// Close ends Run, closes the file once queries have ended, and gives up the lock. From then on
// queries return [ErrUnavailable].
func (v *View) Close() (err error) {
	v.closed.Do(func() {
		close(v.closing)
		v.running.Lock()
		defer v.running.Unlock()
		v.writing.Lock()
		defer v.writing.Unlock()
		err = errors.Join(v.drop(), v.lock.Close())
	})
	return err
}

// open opens the file; a broken one is made anew. The caller guards the writer.
func (v *View) open() error {
	db, err := openDatabase(v.cfg.Path)
	if err != nil && broken(err) {
		v.log.Warn("the view's file cannot be used and is made anew from the streams", zap.String("path", v.cfg.Path), zap.Error(err))
		if err := removeFiles(v.cfg.Path); err != nil {
			return fmt.Errorf("removing the view's file: %w", err)
		}
		db, err = openDatabase(v.cfg.Path)
	}
	if err != nil {
		return fmt.Errorf("opening the view: %w", err)
	}
	if err := v.loadPositions(db); err != nil {
		return errors.Join(fmt.Errorf("opening the view: %w", err), db.close())
	}
	v.db.Store(db)
	return nil
}

// drop closes the file. The caller guards the writer.
func (v *View) drop() error {
	if db := v.db.Swap(nil); db != nil {
		return db.close()
	}
	return nil
}

// makeAnew removes the file and opens an empty one. The caller guards the writer.
func (v *View) makeAnew() error {
	if err := errors.Join(v.drop(), removeFiles(v.cfg.Path)); err != nil {
		return fmt.Errorf("removing the view's file: %w", err)
	}
	select {
	case <-v.rebuild: // of the file that is gone
	default:
	}
	return v.open()
}

// Rebuild makes the view anew from the streams. It returns before that is done; see
// [View.Status].
func (v *View) Rebuild() {
	select {
	case v.rebuild <- struct{}{}:
	default:
	}
}

// read runs f on a snapshot.
func (v *View) read(ctx context.Context, f func(*conn) error) error {
	db := v.db.Load()
	if db == nil {
		return errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err := db.read(ctx, f)
	if err != nil && broken(err) && v.db.Load() == db {
		v.log.Error("the view is damaged", zap.Error(err))
		v.Rebuild()
	}
	if cause := ctx.Err(); err != nil && cause != nil && !errors.Is(err, bridge.ErrNotFound) {
		err = errors.Join(cause, err)
		if errors.Is(cause, context.DeadlineExceeded) { // by its own limit, or by that of its caller
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	if err != nil {
		return fmt.Errorf("reading the view: %w", err)
	}
	return nil
}

// write runs f in a transaction.
func (v *View) write(f func(*conn) error) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	db := v.db.Load()
	if db == nil {
		return errClosed
	}
	err := db.writer.transaction("BEGIN IMMEDIATE", func() error { return f(db.writer) })
	if err != nil {
		return fmt.Errorf("writing the view: %w", err)
	}
	return nil
}
