package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// machine is what the numbers depend on. It holds nothing that names the machine.
type machine struct {
	cpu, kernel, fileSystem string
	postgres                string // its version, or empty
	cores                   int
	memory                  float64 // bytes
}

func lookAtMachine(dir string) machine {
	proc := rig.Must(procfs.NewDefaultFS())
	return machine{
		// Not every processor has a name there.
		cpu: cmp.Or(rig.Must(proc.CPUInfo())[0].ModelName, runtime.GOARCH), cores: runtime.NumCPU(), fileSystem: fileSystemOf(dir), postgres: postgresVersion(),
		kernel: runtime.GOOS + " " + strings.TrimSpace(read("/proc/sys/kernel/osrelease")),
		memory: float64(*rig.Must(proc.Meminfo()).MemTotalBytes),
	}
}

func read(file string) string { return string(rig.Must(os.ReadFile(file))) }

// fileSystemOf returns the type of the file system that dir lies on.
func fileSystemOf(dir string) string {
	longest, name := "", "unknown"
	for _, m := range rig.Must(procfs.GetMounts()) {
		rel, err := filepath.Rel(m.MountPoint, dir)
		if err == nil && filepath.IsLocal(rel) && len(m.MountPoint) >= len(longest) {
			longest, name = m.MountPoint, m.FSType
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

// measureFsync returns how long it took, each time, to have 4 KiB more on the disk.
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

// processors is how many seconds the processors had worked at one time: for everybody, and
// for this program and those of its processes that have ended.
type processors struct {
	at        time.Time
	all, ours float64
}

func lookAtProcessors() processors {
	// Time of guests is in User and Nice already.
	cpu := rig.Must(rig.Must(procfs.NewDefaultFS()).Stat()).CPUTotal
	p := processors{at: time.Now(), all: cpu.User + cpu.Nice + cpu.System + cpu.IRQ + cpu.SoftIRQ + cpu.Steal}
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var use unix.Rusage
		rig.Check(unix.Getrusage(who, &use))
		p.ours += time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
	}
	return p
}

// othersSince is the share of all processors that other programs had, also on other machines.
func (p processors) othersSince(before processors) float64 {
	others := (p.all - before.all) - (p.ours - before.ours)
	return max(0, others/(p.at.Sub(before.at).Seconds()*float64(runtime.NumCPU())))
}
