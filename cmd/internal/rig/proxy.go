package rig

import (
	"context"
	"io"
	"net"
	"sync"
)

// Proxy passes TCP connections on to one address, until it is told to break them. It is safe for
// concurrent use.
type Proxy struct {
	// Addr is where it listens.
	Addr   string
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

// link is one connection and its other half.
type link struct {
	in, out net.Conn // out is nil for one that was begun while swallowing
	dead    bool
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
			l.dead = true
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
	l.dead = mode == Swallowing
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
	back.Go(func() { p.pass(l, in, out) })
	p.pass(l, out, in)
	back.Wait()
}

// pass copies until one of them is closed, and then closes the other, unless the link is
// dead: then nobody is told.
func (p *Proxy) pass(l *link, to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		dead := l.dead
		p.mu.Unlock()
		switch {
		case dead && err != nil:
			return
		case dead:
			continue
		}
		_, failed := to.Write(buf[:n])
		if err != nil || failed != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}
