package main

import (
	"context"
	"io"
	"net"
	"sync"
)

// proxy passes TCP connections on to one address, until it is told to break them.
// It is safe for concurrent use.
type proxy struct {
	listener net.Listener
	target   string
	stop     context.CancelFunc

	mu    sync.Mutex
	mode  proxyMode
	links map[*link]bool
	done  sync.WaitGroup
}

type proxyMode int

const (
	passing proxyMode = iota
	// cut: connections are closed, and new ones at once.
	cut
	// swallowing: connections stay open, and nothing comes through. Those that
	// are open now stay so for ever, as when the other side has lost its power.
	swallowing
)

// link is one connection and its other half.
type link struct {
	in, out net.Conn // out is nil for one that was begun while swallowing
	dead    bool
}

func newProxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	p := &proxy{listener: listener, target: target, stop: stop, links: map[*link]bool{}}
	p.done.Go(func() { p.accept(ctx) })
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// close ends all connections.
func (p *proxy) close() error {
	p.stop()
	err := p.listener.Close()
	p.set(cut)
	p.done.Wait()
	return err
}

// set changes what becomes of connections.
func (p *proxy) set(mode proxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
	for l := range p.links {
		switch mode {
		case cut:
			l.close()
		case swallowing:
			l.dead = true
		case passing:
		}
	}
}

func (l *link) close() {
	_ = l.in.Close()
	if l.out != nil {
		_ = l.out.Close()
	}
}

func (p *proxy) accept(ctx context.Context) {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(ctx, in) })
	}
}

func (p *proxy) serve(ctx context.Context, in net.Conn) {
	l := &link{in: in}
	p.mu.Lock()
	mode := p.mode
	l.dead = mode == swallowing
	p.links[l] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		l.close()
		delete(p.links, l)
	}()
	switch mode {
	case cut:
		return
	case swallowing:
		_, _ = io.Copy(io.Discard, in) // until somebody closes it
		return
	case passing:
	}
	var dialer net.Dialer
	out, err := dialer.DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	p.mu.Lock()
	l.out = out
	gone := p.mode == cut
	p.mu.Unlock()
	if gone {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { p.pass(l, in, out) })
	p.pass(l, out, in)
	back.Wait()
}

// pass copies until one of them is closed, and then closes the other, unless the
// link is dead: then nobody is told.
func (p *proxy) pass(l *link, to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		dead := l.dead
		p.mu.Unlock()
		if n > 0 && !dead {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			if dead {
				return
			}
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}
