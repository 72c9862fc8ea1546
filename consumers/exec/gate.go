package exec

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// gateEvery is how often a closed gate looks for the command.
	gateEvery = 2 * time.Second
	// alarmEvery is how often the alarm is raised meanwhile.
	alarmEvery = time.Minute
)

type gate struct {
	path   string
	name   string // of the consumer
	alarms bridge.Alarmer
	every  time.Duration

	// mu guards the fields below.
	mu    sync.Mutex
	until time.Time // the gate stays closed until then, even with a usable file
	said  time.Time // when the alarm was raised last
	since time.Time // when the gate was closed; zero: it is open
	why   error
}

func (g *gate) wait(ctx context.Context) {
	for ctx.Err() == nil {
		err := executable(g.path)
		if err != nil {
			err = fmt.Errorf("the command cannot be started: %w: install it, the events wait for it", err)
			g.alarm(err)
		}
		delay := g.closedFor()
		if err == nil && delay <= 0 {
			g.open()
			return
		}
		g.shut(err)
		backoff.Sleep(ctx, max(delay, g.every))
	}
}

func (g *gate) close(err error, d time.Duration) {
	g.mu.Lock()
	g.until = time.Now().Add(d)
	g.note(err)
	g.mu.Unlock()
	g.alarm(err)
}

// shut notes that the gate is closed because of err; with nil the reason noted last stays.
func (g *gate) shut(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.note(err)
}

// note is shut for a caller that holds mu.
func (g *gate) note(err error) {
	if g.since.IsZero() {
		g.since = time.Now()
	}
	if err != nil {
		g.why = err
	}
}

func (g *gate) open() {
	g.mu.Lock()
	closed := !g.since.IsZero()
	g.since, g.said = time.Time{}, time.Time{}
	g.mu.Unlock()
	if closed {
		g.alarms.Raise(bridge.Alarm{Kind: bridge.AlarmCommand, Subject: g.name, Text: g.over(), Cleared: true})
	}
}

func (g *gate) over() string { return "consumer " + g.name + ": the command can be started" }

// blocked returns since when the gate has been closed and why; the zero time while it is open.
func (g *gate) blocked() (time.Time, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.since.IsZero() {
		return time.Time{}, ""
	}
	return g.since, g.why.Error()
}

func (g *gate) closedFor() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.until)
}

func (g *gate) alarm(err error) {
	g.mu.Lock()
	due := time.Since(g.said) >= alarmEvery
	if due {
		g.said = time.Now()
	}
	g.mu.Unlock()
	if due {
		g.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmCommand, Subject: g.name, Text: fmt.Sprintf("consumer %s: %v", g.name, err), Over: g.over(),
			Details: map[string]any{"consumer": g.name, "command": g.path},
		})
	}
}

// CheckInstalled returns an error unless the program of a command is a file that this user may
// execute. A [Runner] waits until it is.
func CheckInstalled(command []string) error { return executable(command[0]) }

// executable returns an error unless path is a file that this user may execute.
func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return &os.PathError{Op: "execute", Path: path, Err: err}
	}
	return nil
}
