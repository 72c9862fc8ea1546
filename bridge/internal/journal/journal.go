// Package journal is the durable log on this machine through which every accepted delivery
// goes before a forwarder moves it to NATS.
//
// Its folder holds one folder a generation: segments as raft-wal writes them, with records of
// our own format and checksum. A process appends only to generations that it made itself, and
// never again to one in which a write or a sync has failed: so nothing is acknowledged behind
// a tail of which nobody knows what the disk has. Older generations are only read, and removed
// once their records are settled.
package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
)

// Config of a journal. The zero value is usable.
type Config struct {
	// MaxBytes of records that wait and are set aside. Beyond them Append refuses with
	// bridge.ErrFull. Default 2 GiB. The disk needs that much and two segments.
	MaxBytes int64
	// SegmentBytes is the size of one file. Larger ones make the append that begins the next
	// one slower, smaller ones keep more files open. Default 8 MiB.
	SegmentBytes int
	// HotBytes is how much of the newest records stays in memory for the forwarder. Default
	// 4 MiB.
	HotBytes int64
	// Alarms default to bridge.NoAlarms.
	Alarms bridge.Alarmer
	// Log defaults to none.
	Log *zap.Logger

	vfs      types.VFS     // files of segments, for tests
	interval time.Duration // of syncing the position and trimming, for tests
}

func (cfg Config) withDefaults() Config {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 2<<30)
	cfg.SegmentBytes = cmp.Or(cfg.SegmentBytes, 8<<20)
	cfg.HotBytes = cmp.Or(cfg.HotBytes, 4<<20)
	cfg.Alarms = cmp.Or[bridge.Alarmer](cfg.Alarms, bridge.NoAlarms{})
	cfg.Log = cmp.Or(cfg.Log, zap.NewNop())
	cfg.vfs = cmp.Or[types.VFS](cfg.vfs, fs.New())
	cfg.interval = cmp.Or(cfg.interval, time.Second)
	return cfg
}

// Journal is an open journal. All its methods are safe for concurrent use.
type Journal struct {
	dir     string
	cfg     Config
	metrics *metrics
	queue   chan *request
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed when the committer has ended
	kept    chan struct{} // closed when the keeper has ended
	dirty   chan struct{} // the position has changed
	rotated chan struct{} // a segment has begun
	close   func() error
	opened  time.Time
	busy    atomic.Int64 // when the write under way began, since opened; 0: none is

	trimming sync.Mutex // held while the position is written and files are removed

	reading sync.Mutex // held while reader is used
	reader  *reader

	asideMu   sync.Mutex // held while files of records that are set aside change
	resending sync.Mutex

	// mu guards what follows. It is never held while the disk is waited for.
	mu          sync.Mutex
	generations []*generation // by first
	last        uint64        // the last sequence that is durable, or was
	position    Checkpoint    // its Last is not used
	hot         hotTail
	ledger      ledger
	aside       asideTotal
	asideCause  string        // of what was set aside last
	failure     error         // why the last append failed
	unwritten   error         // why the position was not written
	grown       chan struct{} // closed when last grows

	looking sync.Mutex
	lasting *lasting.Alarms // guarded by looking
}

var errClosed = errors.New("the journal is closed")

// queueLen bounds the requests that wait for the committer; their callers wait, too.
const queueLen = 4096

// Open reads what earlier processes left in the folder, and makes the folder if it is missing.
// It changes nothing else, and neither does reading: the first Append or Begin does. The
// caller holds the lock of the data folder and calls Close in the end.
//
// Damage and loss are no errors but alarms. The bytes that wait are counted from the sizes of
// the files at first.
func Open(dir string, cfg Config) (*Journal, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w: choose a folder that this user may write", err)
	}
	j := &Journal{
		opened: time.Now(), dir: dir, cfg: cfg.withDefaults(), metrics: newMetrics(),
		queue: make(chan *request, queueLen), closing: make(chan struct{}), ended: make(chan struct{}), kept: make(chan struct{}),
		dirty: make(chan struct{}, 1), rotated: make(chan struct{}, 1), grown: make(chan struct{}),
	}
	j.lasting = lasting.New(j.cfg.Alarms)
	j.close = sync.OnceValue(j.shutdown)
	j.reader = &reader{j: j}
	next, err := j.recover()
	if err != nil {
		return nil, fmt.Errorf("opening the journal %s: %w", dir, err)
	}
	j.hot = hotTail{from: next, limit: j.cfg.HotBytes}
	go (&committer{j: j, next: next}).run()
	go j.keep()
	return j, nil
}

// Begin makes ready to append, so that a folder that cannot be written shows before the first
// delivery comes. The errors are those of Append.
func (j *Journal) Begin() error {
	return j.submit(context.Background(), &request{answer: make(chan error, 1)})
}

// Close refuses further calls of Append, waits for the write that is under way, and writes
// the checkpoint down. A disk that does not answer holds it up.
func (j *Journal) Close() error { return j.close() }

func (j *Journal) shutdown() error {
	close(j.closing)
	<-j.ended
	<-j.kept
	if !j.changed() {
		return nil
	}
	if _, err := j.writePosition(); err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}

func (j *Journal) path(elem ...string) string {
	return filepath.Join(append([]string{j.dir}, elem...)...)
}

// wake never blocks: one signal stands for all that came since.
func (*Journal) wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (j *Journal) warn(doing string, err error) {
	j.cfg.Log.Warn("journal: "+doing, zap.Error(err))
}

// appended lets everybody see what the committer has made durable.
func (j *Journal) appended(g *generation, batch []*request) {
	j.mu.Lock()
	for _, req := range batch {
		for _, e := range req.records {
			j.hot.push(e.data)
		}
		if n := uint64(len(req.records)); n > 0 {
			j.ledger.add(stretch{first: req.first, last: req.first + n - 1, bytes: req.size, firstAt: req.at, lastAt: req.at})
			j.last = req.first + n - 1
		}
	}
	g.end = j.last
	close(j.grown)
	j.grown = make(chan struct{})
	j.mu.Unlock()
	j.wake(j.dirty)
}
