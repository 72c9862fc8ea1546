package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	watchEvery = time.Second
	// healRoom is what must be free before the server is started again: with
	// less it would be frozen again at once.
	healRoom = 8 << 20
	// A server that freezes again soon after a start is started again ever more
	// slowly; one that has run for healRest begins anew.
	healFirst, healLongest = time.Second, time.Minute
	healRest               = 2 * time.Minute
)

// Watch heals the server until ctx ends. After a failed write, of a full disk
// for example, the server answers no publish any more, also when the disk has
// room again: only a new server does. So once a second it is asked how it is;
// when it cannot write that is an alarm, and as soon as its folder can be
// written to and has room the server is started again in this process, on the
// same port. Connections come back by themselves within a second or two. It
// never gives up, and returns nil. It also raises the alarms of durables that were
// damaged when the server started.
func (e *Embedded) Watch(ctx context.Context, alarms bridge.Alarmer, log *zap.Logger) error {
	retry, started := backoff.Backoff{First: healFirst, Max: healLongest}, time.Now()
	for pause := watchEvery; backoff.Sleep(ctx, pause); {
		pause = watchEvery
		e.durables.Raise(alarms)
		frozen := e.Frozen()
		if frozen == nil {
			continue
		}
		alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmStoreFrozen, Subject: filepath.Base(e.storeDir),
			Text: "the event store cannot write to its disk and accepts nothing: give the disk of the data folder room, " +
				"or repair it; the store is started again by itself as soon as it can write",
			Details: map[string]any{"error": frozen.Error(), "folder": e.storeDir},
		})
		if err := e.writable(); err != nil {
			log.Warn("the event store is still frozen", zap.Error(err))
			continue
		}
		if time.Since(started) > healRest {
			retry.Reset()
		}
		pause = retry.Next()
		if err := e.restart(ctx); err != nil {
			log.Error("the event store could not be started again, trying again", zap.Duration("in", pause), zap.Error(err))
		} else {
			log.Warn("the event store was frozen and has been started again")
		}
		started = time.Now()
	}
	return nil
}

// Frozen is why the server cannot write to its disk and so acknowledges nothing,
// or nil. Reads are answered all the same.
func (e *Embedded) Frozen() error {
	s := e.server.Load()
	if !s.Running() {
		return errors.New("the server is not running")
	}
	if !s.JetStreamEnabled() {
		// It ends JetStream when it may not write.
		return errors.New("JetStream has ended")
	}
	for _, problem := range s.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if problem.Type == server.HealthzErrorStream && strings.Contains(problem.Error, "write error") {
			return errors.New(problem.Error)
		}
	}
	return nil
}

// writable tries what the server will do.
func (e *Embedded) writable() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(e.storeDir, &fs); err != nil {
		return fmt.Errorf("looking at the disk: %w", err)
	}
	if free := uint64(fs.Bavail) * uint64(fs.Bsize); free < healRoom { //nolint:unconvert // they have other widths on other systems
		return fmt.Errorf("the disk has %d bytes free, %d are needed", free, healRoom)
	}
	path := filepath.Join(e.storeDir, ".probe")
	if err := datafolder.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing a probe: %w", err)
	}
	return nil
}

// restart replaces the server by a new one with the same options. A server that
// does not start is not running, which [Embedded.Frozen] sees.
func (e *Embedded) restart(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || ctx.Err() != nil {
		return errors.New("the store is being closed")
	}
	shutDown(e.server.Load())
	// What the old server wrote and could not sync would be read back as stored,
	// and its sender's next try be acknowledged as a duplicate.
	if err := datafolder.SyncFileSystem(e.storeDir); err != nil {
		return err
	}
	return e.start(ctx)
}
