package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsVerb has this program be a NATS server: one to be killed, frozen and cut off
// must be a process of its own, and this way it is the version that Hookspan has.
const natsVerb = "nats-server"

// serveNATS runs a server with the configuration file that args name until ctx
// ends. It says on stdout when it is ready.
func serveNATS(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := func() error {
		if len(args) != 1 {
			return fmt.Errorf("use: %s FILE", natsVerb)
		}
		opts, err := server.ProcessConfigFile(args[0])
		if err != nil {
			return err
		}
		opts.NoSigs = true
		s, err := server.NewServer(opts)
		if err != nil {
			return err
		}
		s.ConfigureLogger()
		s.Start()
		defer s.WaitForShutdown()
		defer s.Shutdown()
		if !s.ReadyForConnections(startTimeout) {
			return fmt.Errorf("it is not ready after %v", startTimeout)
		}
		if _, err := fmt.Fprintln(stdout, `{"ready":true}`); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}()
	if err != nil {
		_, _ = fmt.Fprintln(stderr, natsVerb+":", err)
		return exitWrong
	}
	return exitRight
}

// node is a NATS server as a process, which can be started again as what it was.
type node struct {
	*process
	lab    *lab
	name   string
	config string
	store  string
	port   int
	http   int // port of its monitoring
}

// natsConfig is a server's configuration; the holes are its name, its port, that
// of its monitoring, its folder, and what is added for a cluster.
const natsConfig = `server_name: %s
listen: 127.0.0.1:%d
http: 127.0.0.1:%d
jetstream { store_dir: %q, sync_interval: always, max_file_store: 64GB }
log_file: %q
%s
`

// newNode writes the configuration of a server that is not started yet.
func (l *lab) newNode(name, more string) (*node, error) {
	n := &node{lab: l, name: name, config: l.path(name + ".conf"), store: l.path(name)}
	var err error
	if n.port, err = freePort(); err != nil {
		return nil, err
	}
	if n.http, err = freePort(); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(natsConfig, name, n.port, n.http, n.store, l.path(name+".log"), more)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration of NATS: %w", err)
	}
	l.onClose(func() error {
		if n.process != nil {
			n.kill()
		}
		return nil
	})
	return n, nil
}

// start runs the server, for the first time or again.
func (n *node) start(ctx context.Context) error {
	var ready struct{}
	p, err := startProcess(ctx, &ready, filepath.Join(n.lab.dir, n.name+".err"), nil, n.lab.self, natsVerb, n.config)
	if err != nil {
		return err
	}
	n.process = p
	return nil
}

func (n *node) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.port) }

// startNATS runs one server.
func (l *lab) startNATS(ctx context.Context) (*node, error) {
	n, err := l.newNode("nats", "")
	if err != nil {
		return nil, err
	}
	return n, n.start(ctx)
}

// connect reaches the server, with some patience for one that has just started.
func (n *node) connect() (*nats.Conn, error) { return connectNATS(n.url()) }

func connectNATS(url string) (*nats.Conn, error) {
	return nats.Connect(url, nats.Name("hookspan-chaos"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
}

// serves reports whether the bridge's connection that publishes is with this
// server.
func (n *node) serves(ctx context.Context) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/connz", n.http), nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, fmt.Errorf("asking a NATS server who is connected: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var connz server.Connz
	if err := json.NewDecoder(response.Body).Decode(&connz); err != nil {
		return false, fmt.Errorf("asking a NATS server who is connected: %w", err)
	}
	for _, c := range connz.Conns {
		if strings.HasPrefix(c.Name, "hookspan-ingress") {
			return true, nil
		}
	}
	return false, nil
}
