package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hookspan/hookspan/bridge/ingress"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
	secretEnv    = "HOOKSPAN_BENCH_SECRET"
	// logTail is how much of a bridge's log an error repeats, in bytes.
	logTail = 2 * kib
)

// child is a bridge that runs as a process of its own.
type child struct {
	cmd  *exec.Cmd
	addr string // where it takes webhooks
	data string // its data folder
	log  *os.File

	once sync.Once
}

// startChild runs hookspan serve in dir, with the part of the configuration that
// is about consumers, and returns when it says that it is ready.
func startChild(ctx context.Context, hookspan, dir, consumers string) (c *child, err error) {
	c = &child{data: filepath.Join(dir, "data")}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting the bridge: %w", err)
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`data_dir: %q
ingress: {listen: "127.0.0.1:0", deadline: %v}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
sources: {%s: {kind: get3w, secrets: ["env:%s"]}}
%s
`, c.data, ingress.MaxDeadline, sourceName, secretEnv, consumers)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("starting the bridge: %w", err)
	}
	if c.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, fmt.Errorf("starting the bridge: %w", err)
	}
	c.cmd = exec.CommandContext(ctx, hookspan, "serve", "--json", "--config", config)
	c.cmd.Env = []string{secretEnv + "=" + secret} // nothing else that could change how it runs
	c.cmd.Stderr = c.log
	// A terminal would give its ^C to the bridge too, and a second signal ends it
	// at once.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Cancel = c.terminate
	c.cmd.WaitDelay = stopTimeout
	stdout, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the bridge: %w", err), c.log.Close())
	}
	if err := c.waitReady(ctx, stdout); err != nil {
		return nil, errors.Join(c.explain(fmt.Errorf("starting the bridge: %w", err)), c.stop())
	}
	return c, nil
}

func (c *child) waitReady(ctx context.Context, stdout io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("it did not say that it is ready: %w", err)
	}
	var ready struct {
		Webhooks map[string]string `json:"webhooks"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return fmt.Errorf("reading its first line: %w", err)
	}
	u, err := url.Parse(ready.Webhooks[sourceName])
	if err != nil || u.Host == "" {
		return fmt.Errorf("its first line names no address for webhooks: %q", line)
	}
	c.addr = u.Host
	return nil
}

// terminate asks the bridge to end, the first time.
func (c *child) terminate() (err error) {
	c.once.Do(func() { err = c.cmd.Process.Signal(syscall.SIGTERM) })
	return err
}

// stop ends the bridge and returns an error when it did not end well.
func (c *child) stop() error {
	_ = c.terminate() // it may have ended
	kill := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	err := c.cmd.Wait()
	if err != nil {
		err = c.explain(fmt.Errorf("stopping the bridge: %w", err))
	}
	return errors.Join(err, c.log.Close())
}

// explain adds the end of the bridge's log to an error.
func (c *child) explain(err error) error {
	info, statErr := c.log.Stat()
	if statErr != nil || info.Size() == 0 {
		return err
	}
	tail := make([]byte, min(info.Size(), logTail))
	n, _ := c.log.ReadAt(tail, info.Size()-int64(len(tail)))
	return fmt.Errorf("%w\nits log ends with:\n%s", err, tail[:n])
}

// size returns a field of the bridge's /proc/<pid>/status, such as VmRSS, in bytes.
func (c *child) size(key string) (int64, error) {
	return sizeField(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid), key)
}

const (
	settleTime = 3 * time.Second
	settleTick = 250 * time.Millisecond
)

// settled returns the least memory that the bridge had while it was left alone.
func (c *child) settled(ctx context.Context) (int64, error) {
	least, err := c.size("VmRSS")
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	for range settleTime / settleTick {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
		now, err := c.size("VmRSS")
		if err != nil {
			return 0, err
		}
		least = min(least, now)
	}
	return least, nil
}
