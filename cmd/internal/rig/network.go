package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/internal/freeport"
)

// FreePort returns a port below those that the kernel gives to connections: a client that
// tries such a port while nobody listens could connect to itself.
func FreePort() int { return Must(freeport.Next()) }

// Hold listens on an address for processes that have the socket as [Command.Socket], until
// the rig is closed. Between two of them connections wait.
func (r *Rig) Hold(addr string) *os.File {
	listener := Must(new(net.ListenConfig).Listen(r.ctx, "tcp", addr))
	file := Must(listener.(*net.TCPListener).File())
	r.OnClose(func() error { return errors.Join(file.Close(), listener.Close()) })
	return file
}

// passed are the words and the environment by which a command knows the socket that it
// inherits, as from systemd. Only the process itself knows its number, so a shell says it.
func passed(args, env []string) (words, environment []string) {
	return append([]string{"/bin/sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`}, args...), append(env, "LISTEN_FDS=1", "LISTEN_FDNAMES=webhooks")
}

// Get asks for an address, and returns the body of the answer, which must be 200.
func (r *Rig) Get(address string) []byte {
	response, err := http.DefaultClient.Do(Must(http.NewRequestWithContext(r.ctx, http.MethodGet, address, nil)))
	Check(err)
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		Check(fmt.Errorf("asking for %s: %s", address, response.Status))
	}
	return Must(io.ReadAll(response.Body))
}

// Serve serves HTTP on a free port until the rig is closed, and returns the base address.
func (r *Rig) Serve(h http.Handler) (base string) { return r.ServeAt("127.0.0.1:0", h) }

// ServeAt serves HTTP at an address.
func (r *Rig) ServeAt(addr string, h http.Handler) (base string) {
	listener := Must(new(net.ListenConfig).Listen(r.ctx, "tcp", addr))
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	r.OnClose(func() error {
		err := server.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	})
	return "http://" + listener.Addr().String()
}

// Proxy passes TCP connections on to one address, until it is told to break them. It is safe for
// concurrent use.
type Proxy struct {
	Addr   string // where it listens
	target string

	mu    sync.Mutex
	mode  ProxyMode
	links map[*link]bool
	done  sync.WaitGroup
}

// ProxyMode is what becomes of connections.
type ProxyMode int

const (
	// Passing passes them on.
	Passing ProxyMode = iota
	// Cut closes them, and new ones at once.
	Cut
	// Swallowing leaves them open, and nothing comes through. Those that are open now
	// stay so for ever, as when the other side has lost its power.
	Swallowing
)

type link struct {
	in, out net.Conn // out is nil for one that was begun while swallowing
	dead    atomic.Bool
}

// StartProxy listens on a free port until the rig is closed.
func (r *Rig) StartProxy(target string) *Proxy {
	listener := Must(new(net.ListenConfig).Listen(r.ctx, "tcp", "127.0.0.1:0"))
	ctx, stop := context.WithCancel(r.ctx)
	p := &Proxy{Addr: listener.Addr().String(), target: target, links: map[*link]bool{}}
	p.done.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			p.done.Go(func() { p.serve(ctx, in) })
		}
	})
	r.OnClose(func() error {
		stop()
		err := listener.Close()
		p.Set(Cut)
		p.done.Wait()
		return err
	})
	return p
}

// Set changes what becomes of connections.
func (p *Proxy) Set(mode ProxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
	for l := range p.links {
		switch mode {
		case Cut:
			l.close()
		case Swallowing:
			l.dead.Store(true)
		case Passing:
		}
	}
}

func (l *link) close() {
	_ = l.in.Close()
	if l.out != nil {
		_ = l.out.Close()
	}
}

func (p *Proxy) serve(ctx context.Context, in net.Conn) {
	l := &link{in: in}
	p.mu.Lock()
	mode := p.mode
	l.dead.Store(mode == Swallowing)
	p.links[l] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		l.close()
		delete(p.links, l)
	}()
	switch mode {
	case Cut:
		return
	case Swallowing:
		_, _ = io.Copy(io.Discard, in) // until somebody closes it
		return
	case Passing:
	}
	out, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	p.mu.Lock()
	l.out = out
	gone := p.mode == Cut
	p.mu.Unlock()
	if gone {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { l.pass(in, out) })
	l.pass(out, in)
	back.Wait()
}

// pass copies until one of the connections is closed, and then closes the other, unless
// the link is dead: then nobody is told.
func (l *link) pass(to, from net.Conn) {
	_, _ = io.Copy(swallower{l, to}, from) // either way there is nothing more to pass
	if !l.dead.Load() {
		_ = to.Close()
		_ = from.Close()
	}
}

// swallower passes nothing on once its link is dead.
type swallower struct {
	*link
	to net.Conn
}

func (s swallower) Write(b []byte) (int, error) {
	if s.dead.Load() {
		return len(b), nil
	}
	return s.to.Write(b)
}
