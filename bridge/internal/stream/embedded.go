package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streams"
)

const (
	startTimeout = 30 * time.Second
	maxMemory    = 64 << 20 // for streams in memory, of which we have none
	// maxStore is no limit: each stream has one of its own, and a sum below what
	// the streams of an earlier configuration were granted would keep the server
	// from making them smaller. Left to itself it would be a share of whatever
	// the disk has free at start.
	maxStore = 1 << 50
)

// EmbeddedConfig of the server inside this process.
type EmbeddedConfig struct {
	// Listen is the address for other programs. Empty lets nobody but this process
	// connect.
	Listen string
	// FreePort takes a free port when that of Listen is taken, which is an error otherwise.
	FreePort bool
	Names    bridge.Names
	// Consumers are the names of the durables that belong to this process, which
	// user "app" may not touch.
	Consumers []string
	// Pull are those of them that a program of their own reads, as [PullUser].
	Pull []string
	// Streams are what will be provisioned.
	Streams streams.Config
	// Alarms is told of programs of others that want more than they may; nil tells nobody.
	Alarms bridge.Alarmer
	// Position is the first sequence of a stream that a durable may still need, as it
	// was seen last; false when that is unknown. A durable whose state is damaged
	// begins there. Nil knows nothing; then it begins where its configuration says
	// that it began at first.
	Position func(stream, durable string) (uint64, bool)
}

// Embedded is a NATS server with JetStream inside this process. It syncs every
// write before it acknowledges it; that is no option.
type Embedded struct {
	server   atomic.Pointer[server.Server]
	log      *serverLog
	password string
	url      string
	bytes    int64 // what the streams may take together

	accounts string // in the server's own language
	storeDir string
	durables *durables
	guard    *guard // nil where nobody else connects

	mu     sync.Mutex // held while the server starts or ends
	host   string
	port   int // of clients, once it is known; meaningless with DontListen
	listen bool
	closed bool
}

// StartEmbedded starts the server on the folder's "nats" part and returns when
// it is ready. The folder must stay open until [Embedded.Close] has returned.
func StartEmbedded(folder *Folder, cfg EmbeddedConfig, log *zap.Logger) (*Embedded, error) {
	appPassword, err := folder.Secret(AppUser)
	if err != nil {
		return nil, err
	}
	e := &Embedded{
		log: newServerLog(log.Named("nats")), password: rand.Text(), bytes: cfg.Streams.StoreBytes(), storeDir: folder.path("nats"),
		durables: newDurables(folder, "nats", folder.Memory("durables.json"), cfg.Position, log),
	}
	pull := map[string]string{}
	for _, name := range cfg.Pull {
		if pull[name], err = folder.Secret(PullUser(name)); err != nil {
			return nil, err
		}
	}
	if e.accounts, err = accounts(cfg.Names, cfg.Consumers, e.password, appPassword, pull); err != nil {
		return nil, err
	}
	if err := e.listenOn(cfg.Listen, cfg.FreePort); err != nil {
		return nil, err
	}
	if err := e.start(context.Background()); err != nil {
		return nil, err
	}
	if e.listen {
		e.url = "nats://" + e.server.Load().Addr().String()
		e.guard = startGuard(e.server.Load, cfg.Alarms)
	}
	return e, nil
}

// startSpoolServer starts the server of a spool, which only this process enters.
func startSpoolServer(ctx context.Context, folder *Folder, maxBytes int64, log *zap.Logger) (*Embedded, error) {
	e := &Embedded{
		log: newServerLog(log.Named("nats")), password: rand.Text(), bytes: maxBytes, storeDir: folder.path(spoolFolder),
		durables: newDurables(folder, spoolFolder, nil, nil, log),
	}
	var err error
	if e.accounts, err = ownAccountAlone(e.password); err != nil {
		return nil, err
	}
	if err := e.start(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// options of a server; each one needs its own.
func (e *Embedded) options() (*server.Options, error) {
	opts := &server.Options{}
	if err := opts.ProcessConfigString(e.accounts); err != nil {
		return nil, fmt.Errorf("configuring the accounts of the embedded NATS server: %w", err)
	}
	opts.ServerName = "hookspan"
	opts.JetStream = true
	opts.StoreDir = e.storeDir
	opts.SyncAlways = true
	opts.JetStreamMaxStore = maxStore
	opts.JetStreamMaxMemory = maxMemory
	opts.MaxPayload = streams.MaxPayload
	// Webhooks do not wait for programs that read slowly: those are disconnected.
	opts.NoFastProducerStall = true
	opts.NoSigs = true
	opts.DisableJetStreamBanner = true
	opts.Host, opts.Port, opts.DontListen = e.host, e.port, !e.listen
	return opts, nil
}

// start makes a server the current one and returns when it is ready, with its durables
// as [durables] says. One that cannot start is shut down.
func (e *Embedded) start(ctx context.Context) error {
	if err := e.durables.examine(); err != nil {
		return fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	s, err := e.newServer()
	if err != nil {
		return err
	}
	now, err := lookAtStreams(s)
	if absurd := e.durables.absurd(now); err == nil && len(absurd) > 0 {
		shutDown(s)
		if err := e.durables.distrust(absurd); err != nil {
			return fmt.Errorf("starting the embedded NATS server: %w", err)
		}
		if s, err = e.newServer(); err == nil {
			now, err = lookAtStreams(s)
		}
	}
	if err != nil {
		if s != nil {
			shutDown(s)
		}
		return err
	}
	e.server.Store(s)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := e.durables.settle(ctx, now, e.connectToSettle); err != nil {
		e.durables.log.Error("the durables could not be looked after, trying again", zap.Error(err))
	}
	return nil
}

func (e *Embedded) connectToSettle() (*nats.Conn, error) {
	return e.Connect("hookspan-durables", zap.NewNop())
}

// newServer returns a server that is ready.
func (e *Embedded) newServer() (*server.Server, error) {
	opts, err := e.options()
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("configuring the embedded NATS server: %w", err)
	}
	e.log.forget()
	s.SetLoggerV2(e.log, false, false, false)
	s.Start()
	if err := e.waitReady(s); err != nil {
		shutDown(s)
		return nil, fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	if addr, ok := s.Addr().(*net.TCPAddr); ok && e.listen {
		e.port = addr.Port // the same one the next time
	}
	return s, nil
}

// shutDown returns when everything is on the disk.
func shutDown(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// RestoreDurables brings back the durables of streams that were provisioned since the
// server has started, which it does not know yet, and remembers which durables there
// are. It raises an alarm for each durable that was damaged. It is to be called after
// each provisioning, and costs little when there is nothing to do.
func (e *Embedded) RestoreDurables(ctx context.Context, alarms bridge.Alarmer) error {
	defer e.durables.raise(alarms)
	e.mu.Lock() // no other server takes its place meanwhile
	defer e.mu.Unlock()
	return e.settleDurables(ctx)
}

func (e *Embedded) settleDurables(ctx context.Context) error {
	now, err := e.streamsNow()
	if err != nil || now == nil {
		return err
	}
	return e.durables.settle(ctx, now, e.connectToSettle)
}

func (e *Embedded) rememberDurables() error {
	now, err := e.streamsNow()
	if err != nil || now == nil {
		return err
	}
	e.durables.mu.Lock()
	defer e.durables.mu.Unlock()
	return e.durables.remember(now)
}

// streamsNow is nil when the server does not run.
func (e *Embedded) streamsNow() (streamsNow, error) {
	s := e.server.Load()
	if e.closed || !s.Running() || !s.JetStreamEnabled() {
		return nil, nil
	}
	return lookAtStreams(s)
}

// waitReady returns the reason when the server cannot start, instead of waiting
// for what will not come.
func (e *Embedded) waitReady(s *server.Server) error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if s.ReadyForConnections(100 * time.Millisecond) {
			if !s.JetStreamEnabled() {
				return errors.Join(errors.New("JetStream is not enabled"), e.log.fatal())
			}
			return nil
		}
		if err := e.log.fatal(); err != nil {
			return err
		}
	}
	return fmt.Errorf("it is not ready after %v", startTimeout)
}

func (e *Embedded) listenOn(listen string, freePort bool) error {
	if listen == "" {
		return nil
	}
	e.listen = true
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("nats.listen: %w", err)
	}
	e.host = host
	if e.port, err = strconv.Atoi(port); err != nil || e.port < 0 || e.port > 65535 {
		return fmt.Errorf("nats.listen: %q is not a port", port)
	}
	if e.port == 0 {
		e.port = server.RANDOM_PORT
		return nil
	}
	probe, err := net.Listen("tcp", net.JoinHostPort(host, port))
	switch {
	case err == nil:
		return probe.Close()
	case freePort && errors.Is(err, syscall.EADDRINUSE):
		e.port = server.RANDOM_PORT
		return nil
	}
	return fmt.Errorf("listening for NATS clients: %w: free that address or choose another one with nats.listen", err)
}

// URL is where other programs connect, or "" when they cannot.
func (e *Embedded) URL() string { return e.url }

// InProcessConn makes Embedded what nats.InProcessServer asks for: always the
// server that runs now.
func (e *Embedded) InProcessConn() (net.Conn, error) { return e.server.Load().InProcessConn() }

// Connect returns a connection of this process to the server. Its name is for
// the server's monitoring.
func (e *Embedded) Connect(name string, log *zap.Logger) (*nats.Conn, error) {
	nc, err := nats.Connect("", append(connOptions(name, log), nats.InProcessServer(e), nats.UserInfo(ownUser, e.password))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the embedded NATS server: %w", err)
	}
	return nc, nil
}

// Close stops the server and returns when everything is on the disk.
func (e *Embedded) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		if e.guard != nil {
			e.guard.close()
		}
		// So that a durable that was removed is not missed at the next start.
		if err := e.rememberDurables(); err != nil {
			e.durables.log.Warn("the durables could not be remembered", zap.Error(err))
		}
	}
	e.closed = true
	shutDown(e.server.Load())
}

// StoreBytes is how much the store may still grow: what its limits grant less
// what it holds. It is for those who share the disk with it.
func (e *Embedded) StoreBytes() (int64, error) {
	info, err := e.server.Load().Jsz(&server.JSzOptions{})
	if err != nil {
		return 0, fmt.Errorf("reading the state of the embedded NATS server: %w", err)
	}
	return max(0, e.bytes-int64(info.Store)), nil
}
