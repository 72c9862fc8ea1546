package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// machine is what the numbers depend on. It holds nothing that names it.
type machine struct {
	cpu, kernel, fileSystem string
	cores                   int
	memory                  int64 // bytes
}

func lookAtMachine(dir string) (machine, error) {
	m := machine{cores: runtime.NumCPU()}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, fmt.Errorf("asking for the kernel: %w", err)
	}
	m.kernel = runtime.GOOS + " " + strings.TrimSpace(string(kernel))
	if m.cpu, err = field("/proc/cpuinfo", "model name"); err != nil {
		m.cpu = runtime.GOARCH // not every processor has a name there
	}
	if m.memory, err = sizeField("/proc/meminfo", "MemTotal"); err != nil {
		return m, err
	}
	m.fileSystem, err = fileSystemOf(dir)
	return m, err
}

// software is the versions that the numbers depend on.
func software() string {
	return fmt.Sprintf("%s, nats-server %s, nats.go %s", runtime.Version(), server.VERSION, nats.Version)
}

// field returns the first value of a "key: value" file of /proc.
func field(file, key string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", key, err)
	}
	for line := range strings.Lines(string(text)) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("reading %s: %s does not have it", key, file)
}

// sizeField is field for a value in kB, in bytes.
func sizeField(file, key string) (int64, error) {
	text, err := field(file, key)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading %s of %s: %w", key, file, err)
	}
	return n * kib, nil
}

// fileSystemOf returns the type of the file system with the longest mount point
// that dir lies under.
func fileSystemOf(dir string) (string, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", fmt.Errorf("asking for the file system: %w", err)
	}
	longest, name := "", "unknown"
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 3 || len(f[1]) < len(longest) {
			continue
		}
		if rel, err := filepath.Rel(f[1], dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			longest, name = f[1], f[2]
		}
	}
	return name, nil
}

func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for the free space: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

const (
	fsyncs     = 200
	fsyncBytes = 4 * kib
)

// measureFsync returns how long it took each time to append to a file and have it
// on the disk.
func measureFsync(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, "fsync")
	if err != nil {
		return nil, fmt.Errorf("measuring fsync: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, fsyncBytes)
	for range fsyncs {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, fmt.Errorf("measuring fsync: %w", err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("measuring fsync: %w", err)
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}
