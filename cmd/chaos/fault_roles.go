package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	sides = 2
	// rolesRate is how many predictions end in a second. So many seconds beside the outage of
	// the quorum they go on, which is longer than the other faults take.
	rolesRate, rolesTime = 40, 240 * time.Second
	// calm is the time between two faults.
	calm = 3 * time.Second
	// cut is how long a part of the cluster is cut off.
	cut = 20 * time.Second
)

var roles = []string{"ingress", "consumers", "reconciler", "admin"}

// rolesConfig has one consumer that acts once on each event, and one that may act again.
const rolesConfig = `consumers:
  archive: {enabled: false}
  once: {kind: forward, url: "%[1]s/once", allow_private: true, secret: "env:GET3W_WEBHOOK_SECRET", once: true, start: all, filter: {status: "*"}}
  again: {kind: forward, url: "%[1]s/again", allow_private: true, secret: "env:GET3W_WEBHOOK_SECRET", start: all, filter: {status: "*"}}`

// apart are two bridges of each role, as processes of their own, with three NATS servers. The
// two sides reach the servers by ways of their own.
type apart struct {
	*lab

	cluster *rig.Cluster
	ways    [sides][]*rig.Proxy // to each server
	configs map[string]rig.BridgeConfig
	bridges map[string]*rig.Bridge
	waitFit func()
	target  *target
	load    *load
}

func bridgeName(role string, side int) string { return fmt.Sprintf("%s-%d", role, side) }

// clusterRoles does everything to a cluster with roles apart that operators fear, while the load
// goes on, and has the simulator account for everything that it sent.
func clusterRoles(l *lab) {
	p := &apart{lab: l, configs: map[string]rig.BridgeConfig{}, bridges: map[string]*rig.Bridge{}, target: newTarget()}
	p.begin()
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"the stream's leader is killed", p.killLeader},
		{"every bridge is killed", p.killBridges},
		{"a server is cut off from the others", p.cutServer},
		{"everything is restarted, one after the other", p.restartAll},
		{"two servers are away", p.quorumAway},
		{"the cluster is split, with the bridges", p.split},
	} {
		begun := time.Now()
		rig.Check(rig.Try(step.do), step.name)
		p.cluster.WaitWhole()
		l.note("%s: %v until the stream was whole", step.name, time.Since(begun).Round(time.Second))
		l.Pause(calm)
	}
	l.heal()
	p.end()
}

func (p *apart) begin() {
	p.cluster = p.StartCluster(0, true)
	more := fmt.Sprintf(rolesConfig, p.Serve(p.target))
	for side := range sides {
		var urls []string
		for _, n := range p.cluster.Servers {
			way := p.StartProxy(strings.TrimPrefix(n.URL, "nats://"))
			p.ways[side], urls = append(p.ways[side], way), append(urls, "nats://"+way.Addr)
		}
		for _, role := range roles {
			name := bridgeName(role, side)
			p.configs[name] = rig.BridgeConfig{
				Name: name, Port: rig.FreePort(), Admin: rig.FreePort(), Log: "warn", Flags: []string{"--roles", role},
				Ingress: fmt.Sprintf("shutdown_delay: %v", leaveTime), NATS: rig.ExternalNATS(strings.Join(urls, ",")), More: more,
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.configs)) {
		p.start(name)
	}
	p.cluster.WaitWhole()
	var fronts []string
	for side := range sides {
		fronts = append(fronts, p.bridges[bridgeName("ingress", side)].Webhooks)
	}
	p.waitFit = p.balance(fronts...)
	p.waitFit()
	count := int((p.away + rolesTime).Seconds()) * rolesRate
	p.load = p.simulate(p.bridges[bridgeName("admin", 0)].Admin, count)
	p.Pause(calm)
}

func (p *apart) start(name string) { p.bridges[name] = p.StartBridge(p.configs[name]) }

// again ends a bridge, and starts it as what it was.
func (p *apart) again(name string, end func(b *rig.Bridge)) {
	end(p.bridges[name])
	p.start(name)
	p.waitFit()
	p.Pause(calm)
}

func (p *apart) killLeader() {
	leader := p.cluster.Leader()
	leader.Kill()
	p.Pause(calm)
	p.again(bridgeName("ingress", 0), func(b *rig.Bridge) { b.Kill() })
	leader.Start()
}

func (p *apart) killBridges() {
	for _, role := range roles {
		for side := range sides {
			p.again(bridgeName(role, side), func(b *rig.Bridge) { b.Kill() })
		}
	}
}

// cutServer cuts off the leader of the stream. Clients reach it as before.
func (p *apart) cutServer() {
	alone := slices.Index(p.cluster.Servers[:], p.cluster.Leader())
	p.cluster.Part(alone, rig.Swallowing)
	p.Pause(cut)
	p.cluster.Part(alone, rig.Passing)
}

func (p *apart) restartAll() {
	for _, n := range p.cluster.Servers {
		rig.Must(n.Stop())
		n.Start()
		p.cluster.WaitWhole()
	}
	for _, role := range roles {
		for side := range sides {
			p.again(bridgeName(role, side), func(b *rig.Bridge) { rig.Must(b.Stop()) })
		}
	}
}

// quorumAway takes two servers away, kills one ingress and restarts the other one meanwhile.
func (p *apart) quorumAway() {
	for _, n := range p.cluster.Servers[1:] {
		n.Kill()
	}
	p.Pause(p.away / 2)
	p.again(bridgeName("ingress", 0), func(b *rig.Bridge) { b.Kill() })
	p.again(bridgeName("ingress", 1), func(b *rig.Bridge) { rig.Must(b.Stop()) })
	p.Pause(p.away / 2)
	for _, n := range p.cluster.Servers[1:] {
		n.Start()
	}
}

// split leaves the bridges of side 0 with the first server alone, and those of side 1 with the
// two others.
func (p *apart) split() {
	set := func(mode rig.ProxyMode) {
		p.cluster.Part(0, mode)
		p.ways[0][1].Set(mode)
		p.ways[0][2].Set(mode)
		p.ways[1][0].Set(mode)
	}
	set(rig.Cut)
	p.Pause(cut)
	set(rig.Passing)
}

// end waits for the load and the consumers, and compares what the stream has with what the
// consumers were given.
func (p *apart) end() {
	if p.load.over() {
		p.wrong("the load has ended before the faults")
	}
	sent := p.load.wait()
	r := p.report
	p.note("answers: %v", sent.Answers)
	r.counts, r.findings = sent.counts(), findings{Stored: sent.Stored + sent.Unacknowledged, Lost: sent.Lost, Corrupt: sent.Corrupt}
	for _, wrong := range sent.Wrong {
		p.wrong("the simulator says: %s", wrong)
	}
	for _, note := range sent.Notes {
		p.note("the simulator says: %s", note)
	}
	stored := map[string]int{}
	nc := p.Connect(p.cluster.URLs())
	rig.Check(rig.ReadEvents(p.Context(), nc, "", func(_ string, header nats.Header, _ []byte) { stored[header.Get(rig.HeaderEventID)]++ }))
	for id, n := range stored {
		if n > 1 {
			r.Twice++
			p.examples = append(p.examples, id+" is stored twice")
		}
	}
	p.judgeTarget(stored)
	p.judgeStreams(rig.Must(jetstream.New(nc)))
	p.noteAlarms()
	for _, name := range slices.Sorted(maps.Keys(p.bridges)) {
		if _, err := p.bridges[name].Stop(); err != nil {
			p.wrong("%v", err)
		}
	}
}

// judgeTarget compares the attempts with the stored events. What was interrupted, and may not have
// come here, comes again, marked as a repeat: for a consumer that acts once nothing else may.
func (p *apart) judgeTarget(stored map[string]int) {
	p.target.mu.Lock()
	defer p.target.mu.Unlock()
	for _, consumer := range []string{"once", "again"} {
		missing, twice, repeats := 0, 0, 0
		for id := range stored {
			a := p.target.attempts["/"+consumer][id]
			repeats += a.repeats
			switch {
			case a.firsts+a.repeats == 0:
				missing++
			case a.firsts > 1:
				twice++
			}
		}
		p.note("consumer %s: %d events, not handled %d, twice without a mark %d, repeats of interrupted attempts %d", consumer, len(stored), missing, twice, repeats)
		if missing > 0 || consumer == "once" && twice > 0 {
			p.wrong("consumer %s was not given %d events, and %d twice", consumer, missing, twice)
		}
	}
}

// judgeStreams looks whether every stream has its replicas.
func (p *apart) judgeStreams(js jetstream.JetStream) {
	names := 0
	for info := range js.ListStreams(p.Context()).Info() {
		names++
		for _, peer := range info.Cluster.Replicas {
			if !peer.Current || peer.Offline {
				p.wrong("replica %s of stream %s is not current", peer.Name, info.Config.Name)
			}
		}
		if info.Cluster.Leader == "" || len(info.Cluster.Replicas) != len(p.cluster.Servers)-1 {
			p.wrong("stream %s has the leader %q and %d more replicas", info.Config.Name, info.Cluster.Leader, len(info.Cluster.Replicas))
		}
	}
	p.note("%d streams, each with a leader and two replicas that are current", names)
}

// noteAlarms counts the alarms that the bridges raised, by kind.
func (p *apart) noteAlarms() {
	kinds := map[string]int{}
	for _, b := range p.bridges {
		for _, a := range alarms(b.Log, 0) {
			kinds[a.Alarm]++
		}
	}
	p.note("alarms by kind: %v", kinds)
}

// target is the service that both consumers post to. It counts the attempts on each event.
type target struct {
	mu       sync.Mutex
	attempts map[string]map[string]attempts // by path and event id
}

type attempts struct{ firsts, repeats int }

func newTarget() *target {
	return &target{attempts: map[string]map[string]attempts{"/once": {}, "/again": {}}}
}

// ServeHTTP implements http.Handler.
func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	events, known := t.attempts[r.URL.Path]
	if !known {
		http.NotFound(w, r)
		return
	}
	id := r.Header.Get(rig.HeaderEventID)
	a := events[id]
	if r.Header.Get("hookspan-repeat") == "" {
		a.firsts++
	} else {
		a.repeats++
	}
	events[id] = a
}
