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
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	watchEvery = time.Second
	// healRoom is the free space needed before the server is restarted: with less it would
	// freeze again at once.
	healRoom = 8 << 20
	// healFirst and healLongest bound the growing pause between restarts of a server that
	// freezes again; after running for healRest the pause is healFirst again.
	healFirst, healLongest = time.Second, time.Minute
	healRest               = 2 * time.Minute
)

// Watch heals the server until ctx ends, and returns nil. After a failed write, for example on
// a full disk, the server answers no publish any more, even when the disk has room again; only
// a new server does. Watch checks the server every second. It raises an alarm when the server
// cannot write, and restarts the server in this process, on the same port, once its folder is
// writable and has room. Connections recover by themselves within a second or two. Watch never
// gives up. It also raises the alarms of durables that were damaged at the start.
func (e *Embedded) Watch(ctx context.Context, alarms bridge.Alarmer, log *zap.Logger) error {
	wrong := lasting.New(alarms)
	retry, started := backoff.Backoff{First: healFirst, Max: healLongest}, time.Now()
	for pause := watchEvery; backoff.Sleep(ctx, pause); {
		pause = watchEvery
		e.durables.Raise(alarms)
		frozen := e.Frozen()
		if frozen == nil {
			wrong.Look()
			continue
		}
		wrong.Look(bridge.Alarm{
			Kind: bridge.AlarmStoreFrozen, Subject: filepath.Base(e.storeDir), Over: "the event store writes to its disk again",
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

// Frozen returns why the server cannot write to its disk, and so acknowledges nothing, or nil.
// The server still answers reads.
func (e *Embedded) Frozen() error {
	s := e.server.Load()
	if !s.Running() {
		return errors.New("the server is not running")
	}
	if !s.JetStreamEnabled() {
		// The server ends JetStream when it lacks the permission to write.
		return errors.New("JetStream has ended")
	}
	for _, problem := range s.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if problem.Type == server.HealthzErrorStream && strings.Contains(problem.Error, "write error") {
			return errors.New(problem.Error)
		}
	}
	return nil
}

// writable writes to the folder as the server would.
func (e *Embedded) writable() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(e.storeDir, &fs); err != nil {
		return fmt.Errorf("looking at the disk: %w", err)
	}
	if free := uint64(fs.Bavail) * uint64(fs.Bsize); free < healRoom { //nolint:unconvert // the types differ between systems
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

// restart replaces the server by a new one with the same options. When the new one fails to
// start no server runs, which [Embedded.Frozen] reports.
func (e *Embedded) restart(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || ctx.Err() != nil {
		return errors.New("the store is being closed")
	}
	shutDown(e.server.Load())
	// The new server would read back what the old one wrote and could not sync, and acknowledge
	// a sender's retry of it as a duplicate.
	if err := datafolder.SyncFileSystem(e.storeDir); err != nil {
		return err
	}
	return e.start(ctx)
}
