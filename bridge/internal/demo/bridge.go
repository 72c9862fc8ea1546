package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 40 * time.Second
	// maxTail is how much of the bridge's log is shown, in bytes.
	maxTail = 4 << 10

	sourceName = "get3w"
	secretEnv  = "GET3W_WEBHOOK_SECRET"
	keyEnv     = "GET3W_API_KEY"
)

// configText is the bridge's configuration; its holes are the data folder and the
// address of the provider's API. The time for which a prediction is left to its webhook
// is that of a provider that does not try again for long.
const configText = `data_dir: %q
log: {level: info}
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats:
  listen: 127.0.0.1:0
  events: {max_bytes: 64MiB}
sources:
  get3w:
    secrets: [env:GET3W_WEBHOOK_SECRET]
    api: {base_url: %q, key: "env:GET3W_API_KEY", poll_after: 1s}
consumers:
  archive:
    kind: archive
    hosts: ["127.0.0.1"]
    allow_private: true # the file server is on this machine
`

func (d *demo) writeConfig(api string) error {
	text := fmt.Sprintf(configText, d.dataPath(), api)
	if err := os.WriteFile(d.configPath(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// bridge is the program that is shown, as a process of its own.
type bridge struct {
	cmd *exec.Cmd
	// ended is closed when the process has ended, after which cmd knows how.
	ended chan struct{}
	// webhooks is the address that the sender posts to.
	webhooks string
	// admin is the address that operators ask.
	admin string
	pid   int
}

// startBridge returns once the bridge has said where it listens. When ctx ends,
// the bridge is killed.
func startBridge(ctx context.Context, d *demo, secret, key string) (*bridge, error) {
	log, err := os.Create(d.logPath())
	if err != nil {
		return nil, fmt.Errorf("making the log: %w", err)
	}
	defer func() { _ = log.Close() }() // the process has it too
	b := &bridge{ended: make(chan struct{})}
	b.cmd = exec.CommandContext(ctx, d.binary, "--json", "serve", "--config", d.configPath())
	b.cmd.Env = slices.Concat(d.environ, []string{secretEnv + "=" + secret, keyEnv + "=" + key})
	b.cmd.Stderr = log
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the bridge: %w", err)
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the bridge: %w (build it first: go build -o bin/hookspan ./cmd/hookspan)", err)
	}

	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	defer context.AfterFunc(startCtx, func() { _ = b.cmd.Process.Kill() })()
	var ready struct {
		Webhooks map[string]string `json:"webhooks"`
		Admin    string            `json:"admin"`
		PID      int               `json:"pid"`
	}
	err = json.NewDecoder(stdout).Decode(&ready)
	go func() {
		defer close(b.ended)
		_ = b.cmd.Wait() // how it ended is asked of cmd.ProcessState
	}()
	b.webhooks, b.admin, b.pid = ready.Webhooks[sourceName], ready.Admin, ready.PID
	if err == nil && b.webhooks == "" {
		err = errors.New("it did not say where it takes webhooks")
	}
	if err != nil {
		b.kill()
		return nil, errors.Join(fmt.Errorf("waiting for the bridge to be ready: %w", err), context.Cause(startCtx))
	}
	return b, nil
}

// stop asks the bridge to end, as a service manager does, and returns its exit
// code: -1 when it had to be killed.
func (b *bridge) stop(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	_ = b.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
	select {
	case <-b.ended:
	case <-ctx.Done():
		b.kill()
	}
	return b.cmd.ProcessState.ExitCode()
}

// kill ends the bridge if it has not ended, and returns when it has.
func (b *bridge) kill() {
	_ = b.cmd.Process.Kill() // fails when it has ended
	<-b.ended
}

// natsEnv asks the bridge how other programs reach its events.
func (d *demo) natsEnv(ctx context.Context) (map[string]string, error) {
	out, err := exec.CommandContext(ctx, d.binary, "--json", "nats-env", "--config", d.configPath()).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the address of the events: %w", err)
	}
	var vars map[string]string
	if err := json.Unmarshal(out, &vars); err != nil {
		return nil, fmt.Errorf("asking for the address of the events: %w", err)
	}
	return vars, nil
}

// tail is the end of a log, in whole lines.
func tail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	if len(text) <= maxTail {
		return string(text)
	}
	_, rest, _ := strings.Cut(string(text[len(text)-maxTail:]), "\n")
	return rest
}
