package rig

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATSConfig says how a NATS server runs.
type NATSConfig struct {
	Name string // default "nats"
	// Sync is sync_interval, default "always".
	Sync string
	Slow time.Duration
	// More is added to its configuration.
	More string
}

// NATS is a NATS server of Hookspan's version as a process of its own, which can be
// started again as what it was.
type NATS struct {
	*Process // nil before the first start
	Name     string
	URL      string
	// Store is the folder of its streams, Config its configuration file.
	Store, Config string

	rig     *Rig
	slow    time.Duration
	monitor string
}

const natsText = `server_name: %s
listen: 127.0.0.1:%d
http: 127.0.0.1:%d
max_payload: 8MB
jetstream { store_dir: %q, sync_interval: %s, max_file_store: 64GB }
%s
`

// NewNATS configures a server that is not started yet.
func (r *Rig) NewNATS(c NATSConfig) *NATS {
	name, port, monitor := cmp.Or(c.Name, "nats"), FreePort(), FreePort()
	n := &NATS{
		Name: name, URL: fmt.Sprintf("nats://127.0.0.1:%d", port), Store: r.Path(name), Config: r.Path(name + ".conf"),
		rig: r, slow: c.Slow, monitor: fmt.Sprintf("http://127.0.0.1:%d", monitor),
	}
	text := fmt.Sprintf(natsText, name, port, monitor, n.Store, cmp.Or(c.Sync, "always"), c.More)
	Check(os.WriteFile(n.Config, []byte(text), 0o600))
	return n
}

// StartNATS runs one server.
func (r *Rig) StartNATS(c NATSConfig) *NATS {
	n := r.NewNATS(c)
	n.Start()
	return n
}

// Start runs the server, for the first time or again.
func (n *NATS) Start() { n.Process = n.rig.StartMode(n.Name, n.slow, modeNATS, n.Config) }

// Connect reaches the server.
func (n *NATS) Connect() *nats.Conn { return n.rig.Connect(n.URL) }

// Connect returns a plain client of NATS, which is closed at the end.
func (r *Rig) Connect(urls string, options ...nats.Option) *nats.Conn {
	options = append(options, nats.Name("hookspan-rig"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	nc, err := nats.Connect(urls, options...)
	Check(err, "connecting to NATS")
	r.OnClose(func() error { nc.Close(); return nil })
	return nc
}

// serves reports whether the connection by which a bridge publishes is with this server.
func (n *NATS) serves() bool {
	var connz server.Connz
	Check(json.Unmarshal(n.rig.Get(n.monitor+"/connz"), &connz))
	for _, c := range connz.Conns {
		if strings.HasPrefix(c.Name, "hookspan-ingress") {
			return true
		}
	}
	return false
}
