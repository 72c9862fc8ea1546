// Package activation takes the listening sockets that a parent passes to this process, as
// systemd does for a socket unit: sd_listen_fds(3).
package activation

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The names of the sockets, FileDescriptorName of a socket unit.
const (
	webhooks = "webhooks"
	admin    = "admin"
)

// firstFD is the descriptor of the first socket; the others follow it.
const firstFD = 3

// variables are what a parent says of the sockets.
var variables = []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}

// Sockets are the sockets that were passed, nil where there is none. The parent keeps them open,
// so connections wait in them while no process accepts.
type Sockets struct {
	Webhooks *net.TCPListener
	Admin    *net.TCPListener
}

// Take returns the sockets that were passed to this process. Getenv looks up the variables that
// say which. No process that this one starts inherits the sockets or those variables. An error
// says what the parent has to do otherwise; the sockets are then unusable. Call Take once,
// before anything starts a process.
func Take(getenv func(name string) (string, bool)) (Sockets, error) {
	names, err := passed(getenv, os.Getpid(), os.Getppid())
	for _, name := range variables {
		_ = os.Unsetenv(name) // the name is valid, which is all that can be wrong
	}
	if err != nil {
		return Sockets{}, fmt.Errorf("taking the sockets that were passed: %w", err)
	}
	var s Sockets
	for i := range names {
		unix.CloseOnExec(firstFD + i)
	}
	for i, name := range names {
		l, err := listener(firstFD+i, name)
		if err != nil {
			return Sockets{}, fmt.Errorf("taking the socket %s that was passed as descriptor %d: %w", name, firstFD+i, err)
		}
		if name == admin {
			s.Admin = l
		} else {
			s.Webhooks = l
		}
	}
	return s, nil
}

// passed returns the name of each socket that was passed to the process pid, none when there is
// none or they are for another process.
func passed(getenv func(string) (string, bool), pid, parent int) ([]string, error) {
	if owner, _ := getenv("LISTEN_PID"); owner != strconv.Itoa(pid) && (owner != "1" || parent != 1) {
		return nil, nil // for another process; process 1 of a container hands its sockets on
	}
	text, _ := getenv("LISTEN_FDS")
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0:
		return nil, fmt.Errorf("LISTEN_FDS is %q and must be a number: let systemd set it, or unset it", text)
	case n == 0:
		return nil, nil
	case n > 2:
		return nil, fmt.Errorf("%d sockets were passed: pass at most two, one named %s and one named %s", n, webhooks, admin)
	}
	text, _ = getenv("LISTEN_FDNAMES")
	names := strings.Split(text, ":")
	if len(names) != n && text != "" {
		return nil, fmt.Errorf("LISTEN_FDNAMES has %d names for %d sockets: let systemd set it", len(names), n)
	}
	if n == 1 && unnamed(names[0]) {
		return []string{webhooks}, nil
	}
	for i, name := range names {
		if name != webhooks && name != admin || slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("the sockets are named %q: name one %s and another one %s, with FileDescriptorName in a socket unit of its own", names, webhooks, admin)
		}
	}
	return names, nil
}

// unnamed reports whether nobody chose the name: systemd then says the name of the socket unit,
// or "unknown".
func unnamed(name string) bool {
	return name == "" || name == "unknown" || strings.HasSuffix(name, ".socket")
}

// listener takes over the descriptor when it is a listening TCP socket.
func listener(fd int, name string) (*net.TCPListener, error) {
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil {
		return nil, fmt.Errorf("it is no socket: %w", os.NewSyscallError("getsockopt", err))
	} else if listening == 0 {
		return nil, fmt.Errorf("it does not listen: pass a socket of ListenStream with Accept=no")
	}
	file := os.NewFile(uintptr(fd), name)
	l, err := net.FileListener(file)
	// The listener has a descriptor of its own.
	if closed := file.Close(); err == nil && closed != nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("it listens on %v: pass a TCP socket", l.Addr())
	}
	return tcp, nil
}
