// Package sdnotify tells the service manager that started this process how the process does, as
// systemd asks for with Type=notify and WatchdogSec: sd_notify(3), without a library.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// variables are what a service manager says of itself.
var variables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

// Manager is the service manager of this process. It is safe for concurrent use.
type Manager struct {
	address string
	// Watchdog is how often the manager must be told WATCHDOG=1; zero: it does not ask for that.
	Watchdog time.Duration
}

// Take returns the service manager that getenv's variables name, nil when there is none. No
// process that this one starts inherits the variables. Call Take once, before anything starts a
// process.
func Take(getenv func(name string) (string, bool)) (*Manager, error) {
	address, _ := getenv("NOTIFY_SOCKET")
	every, _ := getenv("WATCHDOG_USEC")
	pid, _ := getenv("WATCHDOG_PID")
	for _, name := range variables {
		_ = os.Unsetenv(name) // the name is valid, which is all that can be wrong
	}
	if address == "" {
		return nil, nil //nolint:nilnil // nobody started this process, or nobody who asks
	}
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q and must be the path of a socket: let systemd set it, or unset it", address)
	}
	m := &Manager{address: address}
	if every == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return m, nil
	}
	usec, err := strconv.ParseInt(every, 10, 64)
	if err != nil || usec <= 0 {
		return nil, fmt.Errorf("WATCHDOG_USEC is %q and must be a number of microseconds: let systemd set it, or unset it", every)
	}
	m.Watchdog = time.Duration(usec) * time.Microsecond
	return m, nil
}

// Tell sends assignments such as READY=1, each on a line of its own, to the service manager.
func (m *Manager) Tell(assignments ...string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	for i, a := range assignments {
		assignments[i] = strings.ReplaceAll(a, "\n", " ")
	}
	_, err = conn.Write([]byte(strings.Join(assignments, "\n")))
	if closed := conn.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}

// Now is the assignment MONOTONIC_USEC, which Type=notify-reload wants beside RELOADING=1.
func Now() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "MONOTONIC_USEC=0"
	}
	return "MONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}
