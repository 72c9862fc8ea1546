package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// embeddedConfig is the configuration of a bridge with its own NATS; the holes are the
// data folder, the port of the webhooks and the limit of the events.
const embeddedConfig = `data_dir: %q
log: {level: warn}
ingress: {listen: "127.0.0.1:%d"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: %d}}
consumers: {archive: {enabled: false}}
`

// externalConfig is that of a bridge whose events go to a NATS elsewhere; the holes
// are the data folder, the port of the webhooks, how long it lets load balancers
// leave when it is stopped, the address of NATS, and the limits of events and spool.
const externalConfig = `data_dir: %q
log: {level: warn}
ingress: {listen: "127.0.0.1:%d", shutdown_delay: %v}
admin: {listen: "127.0.0.1:0"}
nats: {url: %q, events: {max_bytes: %d}, spool: {max_bytes: %d}}
consumers: {archive: {enabled: false}}
`

// maxEvents bounds the stream of events, and the spool, where their being full is
// not what is tried.
const maxEvents = 4 << 30

// hookspan is the bridge under test, as a process of its own.
type hookspan struct {
	*process
	pid    int
	admin  string // base address
	config string // path
	binary string
}

// startBridge runs the bridge with a configuration and returns when it says that
// it is ready. It is started with the words in front, such as strace's.
func (l *lab) startBridge(ctx context.Context, name, config string, front ...string) (*hookspan, error) {
	path := filepath.Join(l.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("writing a configuration: %w", err)
	}
	b := &hookspan{config: path, binary: l.binary}
	var ready struct {
		PID   int    `json:"pid"`
		Admin string `json:"admin"`
	}
	words := slices.Concat(front, []string{l.binary, "--json", "serve", "--config", path})
	var err error
	b.process, err = startProcess(ctx, &ready, filepath.Join(l.dir, name+".log"), []string{secretEnv + "=" + secret}, words[0], words[1:]...)
	if err != nil {
		return nil, err
	}
	b.pid, b.admin = ready.PID, ready.Admin
	l.onClose(func() error { b.kill(); return nil })
	return b, nil
}

// startEmbedded runs a bridge with its own NATS and its data in the folder.
func (l *lab) startEmbedded(ctx context.Context, data string, front ...string) (*hookspan, error) {
	return l.startBridge(ctx, "bridge", fmt.Sprintf(embeddedConfig, data, l.port, int64(maxEvents)), front...)
}

// startExternal runs a bridge whose events go to the NATS at url.
func (l *lab) startExternal(ctx context.Context, data, url string) (*hookspan, error) {
	return l.startBridge(ctx, "bridge", fmt.Sprintf(externalConfig, data, l.port, time.Duration(0), url, int64(maxEvents), int64(maxEvents)))
}

// connect reaches the bridge's own NATS as another team's program does.
func (b *hookspan) connect(ctx context.Context) (*nats.Conn, error) {
	out, err := exec.CommandContext(ctx, b.binary, "--json", "nats-env", "--config", b.config).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	var vars map[string]string
	if err == nil {
		err = json.Unmarshal(out, &vars)
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the address of the events: %w", err)
	}
	return nats.Connect(vars["NATS_URL"], nats.UserInfo(vars["NATS_USER"], vars["NATS_PASSWORD"]), nats.Name("hookspan-chaos"))
}
