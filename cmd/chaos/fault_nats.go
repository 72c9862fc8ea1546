package main

import (
	"strings"
	"syscall"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// natsOutage has a bridge go through one outage of its NATS server in the midst of the
// load. A bridge that had no spool would let attempts end after the given time.
func natsOutage(l *lab, n *rig.NATS, url string, attempt time.Duration, begin, end func()) {
	l.external(url, n.URL)
	l.begin()
	l.reach(0.3)
	begin()
	l.outage(attempt)
	l.heal()
	end()
	l.end()
}

func natsStopped(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	natsOutage(l, n, n.URL, time.Second, func() { rig.Must(n.Stop()) }, n.Start)
}

func natsFrozen(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	natsOutage(l, n, n.URL, deadline,
		func() { rig.Check(n.Signal(syscall.SIGSTOP)) },
		func() { rig.Check(n.Signal(syscall.SIGCONT)) })
}

func halfOpen(l *lab) {
	n := l.StartNATS(rig.NATSConfig{})
	p := l.StartProxy(strings.TrimPrefix(n.URL, "nats://"))
	natsOutage(l, n, "nats://"+p.Addr, deadline, func() { p.Set(rig.Swallowing) }, func() { p.Set(rig.Passing) })
}

func startClustered(l *lab) *rig.Cluster {
	c := l.StartCluster(0, true)
	l.external(c.URLs(), c.URLs())
	l.start()
	c.WaitWhole()
	l.send()
	l.reach(0.2)
	return c
}

func clusterLeader(l *lab) {
	c := startClustered(l)
	const times = 3
	l.each(times, 0.2, func(int) {
		leader := c.Leader()
		l.heal() // it is over as soon as it is done
		leader.Kill()
		l.recovered()
		l.Pause(l.uptime())
		leader.Start()
		c.WaitWhole()
	})
	l.note("the leader was killed %d times; the time to a 200 is the longest", times)
	l.end()
}

func clusterQuorum(l *lab) {
	c := startClustered(l)
	for _, n := range c.Servers[1:] {
		n.Kill()
	}
	l.outage(deadline)
	l.heal()
	for _, n := range c.Servers[1:] {
		n.Start()
	}
	c.WaitWhole()
	l.end()
}

func clusterSplit(l *lab) {
	c := startClustered(l)
	// First routes that are closed, then ones that swallow everything.
	modes := []rig.ProxyMode{rig.Cut, rig.Swallowing}
	l.each(len(modes), 0.2, func(i int) {
		alone := c.Serving()
		c.Part(alone, modes[i])
		l.outage(time.Second)
		l.heal()
		c.Part(alone, rig.Passing)
		c.WaitWhole()
		l.recovered()
	})
	l.note("parted %d times, by closed connections and by ones that swallow everything", len(modes))
	l.end()
}
