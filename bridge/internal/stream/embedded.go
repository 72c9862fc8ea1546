package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream/durablerepair"
	"github.com/hookspan/hookspan/internal/streams"
)

const (
	startTimeout = 30 * time.Second
	maxMemory    = 64 << 20 // for streams in memory; there are none
	// maxStore is no limit, since each stream has its own. A sum below what the streams of an
	// earlier configuration were granted would keep the server from making them smaller. The
	// server's default is a share of the disk space that is free at start.
	maxStore = 1 << 50
)

// EmbeddedConfig of the server inside this process.
type EmbeddedConfig struct {
	// Listen is the address for other programs. If empty, only this process can connect.
	Listen string
	// FreePort: take a free port if that of Listen is taken, which is an error otherwise.
	FreePort bool
	Names    bridge.Names
	// Consumers are the names of this process's durables, which user "app" may not touch.
	Consumers []string
	// Pull are those of them that a program of their own reads, as [PullUser].
	Pull []string
	// Streams is the configuration of the streams to be provisioned.
	Streams streams.Config
	// Alarms is told of programs that exceed their limits; nil tells nobody.
	Alarms bridge.Alarmer
	// Position returns the first sequence of a stream that a durable may still need, as last
	// seen; false if unknown. A durable with a damaged state restarts there. If unknown, or if
	// Position is nil, the durable restarts where its configuration says that it began.
	Position func(stream, durable string) (uint64, bool)
	// Unsynced: nothing that is written counts before [Embedded.Close], which syncs everything.
	Unsynced bool
}

// Embedded is a NATS server with JetStream inside this process. It syncs a write before it
// acknowledges it, unless it is Unsynced.
type Embedded struct {
	server    atomic.Pointer[server.Server]
	log       *zap.Logger
	serverLog *serverLog
	password  string
	url       string
	bytes     int64 // limit of all streams together

	accounts string // in the server's configuration language
	storeDir string
	unsynced bool
	durables *durablerepair.Repairer
	guard    *guard // nil without other programs

	mu     sync.Mutex // held during starts and shutdowns
	host   string
	port   int // of clients, once known; meaningless with DontListen
	listen bool
	closed bool
}

// StartEmbedded starts the server in the folder's "nats" part and returns when it is ready. The
// folder must stay open until [Embedded.Close] has returned.
func StartEmbedded(folder *datafolder.Folder, cfg EmbeddedConfig, log *zap.Logger) (*Embedded, error) {
	appPassword, err := folder.Secret(AppUser)
	if err != nil {
		return nil, err
	}
	e := &Embedded{
		log: log, serverLog: newServerLog(log.Named("nats")), password: rand.Text(), bytes: cfg.Streams.StoreBytes(), storeDir: folder.Path(datafolder.NATSPart),
		unsynced: cfg.Unsynced,
	}
	e.repairDurables(folder.Memory("durables.json"), cfg.Position)
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

// startSpoolServer starts the server of an earlier version's spool, which only this process can
// enter.
func startSpoolServer(ctx context.Context, folder *datafolder.Folder, log *zap.Logger) (*Embedded, error) {
	e := &Embedded{
		log: log, serverLog: newServerLog(log.Named("nats")), password: rand.Text(), storeDir: folder.Path(datafolder.SpoolPart),
	}
	e.repairDurables(nil, nil)
	var err error
	if e.accounts, err = ownAccountAlone(e.password); err != nil {
		return nil, err
	}
	if err := e.start(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Embedded) repairDurables(memory *datafolder.Memory, position func(stream, durable string) (uint64, bool)) {
	e.durables = durablerepair.New(durablerepair.Config{
		Streams: filepath.Join(e.storeDir, server.JetStreamStoreDir, ownAccount, "streams"), Damaged: filepath.Join(e.storeDir, "damaged"),
		Account: ownAccount, Memory: memory, Position: position, Log: e.log,
		Connect: func() (*nats.Conn, error) { return e.Connect("hookspan-durables", zap.NewNop()) },
	})
}

// options returns new options for one server.
func (e *Embedded) options() (*server.Options, error) {
	opts := &server.Options{}
	if err := opts.ProcessConfigString(e.accounts); err != nil {
		return nil, fmt.Errorf("configuring the accounts of the embedded NATS server: %w", err)
	}
	opts.ServerName = "hookspan"
	opts.JetStream = true
	opts.StoreDir = e.storeDir
	opts.SyncAlways = !e.unsynced
	opts.JetStreamMaxStore = maxStore
	opts.JetStreamMaxMemory = maxMemory
	opts.MaxPayload = streams.MaxPayload
	// Publishing webhooks must not wait for slow readers; the server disconnects those.
	opts.NoFastProducerStall = true
	opts.NoSigs = true
	opts.DisableJetStreamBanner = true
	opts.Host, opts.Port, opts.DontListen = e.host, e.port, !e.listen
	return opts, nil
}

// start makes a server the current one and returns when it is ready and [durablerepair] has
// checked its durables. It shuts down a server that fails to start.
func (e *Embedded) start(ctx context.Context) error {
	if err := e.durables.Examine(); err != nil {
		return fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	s, err := e.newServer()
	if err != nil {
		return err
	}
	again, err := e.durables.Distrust(s, shutDown)
	if err != nil {
		shutDown(s)
		return fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	if again {
		if s, err = e.newServer(); err != nil {
			return err
		}
	}
	e.server.Store(s)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := e.durables.Settle(ctx, s); err != nil {
		e.log.Error("the durables could not be looked after, trying again", zap.Error(err))
	}
	return nil
}

func (e *Embedded) newServer() (*server.Server, error) {
	opts, err := e.options()
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("configuring the embedded NATS server: %w", err)
	}
	e.serverLog.forget()
	s.SetLoggerV2(e.serverLog, false, false, false)
	s.Start()
	if err := e.waitReady(s); err != nil {
		shutDown(s)
		return nil, fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	if addr, ok := s.Addr().(*net.TCPAddr); ok && e.listen {
		e.port = addr.Port // kept for the next server
	}
	return s, nil
}

// shutDown returns when all data are on the disk.
func shutDown(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// RestoreDurables restores the durables of streams that were provisioned after the start of the
// server, and records which durables there are. It raises an alarm for each damaged durable. It
// must be called after each provisioning, and costs little when nothing is to do.
func (e *Embedded) RestoreDurables(ctx context.Context, alarms bridge.Alarmer) error {
	defer e.durables.Raise(alarms)
	e.mu.Lock() // keeps the server from being replaced
	defer e.mu.Unlock()
	return e.durables.Settle(ctx, e.server.Load())
}

// waitReady returns early, with the reason, when the server fails to start.
func (e *Embedded) waitReady(s *server.Server) error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if s.ReadyForConnections(100 * time.Millisecond) {
			if !s.JetStreamEnabled() {
				return errors.Join(errors.New("JetStream is not enabled"), e.serverLog.fatal())
			}
			return nil
		}
		if err := e.serverLog.fatal(); err != nil {
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

// InProcessConn implements nats.InProcessConnProvider, for the server that runs now.
func (e *Embedded) InProcessConn() (net.Conn, error) { return e.server.Load().InProcessConn() }

// Connect returns a connection of this process to the server. name is for the server's
// monitoring.
func (e *Embedded) Connect(name string, log *zap.Logger) (*nats.Conn, error) {
	nc, err := nats.Connect("", append(connOptions(name, "", log), nats.InProcessServer(e), nats.UserInfo(ownUser, e.password))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the embedded NATS server: %w", err)
	}
	return nc, nil
}

// Close stops the server and returns when all data are on the disk.
func (e *Embedded) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		if e.guard != nil {
			e.guard.close()
		}
		// So that the next start does not restore a durable that was removed.
		if err := e.durables.Remember(e.server.Load()); err != nil {
			e.log.Warn("the durables could not be remembered", zap.Error(err))
		}
	}
	e.closed = true
	shutDown(e.server.Load())
	if e.unsynced {
		if err := datafolder.SyncFileSystem(e.storeDir); err != nil {
			e.log.Error("the store could not be synced", zap.Error(err))
		}
	}
}

// StoreBytes is how much the store may still grow: the limits of its streams less their size.
// Other users of the disk need it.
func (e *Embedded) StoreBytes() (int64, error) {
	info, err := e.server.Load().Jsz(&server.JSzOptions{})
	if err != nil {
		return 0, fmt.Errorf("reading the state of the embedded NATS server: %w", err)
	}
	return max(0, e.bytes-int64(info.Store)), nil
}
