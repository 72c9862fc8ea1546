package natstest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/freeport"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// External is a NATS server as an operator runs it: reached by TCP, and stopped and started
// while the bridge runs.
type External struct {
	t    testing.TB
	opts *server.Options
	s    *server.Server

	// Log has what the server logs. A test that fails shows what it warns of, unless it is set to
	// another before Start.
	Log server.Logger
}

// NewExternal returns a server that is not running, on a free port and in its own folder.
// change may be nil.
func NewExternal(t testing.TB, change func(*server.Options)) *External {
	t.Helper()
	warnings := &said{}
	x := &External{t: t, Log: warnings, opts: &server.Options{
		Host: "127.0.0.1", Port: FreePort(t), JetStream: true, StoreDir: t.TempDir(),
		NoSigs: true, NoLog: true, SyncAlways: true,
	}}
	if change != nil {
		change(x.opts)
	}
	t.Cleanup(func() {
		x.Stop()
		if text := warnings.String(); t.Failed() && text != "" {
			t.Logf("the NATS server %s %s has said:\n%s", x.opts.ServerName, x.URL(), text)
		}
	})
	return x
}

// FreePort returns an unused port of 127.0.0.1, for a server that starts later. See [freeport.Next].
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freeport.Next()
	require.NoError(t, err)
	return port
}

// URL is the address of the server.
func (x *External) URL() string {
	return "nats://" + net.JoinHostPort(x.opts.Host, (&net.TCPAddr{Port: x.opts.Port}).String()[1:])
}

// Change changes the options of a stopped server.
func (x *External) Change(change func(*server.Options)) { change(x.opts) }

// InProcess connects to the running server without TCP.
func (x *External) InProcess() nats.Option { return nats.InProcessServer(x.s) }

// Start starts the server.
func (x *External) Start() {
	x.t.Helper()
	var err error
	x.s, err = server.NewServer(x.opts.Clone())
	require.NoError(x.t, err)
	x.s.SetLoggerV2(x.Log, x.opts.Debug, x.opts.Trace, false)
	x.s.Start()
	require.True(x.t, x.s.ReadyForConnections(patience))
}

// Stop stops the server; its data stay.
func (x *External) Stop() {
	if x.s != nil {
		x.s.Shutdown()
		x.s.WaitForShutdown()
		x.s = nil
	}
}

// Reload changes the options of the running server and of later ones, as a reload of its
// configuration file does.
func (x *External) Reload(change func(*server.Options)) {
	x.t.Helper()
	change(x.opts)
	require.NoError(x.t, x.s.ReloadOptions(x.opts.Clone()))
}

// Disconnect closes the connections of all clients.
func (x *External) Disconnect() {
	x.t.Helper()
	clients, err := x.s.Connz(&server.ConnzOptions{})
	require.NoError(x.t, err)
	for _, c := range clients.Conns {
		_ = x.s.DisconnectClientByID(c.Cid) // or it is gone already
	}
}

// Refused counts the connections that the running server has refused, of the last 10,000 that
// have ended.
func (x *External) Refused() (n int) {
	x.t.Helper()
	ended, err := x.s.Connz(&server.ConnzOptions{State: server.ConnClosed, Limit: server.DEFAULT_MAX_CLOSED_CLIENTS})
	require.NoError(x.t, err)
	for _, c := range ended.Conns {
		if c.Reason == server.AuthenticationViolation.String() {
			n++
		}
	}
	return n
}

// Received counts the messages that the running server has had of its clients, requests too.
func (x *External) Received() int64 {
	x.t.Helper()
	all, err := x.s.Varz(&server.VarzOptions{})
	require.NoError(x.t, err)
	return all.InMsgs
}

// JetStream returns a connection of the test's own.
func (x *External) JetStream(opts ...nats.Option) jetstream.JetStream {
	x.t.Helper()
	nc, err := nats.Connect(x.URL(), append([]nats.Option{nats.Timeout(patience)}, opts...)...)
	require.NoError(x.t, err)
	x.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(x.t, err)
	return js
}

// Proxy stands between clients and a server and can go silent, as a network that loses packets:
// connections stay, bytes are swallowed.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	silent bool
	// version is what the server claims to be, empty for what it is.
	version string
	conns   map[net.Conn]bool // true: to a client
	done    sync.WaitGroup
}

// NewProxy returns a proxy to the server.
func NewProxy(t testing.TB, x *External) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{listener: l, target: x.URL()[len("nats://"):], conns: map[net.Conn]bool{}}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.done.Wait()
	})
	return p
}

// URL is the address for clients.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Silence begins or ends swallowing every byte.
func (p *Proxy) Silence(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = on
}

// Refuse sends clients an error of the server, such as "Maximum Payload Violation", after which
// the server closes a connection. A real server may close it before the error is out.
func (p *Proxy) Refuse(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, client := range p.conns {
		if client {
			_, _ = c.Write([]byte("-ERR '" + text + "'\r\n"))
		}
	}
}

// Pretend has the server tell new clients that it has another version, which needs as many letters
// as its own.
func (p *Proxy) Pretend(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version = version
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target) //nolint:noctx // it is on this machine
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, false
		p.mu.Unlock()
		p.done.Go(func() { p.copy(in, out) })
		p.done.Go(func() { p.copy(out, in) })
	}
}

func (p *Proxy) copy(to, from net.Conn) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		silent, version := p.silent, p.version
		p.mu.Unlock()
		if n > 0 && !silent {
			b := buf[:n]
			if version != "" {
				b = bytes.Replace(b, []byte(`"version":"`+server.VERSION+`"`), []byte(`"version":"`+version+`"`), 1)
			}
			if _, err := to.Write(b); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
