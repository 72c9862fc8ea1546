package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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

// natsDayAway is a day without NATS: ten times as many webhooks as in other faults, and a
// bridge that is killed while it has half of them. NATS has never been there before.
func natsDayAway(l *lab) {
	const times = 10
	l.events, l.rate = l.events*times, max(l.rate, severalRate)
	n := l.NewNATS(rig.NATSConfig{})
	l.external(n.URL, n.URL)
	l.config.More += fmt.Sprintf("\njournal: {max_bytes: %d}", int64(rig.MaxEvents))
	l.begin()
	l.reach(0.5)
	l.bridge.Kill()
	l.start()
	l.reach(0.95)
	l.note("NATS came when %d records were waiting", l.waiting())
	l.heal()
	n.Start()
	l.end()
}

// streamTrouble fills the stream, which refuses no webhook while the journal has room, and
// gives it room again. Then it removes the stream, which costs what the stream has.
func streamTrouble(l *lab) {
	l.rate = max(l.rate, severalRate)
	n := l.StartNATS(rig.NATSConfig{})
	l.external(n.URL, n.URL)
	roomy := l.config.NATS
	l.config.NATS = strings.ReplaceAll(roomy, fmt.Sprint(int64(rig.MaxEvents)), fmt.Sprint(leastFull))
	l.begin()
	full := func(context.Context) bool {
		return slices.ContainsFunc(alarms(l.bridge.Log, 0), func(a alarm) bool { return a.Alarm == "store_full" })
	}
	rig.Check(l.Until("an alarm says that the stream is full", patience, often, full))
	l.acknowledged(l.book.snapshot().Acknowledged + l.events/2)
	l.sender.rest()
	if refused := l.book.snapshot().RefusedBy["503"]; refused > 0 {
		l.wrong("%d webhooks were refused while the journal had room", refused)
	}
	l.note("%d records waited for a full stream", l.waiting())
	rig.Must(l.bridge.Stop())
	l.config.NATS = roomy
	l.start()
	l.emptied()

	a := newAudit(l.writer, l.book)
	nc := l.connect()
	rig.Check(rig.ReadEvents(l.Context(), nc, "", a.add))
	rig.Check(rig.Must(jetstream.New(nc)).DeleteStream(l.Context(), rig.EventsStream))
	l.heal()
	l.send()
	l.acknowledged(l.book.snapshot().Acknowledged + l.events/2)
	l.settle()
	l.emptied()
	rig.Check(rig.ReadEvents(l.Context(), nc, "", a.add))
	l.finding(a.result())
}

// emptied waits until the stream has all of the journal.
func (l *lab) emptied() {
	rig.Check(l.Until("the journal is empty", patience, often, func(context.Context) bool { return l.waiting() == 0 }))
}
