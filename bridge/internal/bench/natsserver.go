package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsServer is a NATS server of its own process, which can be started again on
// the same addresses and folder.
type natsServer struct {
	name, dir, config string
	url               string
	slow              bool
	*process
}

// newServers plans n servers, a cluster if there are several. Their sync_interval is
// sync; slow has each fsync take longer.
func newServers(ctx context.Context, dir string, n int, sync string, slow bool) ([]*natsServer, error) {
	ports, err := freePorts(ctx, 2*n)
	if err != nil {
		return nil, err
	}
	routes := make([]string, n)
	for i := range routes {
		routes[i] = fmt.Sprintf("nats-route://127.0.0.1:%d", ports[n+i])
	}
	all := make([]*natsServer, n)
	for i := range all {
		s := &natsServer{name: fmt.Sprintf("nats-%d", i+1), url: fmt.Sprintf("nats://127.0.0.1:%d", ports[i]), slow: slow}
		s.dir = filepath.Join(dir, s.name)
		s.config = filepath.Join(s.dir, "nats.conf")
		text := fmt.Sprintf("server_name: %s\nlisten: \"127.0.0.1:%d\"\nmax_payload: 8MB\njetstream {store_dir: %q, sync_interval: %s}\n", s.name, ports[i], filepath.Join(s.dir, "data"), sync)
		if n > 1 {
			text += fmt.Sprintf("cluster {name: bench, listen: \"127.0.0.1:%d\", routes: [%s]}\n", ports[n+i], strings.Join(routes, ", "))
		}
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, fmt.Errorf("configuring a NATS server: %w", err)
		}
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("configuring a NATS server: %w", err)
		}
		all[i] = s
	}
	return all, nil
}

func (s *natsServer) start(ctx context.Context) (err error) {
	s.process, _, err = startMode(ctx, s.name, s.dir, modeNATS, s.config, s.slow)
	return err
}

// freePorts returns ports that nobody listened on just now.
func freePorts(ctx context.Context, n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of a TCP listener
	}
	return ports, nil
}

// connect returns a plain client of the servers.
func connect(urls string) (jetstream.JetStream, error) {
	nc, err := nats.Connect(urls, nats.MaxReconnects(-1))
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("using JetStream: %w", err)
	}
	return js, nil
}
