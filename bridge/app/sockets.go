package app

import (
	"errors"
	"net"

	"go.uber.org/zap"
)

// keepSockets ends the sockets that were passed after every other part, also those that no part
// has taken.
func (a *App) keepSockets() {
	for name, socket := range map[string]*net.TCPListener{"socket for webhooks": a.opts.Webhooks, "socket for operators": a.opts.Admin} {
		if socket == nil {
			continue
		}
		a.onStop.add(name, func() error {
			if err := socket.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
}

// saySocket logs that a socket is used instead of the address of the key, once for each socket
// that was passed. Served is false when this process has no such listener.
func (a *App) saySocket(socket *net.TCPListener, key, address string, served bool) {
	switch {
	case socket == nil:
	case !served:
		a.log.Warn("a socket was passed for a listener that this process does not have, so connections to it wait in vain: do not pass it, or change roles or "+key,
			zap.Stringer("socket", socket.Addr()))
	case sameAddress(socket.Addr(), address):
		a.log.Info("listening on the socket that was passed", zap.Stringer("socket", socket.Addr()))
	default:
		a.log.Info("listening on the socket that was passed, not on the address of "+key,
			zap.Stringer("socket", socket.Addr()), zap.String(key, address))
	}
}

// sameAddress reports whether a socket that listens on address would be bound to bound.
func sameAddress(bound net.Addr, address string) bool {
	tcp, err := net.ResolveTCPAddr("tcp", address)
	have := bound.(*net.TCPAddr)
	if err != nil || tcp.Port != have.Port {
		return false
	}
	everywhere := len(tcp.IP) == 0 || tcp.IP.IsUnspecified()
	return everywhere && have.IP.IsUnspecified() || tcp.IP.Equal(have.IP)
}
