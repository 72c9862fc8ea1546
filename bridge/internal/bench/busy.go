package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of /proc/stat, the same on all of Linux.
const ticksPerSecond = 100

// processors is how much they had done at one time.
type processors struct {
	at        time.Time
	all, ours time.Duration
}

func lookAtProcessors() (processors, error) {
	p := processors{at: time.Now()}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p, fmt.Errorf("asking what the processors do: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// cpu, user, nice, system, idle, iowait, irq, softirq, steal, and guests,
	// which are in user already.
	fields := strings.Fields(first)
	for i := 1; i < min(len(fields), 9); i++ {
		if i == 4 || i == 5 {
			continue // idle
		}
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return p, fmt.Errorf("asking what the processors do: %w", err)
		}
		p.all += time.Duration(n) * time.Second / ticksPerSecond
	}
	// Of the processes that this one started, those that have ended.
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var use unix.Rusage
		if err := unix.Getrusage(who, &use); err != nil {
			return p, fmt.Errorf("asking what this process does: %w", err)
		}
		p.ours += time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	return p, nil
}

// othersSince is the share of the time of cores that went to other programs, also
// those of other machines on the same processors.
func (p processors) othersSince(before processors, cores int) float64 {
	others := (p.all - before.all) - (p.ours - before.ours)
	return max(0, others.Seconds()/(p.at.Sub(before.at).Seconds()*float64(cores)))
}
