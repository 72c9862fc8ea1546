package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/sdnotify"
)

const (
	// tellEvery is how often the service manager is told of a changed state, unless its watchdog
	// asks more often.
	tellEvery = 10 * time.Second
	// beatsPerWatchdog is how many beats may fail until the service manager acts.
	beatsPerWatchdog = 3
	// maxStatus bounds what the service manager is told, in bytes.
	maxStatus = 1 << 10
)

// tell tells the service manager how this process does.
func (a *App) tell(assignments ...string) {
	if a.opts.Notify == nil {
		return
	}
	if err := a.opts.Notify(assignments...); err != nil {
		a.log.Warn("the service manager does not know how this process does", zap.Error(err))
	}
}

// tellReady tells the service manager that every part runs, and then keeps telling it.
func (a *App) tellReady() {
	if a.opts.Notify == nil {
		return
	}
	last := a.statusLine()
	a.tell("READY=1", last)
	a.group.Go(func() error { a.keepTelling(last); return nil })
}

// keepTelling tells the service manager of a changed state, and that the process is alive: when
// each of its listeners has answered. A process whose listeners do not answer is started anew by
// the manager.
func (a *App) keepTelling(last string) {
	every := tellEvery
	if a.opts.Watchdog > 0 {
		every = min(every, a.opts.Watchdog/beatsPerWatchdog)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if a.opts.Watchdog > 0 {
			if err := a.answers(every); err == nil {
				a.tell("WATCHDOG=1")
			} else if a.ctx.Err() == nil {
				a.log.Warn("the watchdog is not told that this process is alive", zap.Error(err))
			}
		}
		select {
		case <-a.ctx.Done():
			return
		case <-tick.C:
		}
		if now := a.statusLine(); now != last && a.ctx.Err() == nil {
			a.tell(now)
			last = now
		}
	}
}

// statusLine is what systemctl status shows.
func (a *App) statusLine() string {
	if reasons := a.checks.Reasons(); len(reasons) > 0 {
		text := "STATUS=not ready: " + strings.Join(reasons, "; ")
		return text[:min(len(text), maxStatus)]
	}
	return "STATUS=ready"
}

// answers returns nil when each listener of this process has answered within the time.
func (a *App) answers(within time.Duration) error {
	ctx, cancel := context.WithTimeout(a.ctx, within)
	defer cancel()
	for address, path := range map[string]string{a.webhooksURL(): "/", a.Ready().Admin: "/livez"} {
		if address == "" {
			continue // the process does not have that one
		}
		if err := answers(ctx, address, path); err != nil {
			return fmt.Errorf("asking %s%s: %w", address, path, err)
		}
	}
	return nil
}

// answers returns nil when a server at the address answers anything, or ends the connection, as it
// does when it has too many: that too is an answer of a process that works.
func answers(ctx context.Context, address, path string) error {
	at, err := url.Parse(address)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	if at.Scheme == "https" {
		// Whether the process answers is the question, and not who it is.
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // see above
	}
	_, err = conn.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: " + at.Host + "\r\nConnection: close\r\n\r\n"))
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("no answer")
	}
	return nil
}

// reloading tells the service manager that the configuration is read again, until the function
// that it returns is called.
func (a *App) reloading() (done func()) {
	a.tell("RELOADING=1", sdnotify.Now())
	return func() { a.tell("READY=1", a.statusLine()) }
}
