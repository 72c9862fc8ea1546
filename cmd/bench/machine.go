package main

import (
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

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// machine is what the numbers depend on. It holds nothing that names the machine.
type machine struct {
	cpu, kernel, fileSystem string
	cores                   int
	memory                  float64 // bytes
}

func lookAtMachine(dir string) machine {
	cpu, ok := field("/proc/cpuinfo", "model name")
	if !ok {
		cpu = runtime.GOARCH // not every processor has a name there
	}
	memory, _ := field("/proc/meminfo", "MemTotal")
	return machine{
		cpu: cpu, cores: runtime.NumCPU(), fileSystem: fileSystemOf(dir),
		kernel: runtime.GOOS + " " + strings.TrimSpace(read("/proc/sys/kernel/osrelease")),
		memory: kib * rig.Must(strconv.ParseFloat(strings.TrimSuffix(memory, " kB"), 64)),
	}
}

// software is the versions that the numbers depend on.
func software() string {
	return fmt.Sprintf("%s, nats-server %s, nats.go %s", runtime.Version(), server.VERSION, nats.Version)
}

func read(file string) string { return string(rig.Must(os.ReadFile(file))) }

// field returns the first value of a "key: value" file of /proc.
func field(file, key string) (value string, ok bool) {
	for line := range strings.Lines(read(file)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// fileSystemOf returns the type of the file system with the longest mount point that dir
// lies under.
func fileSystemOf(dir string) string {
	longest, name := "", "unknown"
	for line := range strings.Lines(read("/proc/self/mounts")) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < len(longest) {
			continue
		}
		if rel, err := filepath.Rel(f[1], dir); err == nil && filepath.IsLocal(rel) {
			longest, name = f[1], f[2]
		}
	}
	return name
}

// needsSpace says why a scenario cannot be measured on a disk with less free space.
func needsSpace(bytes int64) func(dir string) string {
	return func(dir string) string {
		var st unix.Statfs_t
		rig.Check(unix.Statfs(dir, &st))
		if free := int64(st.Bavail) * st.Bsize; free < bytes {
			return fmt.Sprintf("the disk has %d MiB free, this needs %d MiB", free/mib, bytes/mib)
		}
		return ""
	}
}

const fsyncs = 200

// measureFsync returns how long it took each time to append 4 KiB to a file and have them
// on the disk.
func measureFsync(dir string) (took []time.Duration) {
	f := rig.Must(os.CreateTemp(dir, "fsync"))
	defer func() { rig.Check(f.Close()) }()
	block := make([]byte, 4*kib)
	for range fsyncs {
		begin := time.Now()
		rig.Must(f.Write(block))
		rig.Check(f.Sync())
		took = append(took, time.Since(begin))
	}
	return took
}

// processors is how much the processors had done at one time.
type processors struct {
	at        time.Time
	all, ours time.Duration
}

func lookAtProcessors() processors {
	p := processors{at: time.Now()}
	first, _, _ := strings.Cut(read("/proc/stat"), "\n")
	// cpu, user, nice, system, idle, iowait, irq, softirq, steal, and guests, which are
	// in user already. A tick is 10 ms on all of Linux.
	for i, ticks := range strings.Fields(first) {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		p.all += 10 * time.Millisecond * time.Duration(rig.Must(strconv.ParseInt(ticks, 10, 64)))
	}
	// Of the processes that this one started, those that have ended.
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var use unix.Rusage
		rig.Check(unix.Getrusage(who, &use))
		p.ours += time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	return p
}

// othersSince is the share of the time of all processors that went to other programs,
// also those of other machines on the same processors.
func (p processors) othersSince(before processors) float64 {
	others := (p.all - before.all) - (p.ours - before.ours)
	return max(0, others.Seconds()/(p.at.Sub(before.at).Seconds()*float64(runtime.NumCPU())))
}
